//! Builds transactions and reads their responses.

use bytes::Bytes;

use crate::proto::etcd::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use pb::response_op::Response;

fn compare(key: Bytes, result: CompareResult, target: CompareTarget, with: TargetUnion) -> pb::Compare {
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key,
        target_union: Some(with),
        range_end: Bytes::new(),
    }
}

pub(in crate::engine::etcd) fn absent(key: Bytes) -> pb::Compare {
    compare(key, CompareResult::Equal, CompareTarget::Create, TargetUnion::CreateRevision(0))
}

pub(in crate::engine::etcd) fn present(key: Bytes) -> pb::Compare {
    compare(key, CompareResult::Greater, CompareTarget::Create, TargetUnion::CreateRevision(0))
}

/// Requires that this revision last wrote the key; 0 requires that the key is absent.
pub(in crate::engine::etcd) fn written_by(key: Bytes, revision: i64) -> pb::Compare {
    compare(key, CompareResult::Equal, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

pub(in crate::engine::etcd) fn written_before(key: Bytes, revision: i64) -> pb::Compare {
    compare(key, CompareResult::Less, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// A `lease` of 0 means none.
pub(in crate::engine::etcd) fn put(key: Bytes, value: Bytes, lease: i64) -> pb::RequestOp {
    op(Request::RequestPut(pb::PutRequest { key, value, lease }))
}

pub(in crate::engine::etcd) fn delete(key: Bytes) -> pb::RequestOp {
    op(Request::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end: Bytes::new() }))
}

pub(in crate::engine::etcd) fn delete_range((key, range_end): (Bytes, Bytes)) -> pb::RequestOp {
    op(Request::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end }))
}

pub(in crate::engine::etcd) fn range(range: pb::RangeRequest) -> pb::RequestOp {
    op(Request::RequestRange(range))
}

/// Nests operations, which then count as one: etcd limits each nested transaction separately.
pub(in crate::engine::etcd) fn nested(success: Vec<pb::RequestOp>) -> pb::RequestOp {
    op(Request::RequestTxn(pb::TxnRequest { compare: Vec::new(), success, failure: Vec::new() }))
}

/// Reads a key and its value.
pub(in crate::engine::etcd) fn whole(key: Bytes) -> pb::RangeRequest {
    pb::RangeRequest { key, ..pb::RangeRequest::default() }
}

/// Reads the revision of a key without its value.
pub(in crate::engine::etcd) fn bare(key: Bytes) -> pb::RangeRequest {
    pb::RangeRequest { keys_only: true, ..whole(key) }
}

/// Returns the result of each range in a transaction.
pub(in crate::engine::etcd) fn found(response: &pb::TxnResponse) -> Vec<&pb::RangeResponse> {
    response
        .responses
        .iter()
        .filter_map(|response| match &response.response {
            Some(Response::ResponseRange(range)) => Some(range),
            _ => None,
        })
        .collect()
}

/// Takes the result of the last range in a transaction.
pub(in crate::engine::etcd) fn take_last(response: &mut pb::TxnResponse) -> pb::RangeResponse {
    match response.responses.pop().and_then(|response| response.response) {
        Some(Response::ResponseRange(range)) => range,
        _ => pb::RangeResponse::default(),
    }
}

/// Returns the revision that wrote the only key in a range; 0 if the key is absent.
pub(in crate::engine::etcd) fn revision(range: Option<&&pb::RangeResponse>) -> i64 {
    range.and_then(|range| range.kvs.first()).map_or(0, |kv| kv.mod_revision)
}
