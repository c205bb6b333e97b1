//! Commits too large for one transaction: staged in parts, committed by one small transaction, and
//! then carried out.
//!
//! ```text
//! staging/ID     attached to the lease of the slots: the parts are being written
//! staged/ID/N    a part: the operations of one transaction
//! pending        ID: the commit has taken effect, and its parts have to be carried out
//! ```
//! The transaction that writes `pending` checks all preconditions of the commit. From then on, every
//! read and every commit of any program carries the parts out first, so no reader sees only some of
//! them. Each part is deleted in the transaction that carries it out, so it is carried out once.
//! Parts that have no `staging` and are not pending can no longer take effect, and are removed.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::engine::etcd::client::Core;
use crate::engine::etcd::commit::attempt::{self, Attempt, End, Request, pack};
use crate::engine::etcd::commit::pending::{PENDING, finish, part_prefix, staging, sweep};
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::engine::{Batch, Outcome};
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;

/// The maximum overhead of a request that contains a part.
const MARGIN: usize = 4 << 10;

/// Commits a batch of any size.
pub(in crate::engine::etcd) async fn commit(core: Arc<Core>, batch: Batch) -> Result<Outcome> {
    let request = Request::new(&core, batch);
    loop {
        let preconditions = request.compare.len();
        if preconditions > core.limits.preconditions() {
            return Err(too_many(&core, request.expected.len()));
        }
        let writes = pack(&request.writes, preconditions + 1, core.limits.operations());
        let end = match writes.filter(|_| request.bytes <= core.limits.bytes()) {
            _ if request.writes.is_empty() => attempt::check(&core, &request).await,
            Some(writes) => Attempt::new(&core, &request, writes).run().await,
            None => return in_parts(&core, request).await,
        };
        match end? {
            End::Outcome(outcome) => return Ok(outcome),
            End::Pending => finish(&core).await.map_err(|trouble| core.cluster.error(trouble))?,
            End::TooLarge => {}
        }
    }
}

fn too_many(core: &Core, preconditions: usize) -> Error {
    let text = format!(
        "a change of {preconditions} records at once exceeds the limit of etcd ({} operations in a transaction, --max-txn-ops): change fewer at a time. Nothing was written",
        core.limits.operations()
    );
    Error::argument(text)
}

/// Makes a commit that is too large for one transaction.
async fn in_parts(core: &Arc<Core>, request: Request) -> Result<Outcome> {
    let id = Uuid::now_v7().simple().to_string();
    let outcome = match stage(core, &id, &request).await {
        Ok(()) => commit_staged(core, &id, request).await,
        Err(error) => Err(error),
    };
    if !matches!(outcome, Ok(Outcome::Committed(_))) {
        // If this fails, the next large commit removes the parts once the lease has expired.
        let _ = abandon(core, &id).await;
    }
    outcome
}

/// Ensures that the commit can no longer take effect, and removes its parts.
async fn abandon(core: &Arc<Core>, id: &str) -> Result<(), Trouble> {
    let success = vec![txn::delete(staging(core, id))];
    core.cluster.txn(pb::TxnRequest { success, ..pb::TxnRequest::default() }).await?;
    sweep(core).await
}

async fn stage(core: &Arc<Core>, id: &str, request: &Request) -> Result<()> {
    sweep(core).await.map_err(|trouble| core.cluster.error(trouble))?;
    let slot = core.slots.take().await.map_err(|trouble| core.cluster.error(trouble))?;
    put(core, staging(core, id), Bytes::new(), slot.lease).await?;
    core.slots.give_back_unused(slot);
    for (n, part) in parts(core, &request.writes)?.into_iter().enumerate() {
        let key = core.keys.own(&format!("{}{n:08}", part_prefix(id)));
        put(core, key, part.encode_to_vec().into(), 0).await?;
    }
    Ok(())
}

/// Writes a key, with retries: a repeated write is harmless, because the key has one writer and no
/// reader yet.
async fn put(core: &Core, key: Bytes, value: Bytes, lease: i64) -> Result<()> {
    let txn = pb::TxnRequest { success: vec![txn::put(key, value, lease)], ..pb::TxnRequest::default() };
    let put = core.cluster.txn(txn).await;
    put.map(drop).map_err(|trouble| core.cluster.error(trouble))
}

/// Splits the writes into transactions.
fn parts(core: &Core, writes: &[pb::RequestOp]) -> Result<Vec<pb::TxnRequest>> {
    let (operations, bytes_max) = (core.limits.operations() - 4, core.limits.bytes() - MARGIN);
    let mut parts: Vec<pb::TxnRequest> = Vec::new();
    let mut left = 0;
    for write in writes {
        let bytes = write.encoded_len() + 16;
        if bytes > bytes_max {
            let record = "a record with its key and envelope".to_owned();
            return Err(Failure::TooLarge { record, bytes, limit: bytes_max }.into());
        }
        match parts.last_mut().filter(|part| part.success.len() < operations && bytes <= left) {
            Some(part) => {
                part.success.push(write.clone());
                left -= bytes;
            }
            None => {
                parts.push(pb::TxnRequest { success: vec![write.clone()], ..pb::TxnRequest::default() });
                left = bytes_max.saturating_sub(bytes);
            }
        }
    }
    Ok(parts)
}

async fn commit_staged(core: &Arc<Core>, id: &str, mut request: Request) -> Result<Outcome> {
    /// How many other large commits may come first.
    const ATTEMPTS_MAX: u32 = 100;
    let staging = staging(core, id);
    request.compare.push(txn::present(staging.clone()));
    request.writes = vec![
        txn::put(core.keys.own(PENDING), Bytes::copy_from_slice(id.as_bytes()), 0),
        txn::delete(staging),
    ];
    for _ in 0..ATTEMPTS_MAX {
        match Attempt::new(core, &request, request.writes.clone()).run().await? {
            End::Outcome(outcome) => {
                if matches!(outcome, Outcome::Committed(_)) {
                    // The commit has taken effect. If this fails, the next read or commit carries it
                    // out.
                    if let Err(trouble) = finish(core).await {
                        let error = core.cluster.error(trouble);
                        tracing::warn!(%error, "a large commit succeeded, but its parts will be carried out later");
                    }
                }
                return Ok(outcome);
            }
            End::Pending => finish(core).await.map_err(|trouble| core.cluster.error(trouble))?,
            End::TooLarge => break,
        }
    }
    Err(Error::argument("staging the change took too long; try again. Nothing was written"))
}
