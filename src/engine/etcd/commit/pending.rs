//! Large commits that took effect but are not carried out yet, and leftovers of those that never took
//! effect; see [`large`](super::large).

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

/// Carries out the pending large commit, if there is one. Any client may have begun it.
pub(in crate::engine::etcd) async fn finish(core: &Arc<Core>) -> Result<(), Trouble> {
    let cluster = &core.cluster;
    let pending = core.keys.own(PENDING);
    let range = txn::whole(pending.clone());
    let found = cluster.range(range).await?;
    let Some(entry) = found.kvs.first() else { return Ok(()) };
    let id = String::from_utf8_lossy(&entry.value).into_owned();
    let is_pending = txn::written_by(pending.clone(), entry.mod_revision);
    while let Some(part) = first_part(core, &id).await? {
        let lost = |error: prost::DecodeError| {
            Trouble::Lost(format!("a part of a large commit is damaged: {error}"))
        };
        let mut txn = pb::TxnRequest::decode(part.value.clone()).map_err(lost)?;
        // If the comparison fails, another client has carried the part out already.
        txn.compare = vec![is_pending.clone(), txn::written_by(part.key.clone(), part.mod_revision)];
        txn.success.push(txn::delete(part.key.clone()));
        let response = cluster.txn(txn).await?;
        core.note_header(response.header.as_ref());
    }
    let end = pb::TxnRequest {
        compare: vec![is_pending],
        success: vec![txn::delete(pending)],
        ..pb::TxnRequest::default()
    };
    cluster.txn(end).await.map(drop)
}

async fn first_part(core: &Core, id: &str) -> Result<Option<crate::proto::etcd::mvccpb::KeyValue>, Trouble> {
    let (key, range_end) = core.keys.own_range(&part_prefix(id));
    let range = pb::RangeRequest { range_end, limit: 1, ..txn::whole(key) };
    let found = core.cluster.range(range).await?;
    Ok(found.kvs.into_iter().next())
}

/// Removes the parts of commits that did not take effect and no longer can.
pub(in crate::engine::etcd) async fn sweep(core: &Arc<Core>) -> Result<(), Trouble> {
    let cluster = &core.cluster;
    let (key, range_end) = core.keys.own_range(STAGED);
    let pending = core.keys.own(PENDING);
    let read = pb::TxnRequest {
        success: vec![
            txn::range(txn::whole(pending.clone())),
            txn::range(pb::RangeRequest { range_end, ..txn::bare(key.clone()) }),
        ],
        ..pb::TxnRequest::default()
    };
    let response = cluster.txn(read).await?;
    let found = txn::found(&response);
    let entry = found.first().and_then(|range| range.kvs.first());
    let parts = found.get(1).map(|range| &range.kvs[..]).unwrap_or_default();
    let ids = parts.iter().filter_map(|part| {
        let name = std::str::from_utf8(part.key.get(key.len()..)?).ok()?;
        name.split_once('/').map(|(id, _)| id)
    });
    let mut ids: Vec<&str> =
        ids.filter(|id| entry.is_none_or(|entry| entry.value != id.as_bytes())).collect();
    ids.dedup();
    for id in ids {
        let remove = pb::TxnRequest {
            compare: vec![
                txn::absent(staging(core, id)),
                txn::written_by(pending.clone(), entry.map_or(0, |entry| entry.mod_revision)),
            ],
            success: vec![txn::delete_range(core.keys.own_range(&part_prefix(id)))],
            ..pb::TxnRequest::default()
        };
        cluster.txn(remove).await?;
    }
    Ok(())
}
