//! A commit as one transaction whose outcome is determined even if a response is lost.
//!
//! After a lost connection, a timeout or a change of the leader, the transaction may have been
//! applied, may still be applied, or may never be. Each transaction therefore compares and writes its
//! own [slot]. A retry cannot apply it twice, and if it was applied, the revision of the slot is the
//! result. If a retry finds a failed precondition, the commit first writes its slot alone and only
//! then reports the failure: a copy of the transaction that is still in flight can then no longer be
//! applied.
//!
//! [slot]: super::slots

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::etcd::client::Core;
use crate::engine::etcd::commit::pending::PENDING;
use crate::engine::etcd::slots::Slot;
use crate::engine::etcd::transport::cluster::Backoff;
use crate::engine::etcd::transport::trouble::{Reason, Trouble};
use crate::engine::etcd::transport::txn;
use crate::engine::{Batch, Expect, Outcome, Write};
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;
use crate::record;

/// The value of a slot that was written to prevent its commit.
const VOID: Bytes = Bytes::from_static(b"void");

/// A batch as the parts of an etcd transaction.
pub(in crate::engine::etcd) struct Request {
    pub(in crate::engine::etcd) compare: Vec<pb::Compare>,
    /// The key and the expectation of each precondition.
    pub(in crate::engine::etcd) expected: Vec<(Bytes, Expect)>,
    pub(in crate::engine::etcd) writes: Vec<pb::RequestOp>,
    pub(in crate::engine::etcd) bytes: usize,
}

impl Request {
    pub(in crate::engine::etcd) fn new(core: &Core, batch: Batch) -> Self {
        let mut compare = vec![txn::absent(core.keys.own(PENDING))];
        let mut expected = Vec::with_capacity(batch.preconditions.len());
        for precondition in batch.preconditions {
            let key = core.keys.record(precondition.key.bytes());
            compare.extend(compares(core, &key, precondition.expect));
            expected.push((key, precondition.expect));
        }
        let mut bytes = compare.iter().map(|compare| compare.key.len() + 16).sum();
        let writes = writes(core, batch.writes, &mut bytes);
        Self { compare, expected, writes, bytes }
    }

    /// Returns the transaction with this slot; a commit without writes has no slot.
    fn txn(&self, slot: Option<&Slot>, writes: Vec<pb::RequestOp>) -> pb::TxnRequest {
        let mut txn = pb::TxnRequest { compare: self.compare.clone(), success: writes, failure: Vec::new() };
        if let Some(slot) = slot {
            txn.compare.push(txn::written_by(slot.key.clone(), slot.revision));
            txn.success.push(txn::put(slot.key.clone(), Bytes::new(), slot.lease));
        }
        let slot = slot.map(|slot| txn::range(txn::bare(slot.key.clone())));
        let expected = self.expected.iter().map(|(key, _)| txn::range(txn::bare(key.clone())));
        txn.failure = slot.into_iter().chain(expected).collect();
        txn
    }

    /// Returns the first precondition that does not hold in the records that were found.
    fn failed(&self, core: &Core, found: &[&pb::RangeResponse]) -> Option<usize> {
        let holds = |(n, (_, expect)): (usize, &(Bytes, Expect))| {
            let revision = txn::revision(found.get(n));
            match *expect {
                Expect::Absent => revision == 0,
                Expect::Version(version) => match core.identity.revision(version) {
                    Some(expected) => revision == expected,
                    None => (1..core.identity.begin()).contains(&revision),
                },
            }
        };
        self.expected.iter().enumerate().position(|one| !holds(one))
    }
}

fn compares(core: &Core, key: &Bytes, expect: Expect) -> Vec<pb::Compare> {
    match expect {
        Expect::Absent => vec![txn::absent(key.clone())],
        Expect::Version(version) => match core.identity.revision(version) {
            Some(revision) => vec![txn::written_by(key.clone(), revision)],
            // The record came from the archive that the store was restored from, and was not written
            // since.
            None => vec![txn::present(key.clone()), txn::written_before(key.clone(), core.identity.begin())],
        },
    }
}

