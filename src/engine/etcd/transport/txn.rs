//! The parts of a transaction.

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

/// The key was written last by this revision; 0 if it is absent.
pub(in crate::engine::etcd) fn written_by(key: Bytes, revision: i64) -> pb::Compare {
    compare(key, CompareResult::Equal, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

pub(in crate::engine::etcd) fn written_before(key: Bytes, revision: i64) -> pb::Compare {
    compare(key, CompareResult::Less, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// `lease` is 0 for none.
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

/// Operations that are one: a transaction in a transaction has a limit of its own.
pub(in crate::engine::etcd) fn nested(success: Vec<pb::RequestOp>) -> pb::RequestOp {
    op(Request::RequestTxn(pb::TxnRequest { compare: Vec::new(), success, failure: Vec::new() }))
}

/// Reads a key with its value.
pub(in crate::engine::etcd) fn whole(key: Bytes) -> pb::RangeRequest {
    pb::RangeRequest { key, ..pb::RangeRequest::default() }
}

/// Reads when a key was written.
pub(in crate::engine::etcd) fn bare(key: Bytes) -> pb::RangeRequest {
    pb::RangeRequest { keys_only: true, ..whole(key) }
}

/// What each of the ranges of a transaction found.
pub(in crate::engine::etcd) fn found(answer: &pb::TxnResponse) -> Vec<&pb::RangeResponse> {
    answer
        .responses
        .iter()
        .filter_map(|response| match &response.response {
            Some(Response::ResponseRange(range)) => Some(range),
            _ => None,
        })
        .collect()
}

/// What the last range of a transaction found.
pub(in crate::engine::etcd) fn take_last(answer: &mut pb::TxnResponse) -> pb::RangeResponse {
    match answer.responses.pop().and_then(|response| response.response) {
        Some(Response::ResponseRange(range)) => range,
        _ => pb::RangeResponse::default(),
    }
}

/// The revision that wrote the one key of a range; 0 if it is absent.
pub(in crate::engine::etcd) fn revision(range: Option<&&pb::RangeResponse>) -> i64 {
    range.and_then(|range| range.kvs.first()).map_or(0, |kv| kv.mod_revision)
}
