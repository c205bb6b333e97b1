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

use super::client::Core;
use super::commit::{Attempt, Made, Request};
use super::trouble::Trouble;
use super::txn;
use crate::engine::Outcome;
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;

pub(super) const PENDING: &str = "pending";
const STAGED: &str = "staged/";

/// Room for what a request has besides the part in it.
const MARGIN: usize = 4 << 10;

fn part_prefix(id: &str) -> String {
    format!("{STAGED}{id}/")
}

fn staging(core: &Core, id: &str) -> Bytes {
    core.keys.own(&format!("staging/{id}"))
}

/// Makes a commit, or finds out that it is not made.
pub(super) async fn commit(core: &Arc<Core>, request: Request) -> Result<Outcome> {
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
    let slot = core.slots.take(core).await.map_err(|trouble| core.line.error(trouble))?;
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

/// Carries out a large commit that is made, whoever made it.
pub(super) async fn finish(core: &Arc<Core>) -> Result<(), Trouble> {
    let line = &core.line;
    let pending = core.keys.own(PENDING);
    let range = txn::whole(pending.clone());
    let found = line.range(range).await?;
    let Some(made) = found.kvs.first() else { return Ok(()) };
    let id = String::from_utf8_lossy(&made.value).into_owned();
    let is_pending = txn::written_by(pending.clone(), made.mod_revision);
    while let Some(part) = first_part(core, &id).await? {
        let lost = |error: prost::DecodeError| {
            Trouble::Lost(format!("a part of a large commit is damaged: {error}"))
        };
        let mut txn = pb::TxnRequest::decode(part.value.clone()).map_err(lost)?;
        // If it fails, somebody else was faster.
        txn.compare = vec![is_pending.clone(), txn::written_by(part.key.clone(), part.mod_revision)];
        txn.success.push(txn::delete(part.key.clone()));
        let answer = line.txn(txn).await?;
        core.note_header(answer.header.as_ref());
    }
    let end = pb::TxnRequest {
        compare: vec![is_pending],
        success: vec![txn::delete(pending)],
        ..pb::TxnRequest::default()
    };
    line.txn(end).await.map(drop)
}

async fn first_part(core: &Core, id: &str) -> Result<Option<crate::proto::etcd::mvccpb::KeyValue>, Trouble> {
    let (key, range_end) = core.keys.own_range(&part_prefix(id));
    let range = pb::RangeRequest { range_end, limit: 1, ..txn::whole(key) };
    let found = core.line.range(range).await?;
    Ok(found.kvs.into_iter().next())
}

/// Removes the parts of commits that were not made and will not be.
pub(super) async fn sweep(core: &Arc<Core>) -> Result<(), Trouble> {
    let line = &core.line;
    let (key, range_end) = core.keys.own_range(STAGED);
    let pending = core.keys.own(PENDING);
    let read = pb::TxnRequest {
        success: vec![
            txn::range(txn::whole(pending.clone())),
            txn::range(pb::RangeRequest { range_end, ..txn::bare(key.clone()) }),
        ],
        ..pb::TxnRequest::default()
    };
    let answer = line.txn(read).await?;
    let found = txn::found(&answer);
    let made = found.first().and_then(|range| range.kvs.first());
    let parts = found.get(1).map(|range| &range.kvs[..]).unwrap_or_default();
    let ids = parts.iter().filter_map(|part| {
        let name = std::str::from_utf8(part.key.get(key.len()..)?).ok()?;
        name.split_once('/').map(|(id, _)| id)
    });
    let mut ids: Vec<&str> = ids.filter(|id| made.is_none_or(|made| made.value != id.as_bytes())).collect();
    ids.dedup();
    for id in ids {
        let remove = pb::TxnRequest {
            compare: vec![
                txn::absent(staging(core, id)),
                txn::written_by(pending.clone(), made.map_or(0, |made| made.mod_revision)),
            ],
            success: vec![txn::delete_range(core.keys.own_range(&part_prefix(id)))],
            ..pb::TxnRequest::default()
        };
        line.txn(remove).await?;
    }
    Ok(())
}
