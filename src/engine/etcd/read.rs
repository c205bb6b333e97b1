//! Linearizable reads; a scan reads all its pages at one revision.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::client::{Client, Core};
use crate::engine::Visitor;
use crate::engine::etcd::commit::pending::{self, PENDING};
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::etcd::transport::txn;
use crate::error::Result;
use crate::proto::etcd::etcdserverpb as pb;
use crate::record::{Key, KeyRange, Record};

/// The number of records in the first page of a scan, and the maximum of later ones.
const PAGE_MIN: usize = 64;
const PAGE_MAX: usize = 8192;

/// The intended size of a page.
const PAGE_BYTES: usize = 1 << 20;

/// How often a scan restarts if its revision was compacted before it visited a record.
const ATTEMPTS_MAX: u32 = 5;

impl Core {
    /// Reads a range at the newest revision, which it also returns. If a large commit is pending,
    /// carries it out first.
    pub(super) async fn read(
        self: &Arc<Self>,
        range: pb::RangeRequest,
    ) -> Result<(i64, pb::RangeResponse), Trouble> {
        let read = pb::TxnRequest {
            success: vec![txn::range(txn::bare(self.keys.own(PENDING))), txn::range(range)],
            ..pb::TxnRequest::default()
        };
        loop {
            let mut response = self.cluster.txn(read.clone()).await?;
            let revision = self.note_header(response.header.as_ref());
            if txn::revision(txn::found(&response).first()) == 0 {
                return Ok((revision, txn::take_last(&mut response)));
            }
            pending::finish(self).await?;
        }
    }

    /// Returns the newest revision of the cluster.
    pub(super) async fn newest(self: &Arc<Self>) -> Result<i64, Trouble> {
        let range = pb::RangeRequest { count_only: true, ..txn::whole(self.keys.own("store")) };
        Ok(self.read(range).await?.0)
    }

    async fn page(self: &Arc<Self>, range: pb::RangeRequest) -> Result<(i64, pb::RangeResponse), Trouble> {
        if range.revision == 0 {
            return self.read(range).await;
        }
        let revision = range.revision;
        let found = self.cluster.range(range).await?;
        Ok((revision, found))
    }
}

impl Client {
    pub(super) fn get(&self, key: &Key) -> Result<Option<Record>> {
        let range = txn::whole(self.core.keys.record(key.bytes()));
        let (_, found) = self.read(range)?;
        found.kvs.first().map(|kv| self.core.identity.open(&self.core.keys, kv)).transpose()
    }

    pub(super) fn count(&self, range: &KeyRange) -> Result<u64> {
        if range.start >= range.end {
            return Ok(0);
        }
        let (key, range_end) = self.core.keys.range(range);
        let (_, found) = self.read(pb::RangeRequest { range_end, count_only: true, ..txn::whole(key) })?;
        Ok(found.count.unsigned_abs())
    }

    /// Returns the newest revision of the cluster.
    pub(super) fn newest(&self) -> Result<i64> {
        let newest = self.wait(|core| async move { core.newest().await })?;
        newest.map_err(|trouble| self.core.cluster.error(trouble))
    }

    fn read(&self, range: pb::RangeRequest) -> Result<(i64, pb::RangeResponse)> {
        let found = self.wait(|core| async move { core.read(range).await })?;
        found.map_err(|trouble| self.core.cluster.error(trouble))
    }

    /// Visits at most `max` records at `revision`; 0 means the newest.
    pub(super) fn scan(
        &self,
        range: &KeyRange,
        max: usize,
        revision: i64,
        visit: &mut Visitor<'_>,
    ) -> Result<()> {
        if range.start >= range.end || max == 0 {
            return self.check_open();
        }
        let (next, end) = self.core.keys.range(range);
        let mut scan = Scan { left: max, size: PAGE_MIN, revision, next, end };
        let mut attempts = 0;
        let first = scan.next.clone();
        loop {
            let range = scan.range();
            let page = self.wait(|core| async move { core.page(range).await })?;
            let (as_of, page) = match page {
                Ok(page) => page,
                Err(Trouble::Compacted) if revision == 0 && scan.next == first && attempts < ATTEMPTS_MAX => {
                    (scan.revision, attempts) = (0, attempts + 1);
                    continue;
                }
                Err(trouble) => return Err(self.core.cluster.error(trouble)),
            };
            scan.revision = as_of;
            if self.visit_page(&mut scan, &page, visit)?.is_break() {
                return Ok(());
            }
        }
    }

    fn visit_page(
        &self,
        scan: &mut Scan,
        page: &pb::RangeResponse,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>> {
        let mut bytes = 0;
        for kv in &page.kvs {
            bytes += kv.key.len() + kv.value.len();
            let record = self.core.identity.open(&self.core.keys, kv)?;
            if visit(record.borrow()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let Some(last) = page.kvs.last() else { return Ok(ControlFlow::Break(())) };
        scan.advance(&last.key, page.kvs.len(), bytes);
        Ok(if page.more && scan.left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

/// The position of a scan.
struct Scan {
    left: usize,
    size: usize,
    /// 0 until the first page is read.
    revision: i64,
    next: Bytes,
    end: Bytes,
}

impl Scan {
    fn range(&self) -> pb::RangeRequest {
        pb::RangeRequest {
            range_end: self.end.clone(),
            limit: i64::try_from(self.size.min(self.left)).unwrap_or(i64::MAX),
            revision: self.revision,
            ..txn::whole(self.next.clone())
        }
    }

    fn advance(&mut self, last: &Bytes, records: usize, bytes: usize) {
        let mut next = BytesMut::from(&last[..]);
        next.put_u8(0);
        self.next = next.freeze();
        self.left = self.left.saturating_sub(records);
        let fitting = PAGE_BYTES / (bytes / records.max(1)).max(1);
        self.size = fitting.clamp(1, (self.size * 4).min(PAGE_MAX));
    }
}
