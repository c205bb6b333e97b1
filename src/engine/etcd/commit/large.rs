//! Commits that no transaction can hold: staged in parts, made by one small transaction, and
//! then carried out.
//!
//! ```text
//! staging/ID     on the lease of the slots: the parts are being written
//! staged/ID/N    a part: the operations of one transaction
//! pending        ID: the commit is made, and its parts are to be carried out
//! ```
//! The transaction that makes `pending` has all preconditions of the commit. From then on
//! every read and every commit carries the parts out first, whoever began them, and so nobody
//! sees some of them. A part goes together with what it writes: it is carried out once. Parts
//! without `staging` that are not pending are of no use to anybody, and are removed.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::engine::etcd::client::Core;
use crate::engine::etcd::commit::attempt::{self, Attempt, Made, Request, pack};
use crate::engine::etcd::commit::pending::{PENDING, finish, part_prefix, staging, sweep};
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::engine::{Batch, Outcome};
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;

/// Room for what a request has besides the part in it.
const MARGIN: usize = 4 << 10;

/// Makes a commit, or finds out that it is not made.
pub(in crate::engine::etcd) async fn commit(core: Arc<Core>, batch: Batch) -> Result<Outcome> {
    let request = Request::new(&core, batch);
    loop {
        let preconditions = request.compare.len();
        if preconditions > core.limits.preconditions() {
            return Err(too_many(&core, request.expected.len()));
        }
        let writes = pack(&request.writes, preconditions + 1, core.limits.operations());
        let made = match writes.filter(|_| request.bytes <= core.limits.bytes()) {
            _ if request.writes.is_empty() => attempt::check(&core, &request).await,
            Some(writes) => Attempt::new(&core, &request, writes).make().await,
            None => return in_parts(&core, request).await,
        };
        match made? {
            Made::Outcome(outcome) => return Ok(outcome),
            Made::Pending => finish(&core).await.map_err(|trouble| core.line.error(trouble))?,
            Made::TooLarge => {}
        }
    }
}

fn too_many(core: &Core, preconditions: usize) -> Error {
    let text = format!(
        "a change of {preconditions} records at once is more than etcd takes ({} operations in a transaction, --max-txn-ops): change fewer at a time. Nothing was written",
        core.limits.operations()
    );
    Error::argument(text)
}

/// Makes a commit that no transaction can hold.
async fn in_parts(core: &Arc<Core>, request: Request) -> Result<Outcome> {
    let id = Uuid::now_v7().simple().to_string();
    let made = match stage(core, &id, &request).await {
        Ok(()) => make(core, &id, request).await,
        Err(error) => Err(error),
    };
    if !matches!(made, Ok(Outcome::Committed(_))) {
        // Or the next large commit does, once the lease has run out.
        let _ = abandon(core, &id).await;
    }
    made
}

/// Sees that it is not made any more, and removes its parts.
async fn abandon(core: &Arc<Core>, id: &str) -> Result<(), Trouble> {
    let success = vec![txn::delete(staging(core, id))];
    core.line.txn(pb::TxnRequest { success, ..pb::TxnRequest::default() }).await?;
    sweep(core).await
}

async fn stage(core: &Arc<Core>, id: &str, request: &Request) -> Result<()> {
    sweep(core).await.map_err(|trouble| core.line.error(trouble))?;
    let slot = core.slots.take().await.map_err(|trouble| core.line.error(trouble))?;
    put(core, staging(core, id), Bytes::new(), slot.lease).await?;
    core.slots.give_back_unused(slot);
    for (n, part) in parts(core, &request.writes)?.into_iter().enumerate() {
        let key = core.keys.own(&format!("{}{n:08}", part_prefix(id)));
        put(core, key, part.encode_to_vec().into(), 0).await?;
    }
    Ok(())
}

/// Written as often as it takes: it has one writer, and nobody reads it yet.
async fn put(core: &Core, key: Bytes, value: Bytes, lease: i64) -> Result<()> {
    let txn = pb::TxnRequest { success: vec![txn::put(key, value, lease)], ..pb::TxnRequest::default() };
    let put = core.line.txn(txn).await;
    put.map(drop).map_err(|trouble| core.line.error(trouble))
}

/// The writes, as transactions that are carried out one by one.
fn parts(core: &Core, writes: &[pb::RequestOp]) -> Result<Vec<pb::TxnRequest>> {
    let (operations, bytes_max) = (core.limits.operations() - 4, core.limits.bytes() - MARGIN);
    let mut parts: Vec<pb::TxnRequest> = Vec::new();
    let mut left = 0;
    for write in writes {
        let bytes = write.encoded_len() + 16;
        if bytes > bytes_max {
            let record = "a record, with what goes with it,".to_owned();
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

async fn make(core: &Arc<Core>, id: &str, mut request: Request) -> Result<Outcome> {
    /// How often other large commits may come in between.
    const TRIES: u32 = 100;
    let staging = staging(core, id);
    request.compare.push(txn::present(staging.clone()));
    request.writes = vec![
        txn::put(core.keys.own(PENDING), Bytes::copy_from_slice(id.as_bytes()), 0),
        txn::delete(staging),
    ];
    for _ in 0..TRIES {
        match Attempt::new(core, &request, request.writes.clone()).make().await? {
            Made::Outcome(outcome) => {
                if matches!(outcome, Outcome::Committed(_)) {
                    // It is made. Whoever reads next goes on if this cannot.
                    if let Err(trouble) = finish(core).await {
                        let error = core.line.error(trouble);
                        tracing::warn!(%error, "a large commit is made, and is carried out later");
                    }
                }
                return Ok(outcome);
            }
            Made::Pending => finish(core).await.map_err(|trouble| core.line.error(trouble))?,
            Made::TooLarge => break,
        }
    }
    Err(Error::argument("the change took too long to be staged; try again. Nothing was written"))
}