/// Returns the last write of each key: etcd refuses a transaction that writes a key twice.
fn writes(core: &Core, writes: Vec<Write>, bytes: &mut usize) -> Vec<pb::RequestOp> {
    let mut seen = HashSet::with_capacity(writes.len());
    let mut operations = Vec::with_capacity(writes.len());
    for mut write in writes.into_iter().rev() {
        if !seen.insert(write.key().bytes().clone()) {
            continue;
        }
        let (key, payload) = write.take();
        let name = core.keys.record(key.bytes());
        *bytes += name.len() + payload.as_ref().map_or(0, Bytes::len) + 48;
        operations.push(match payload {
            // The revision determines the version.
            Some(payload) => txn::put(name, record::seal(key, 0, &payload), 0),
            None => txn::delete(name),
        });
    }
    operations.reverse();
    operations
}

/// Returns the writes of one transaction, grouped into nested transactions if there are too many;
/// `None` if they do not fit even then.
pub(in crate::engine::etcd) fn pack(
    writes: &[pb::RequestOp],
    compares: usize,
    operations: usize,
) -> Option<Vec<pb::RequestOp>> {
    // The slot is one more.
    if writes.len() < operations {
        return Some(writes.to_vec());
    }
    let group_size = |groups: usize| (groups, operations.saturating_sub(compares.max(groups + 1)));
    let fits = |&(groups, size): &(usize, usize)| groups * size >= writes.len();
    let (_, size) = (1..operations).map(group_size).find(fits)?;
    Some(writes.chunks(size).map(|chunk| txn::nested(chunk.to_vec())).collect())
}

/// The result of an attempt.
pub(in crate::engine::etcd) enum End {
    Outcome(Outcome),
    /// A pending large commit has to be carried out first.
    Pending,
    /// The cluster's limits are lower than assumed.
    TooLarge,
}

/// Checks the preconditions of a commit without writes, which needs no slot.
pub(in crate::engine::etcd) async fn check(core: &Arc<Core>, request: &Request) -> Result<End> {
    let txn = request.txn(None, Vec::new());
    let response = core.cluster.txn(txn).await;
    let response = response.map_err(|trouble| core.cluster.error(trouble))?;
    let revision = core.note_header(response.header.as_ref());
    if response.succeeded {
        return Ok(End::Outcome(Outcome::Committed(core.identity.seq(revision))));
    }
    let failed = request.failed(core, &txn::found(&response));
    Ok(failed.map_or(End::Pending, |failed| End::Outcome(Outcome::Failed(failed))))
}

pub(in crate::engine::etcd) struct Attempt<'a> {
    core: &'a Arc<Core>,
    request: &'a Request,
    writes: Vec<pb::RequestOp>,
    /// Why the last response was lost, if the commit may have been applied.
    doubt: Option<String>,
    backoff: Backoff,
}

impl<'a> Attempt<'a> {
    pub(in crate::engine::etcd) fn new(
        core: &'a Arc<Core>,
        request: &'a Request,
        writes: Vec<pb::RequestOp>,
    ) -> Self {
        Self { core, request, writes, doubt: None, backoff: Backoff::new(core.cluster.timeout) }
    }

    pub(in crate::engine::etcd) async fn run(mut self) -> Result<End> {
        let mut slot = self.slot().await?;
        loop {
            let txn = self.request.txn(Some(&slot), self.writes.clone());
            match self.core.cluster.txn_once(txn).await {
                Ok(response) => {
                    let revision = self.core.note_header(response.header.as_ref());
                    if response.succeeded {
                        return Ok(self.committed(slot, revision));
                    }
                    let found = txn::found(&response);
                    let (first, rest) =
                        found.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
                    let written = txn::revision(first);
                    if written == slot.revision {
                        return self.failed(slot, rest).await;
                    }
                    match self.doubt.take() {
                        // An earlier attempt was applied: a slot has no other writer.
                        Some(_) if written > slot.revision => return Ok(self.committed(slot, written)),
                        Some(why) => return Err(self.uncertain(why)),
                        None => slot = self.replace(slot).await?,
                    }
                }
                Err(trouble) => match self.trouble(trouble).await? {
                    Next::Again => {}
                    Next::AnotherSlot => slot = self.replace(slot).await?,
                    Next::TooLarge => {
                        self.core.slots.give_back_unused(slot);
                        return Ok(End::TooLarge);
                    }
                },
            }
        }
    }

