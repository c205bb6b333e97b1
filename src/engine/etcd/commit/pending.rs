//! Large commits that are made and not carried out yet, and what is left of those that never
//! were made; see [`large`](super::large).

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::engine::etcd::client::Core;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::proto::etcd::etcdserverpb as pb;

pub(in crate::engine::etcd) const PENDING: &str = "pending";
const STAGED: &str = "staged/";

pub(in crate::engine::etcd) fn part_prefix(id: &str) -> String {
    format!("{STAGED}{id}/")
}

pub(in crate::engine::etcd) fn staging(core: &Core, id: &str) -> Bytes {
    core.keys.own(&format!("staging/{id}"))
}

/// Carries out a large commit that is made, whoever made it.
pub(in crate::engine::etcd) async fn finish(core: &Arc<Core>) -> Result<(), Trouble> {
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
pub(in crate::engine::etcd) async fn sweep(core: &Arc<Core>) -> Result<(), Trouble> {
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