    /// Commits, discards the response, and commits again.
    #[cfg(test)]
    pub(in crate::engine::etcd) async fn run_twice(mut self) -> Result<Outcome> {
        let slot = self.slot().await?;
        let txn = self.request.txn(Some(&slot), self.writes.clone());
        let response =
            self.core.cluster.txn_once(txn).await.map_err(|trouble| self.core.cluster.error(trouble))?;
        assert!(response.succeeded);
        self.core.slots.give_back_unused(slot);
        self.doubt = Some("the test discarded the response".to_owned());
        match self.run().await? {
            End::Outcome(outcome) => Ok(outcome),
            _ => panic!("neither committed nor refused"),
        }
    }

    fn committed(&self, slot: Slot, revision: i64) -> End {
        self.core.slots.give_back(slot, revision);
        End::Outcome(Outcome::Committed(self.core.identity.seq(revision)))
    }

    /// Ends an attempt whose comparison failed, after it has prevented earlier attempts from being
    /// applied later.
    async fn failed(mut self, slot: Slot, found: &[&pb::RangeResponse]) -> Result<End> {
        let end = match self.request.failed(self.core, found) {
            Some(failed) => End::Outcome(Outcome::Failed(failed)),
            None => End::Pending,
        };
        let mut revision = slot.revision;
        if let Some(why) = self.doubt.take() {
            let (key, lease) = (&slot.key, slot.lease);
            let txn = pb::TxnRequest {
                compare: vec![txn::written_by(key.clone(), revision)],
                success: vec![txn::put(key.clone(), VOID, lease)],
                failure: vec![txn::range(txn::whole(key.clone()))],
            };
            let cluster = &self.core.cluster;
            let response = cluster.txn(txn).await;
            let response = response.map_err(|_| self.uncertain(why))?;
            let now = self.core.note_header(response.header.as_ref());
            let found = txn::found(&response);
            let written = found.first().and_then(|range| range.kvs.first());
            match written {
                // An earlier attempt was applied meanwhile.
                Some(kv) if kv.value.is_empty() => return Ok(self.committed(slot, kv.mod_revision)),
                Some(kv) => revision = kv.mod_revision,
                None => revision = now,
            }
        }
        self.core.slots.give_back(slot, revision);
        Ok(end)
    }

    async fn slot(&self) -> Result<Slot> {
        self.core.slots.take().await.map_err(|trouble| self.core.cluster.error(trouble))
    }

    /// Replaces a slot whose lease has expired.
    async fn replace(&self, slot: Slot) -> Result<Slot> {
        self.core.slots.forget(slot.lease).await;
        self.slot().await
    }

    async fn trouble(&mut self, trouble: Trouble) -> Result<Next> {
        match trouble {
            Trouble::Lost(why) => {
                let again = self.backoff.next(why.clone()).await;
                self.doubt = Some(why);
                again.map_err(|why| self.uncertain(why))?;
                Ok(Next::Again)
            }
            Trouble::Token => {
                let renewed = self.core.cluster.renew_token(&mut self.backoff).await;
                renewed.map_err(|trouble| self.give_up(trouble))?;
                Ok(Next::Again)
            }
            // This attempt was refused, but the fate of the one in doubt stays unknown.
            trouble if self.doubt.is_some() => Err(self.give_up(trouble)),
            Trouble::Lease => Ok(Next::AnotherSlot),
            Trouble::Operations if self.core.limits.lower_operations() => Ok(Next::TooLarge),
            Trouble::Bytes if self.core.limits.lower_bytes() => Ok(Next::TooLarge),
            trouble => Err(self.core.cluster.error(trouble)),
        }
    }

    /// Returns the error that ends a commit; it says so if the commit may have been applied.
    fn give_up(&mut self, trouble: Trouble) -> Error {
        match self.doubt.take() {
            None => self.core.cluster.error(trouble),
            Some(why) => match trouble {
                Trouble::Final(Reason::Other(then)) => self.uncertain(format!("{why}; then: {then}")),
                _ => self.uncertain(why),
            },
        }
    }

    fn uncertain(&self, why: String) -> Error {
        Failure::Uncertain { place: self.core.cluster.place.clone(), why }.into()
    }
}

enum Next {
    Again,
    AnotherSlot,
    TooLarge,
}
