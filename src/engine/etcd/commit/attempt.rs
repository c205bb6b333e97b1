//! A commit as one transaction, whose fate is found out whatever becomes of the answer.
//!
//! A connection that is lost, a time-out, a leader that changes: the transaction may have
//! been made, may be made still, or never. Each one compares and writes a [slot] of its own.
//! Sent again, it cannot be made twice; if it was made, its slot tells by which revision. One
//! that fails after it was in doubt writes the slot alone, before anybody is told: what of it
//! is still under way can then not be made any more.
//!
//! [slot]: super::slots

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::etcd::client::Core;
use crate::engine::etcd::commit::pending::PENDING;
use crate::engine::etcd::slots::Slot;
use crate::engine::etcd::transport::line::Pause;
use crate::engine::etcd::transport::trouble::{Reason, Trouble};
use crate::engine::etcd::transport::txn;
use crate::engine::{Batch, Expect, Outcome, Write};
use crate::error::{Error, Failure, Result};
use crate::proto::etcd::etcdserverpb as pb;
use crate::record;

/// What a slot holds that was written so that its commit is never made.
const VOID: Bytes = Bytes::from_static(b"void");

/// A batch, as it is asked of etcd.
pub(in crate::engine::etcd) struct Request {
    pub(in crate::engine::etcd) compare: Vec<pb::Compare>,
    /// The keys of the preconditions, and what is expected of them.
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

    /// What is asked with this slot; `None` without one, if nothing is written.
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

    /// Which precondition does not hold, by what was found of each.
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
            // It came with what the store was restored from, and nobody has written it since.
            None => vec![txn::present(key.clone()), txn::written_before(key.clone(), core.identity.begin())],
        },
    }
}

/// The last write of each key: of one, a transaction takes no more.
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
            // The revision tells the version.
            Some(payload) => txn::put(name, record::seal(key, 0, &payload), 0),
            None => txn::delete(name),
        });
    }
    operations.reverse();
    operations
}

/// The writes of one transaction, packed into transactions of their own if there are too
/// many; `None` if that is of no use either.
pub(in crate::engine::etcd) fn pack(
    writes: &[pb::RequestOp],
    compares: usize,
    operations: usize,
) -> Option<Vec<pb::RequestOp>> {
    // With the slot.
    if writes.len() < operations {
        return Some(writes.to_vec());
    }
    let packs = |groups: usize| (groups, operations.saturating_sub(compares.max(groups + 1)));
    let fits = |&(groups, size): &(usize, usize)| groups * size >= writes.len();
    let (_, size) = (1..operations).map(packs).find(fits)?;
    Some(writes.chunks(size).map(|chunk| txn::nested(chunk.to_vec())).collect())
}

/// How an attempt ends.
pub(in crate::engine::etcd) enum Made {
    Outcome(Outcome),
    /// A large commit comes first.
    Pending,
    /// The limits are lower than was thought.
    TooLarge,
}

/// A commit that writes nothing needs no slot.
pub(in crate::engine::etcd) async fn check(core: &Arc<Core>, request: &Request) -> Result<Made> {
    let txn = request.txn(None, Vec::new());
    let answer = core.line.txn(txn).await;
    let answer = answer.map_err(|trouble| core.line.error(trouble))?;
    let revision = core.note_header(answer.header.as_ref());
    if answer.succeeded {
        return Ok(Made::Outcome(Outcome::Committed(core.identity.seq(revision))));
    }
    let failed = request.failed(core, &txn::found(&answer));
    Ok(failed.map_or(Made::Pending, |failed| Made::Outcome(Outcome::Failed(failed))))
}

pub(in crate::engine::etcd) struct Attempt<'a> {
    core: &'a Arc<Core>,
    request: &'a Request,
    writes: Vec<pb::RequestOp>,
    /// An answer was lost: why.
    doubt: Option<String>,
    pause: Pause,
}

impl<'a> Attempt<'a> {
    pub(in crate::engine::etcd) fn new(
        core: &'a Arc<Core>,
        request: &'a Request,
        writes: Vec<pb::RequestOp>,
    ) -> Self {
        Self { core, request, writes, doubt: None, pause: Pause::new(core.line.patience) }
    }

    pub(in crate::engine::etcd) async fn make(mut self) -> Result<Made> {
        let mut slot = self.slot().await?;
        loop {
            let txn = self.request.txn(Some(&slot), self.writes.clone());
            match self.core.line.txn_once(txn).await {
                Ok(answer) => {
                    let revision = self.core.note_header(answer.header.as_ref());
                    if answer.succeeded {
                        return Ok(self.made(slot, revision));
                    }
                    let found = txn::found(&answer);
                    let (first, rest) =
                        found.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
                    let written = txn::revision(first);
                    if written == slot.revision {
                        return self.failed(slot, rest).await;
                    }
                    match self.doubt.take() {
                        // Somebody made it, and that was this commit: a slot has no other writer.
                        Some(_) if written > slot.revision => return Ok(self.made(slot, written)),
                        Some(why) => return Err(self.uncertain(why)),
                        None => slot = self.another(slot).await?,
                    }
                }
                Err(trouble) => match self.trouble(trouble).await? {
                    Next::Again => {}
                    Next::AnotherSlot => slot = self.another(slot).await?,
                    Next::TooLarge => {
                        self.core.slots.give_back_unused(slot);
                        return Ok(Made::TooLarge);
                    }
                },
            }
        }
    }

    /// Makes it, loses the answer, and makes it again.
    #[cfg(test)]
    pub(in crate::engine::etcd) async fn make_twice(mut self) -> Result<Outcome> {
        let slot = self.slot().await?;
        let txn = self.request.txn(Some(&slot), self.writes.clone());
        let answer = self.core.line.txn_once(txn).await.map_err(|trouble| self.core.line.error(trouble))?;
        assert!(answer.succeeded);
        self.core.slots.give_back_unused(slot);
        self.doubt = Some("the test lost it".to_owned());
        match self.make().await? {
            Made::Outcome(outcome) => Ok(outcome),
            _ => panic!("neither made nor refused"),
        }
    }

    fn made(&self, slot: Slot, revision: i64) -> Made {
        self.core.slots.give_back(slot, revision);
        Made::Outcome(Outcome::Committed(self.core.identity.seq(revision)))
    }

    /// It is not made as things are, and shall not be later.
    async fn failed(mut self, slot: Slot, found: &[&pb::RangeResponse]) -> Result<Made> {
        let made = match self.request.failed(self.core, found) {
            Some(failed) => Made::Outcome(Outcome::Failed(failed)),
            None => Made::Pending,
        };
        let mut revision = slot.revision;
        if let Some(why) = self.doubt.take() {
            let (key, lease) = (&slot.key, slot.lease);
            let txn = pb::TxnRequest {
                compare: vec![txn::written_by(key.clone(), revision)],
                success: vec![txn::put(key.clone(), VOID, lease)],
                failure: vec![txn::range(txn::whole(key.clone()))],
            };
            let line = &self.core.line;
            let answer = line.txn(txn).await;
            let answer = answer.map_err(|_| self.uncertain(why))?;
            let now = self.core.note_header(answer.header.as_ref());
            let found = txn::found(&answer);
            let written = found.first().and_then(|range| range.kvs.first());
            match written {
                // It was made in the end.
                Some(kv) if kv.value.is_empty() => return Ok(self.made(slot, kv.mod_revision)),
                Some(kv) => revision = kv.mod_revision,
                None => revision = now,
            }
        }
        self.core.slots.give_back(slot, revision);
        Ok(made)
    }

    async fn slot(&self) -> Result<Slot> {
        self.core.slots.take().await.map_err(|trouble| self.core.line.error(trouble))
    }

    /// The lease of this one has run out.
    async fn another(&self, slot: Slot) -> Result<Slot> {
        self.core.slots.forget(slot.lease).await;
        self.slot().await
    }

    async fn trouble(&mut self, trouble: Trouble) -> Result<Next> {
        match trouble {
            Trouble::Lost(why) => {
                let again = self.pause.next(why.clone()).await;
                self.doubt = Some(why);
                again.map_err(|why| self.uncertain(why))?;
                Ok(Next::Again)
            }
            Trouble::Token => {
                let renewed = self.core.line.renew_token(&mut self.pause).await;
                renewed.map_err(|trouble| self.give_up(trouble))?;
                Ok(Next::Again)
            }
            // Nothing was done this time; what was done before can no longer be known.
            trouble if self.doubt.is_some() => Err(self.give_up(trouble)),
            Trouble::Lease => Ok(Next::AnotherSlot),
            Trouble::Operations if self.core.limits.lower_operations() => Ok(Next::TooLarge),
            Trouble::Bytes if self.core.limits.lower_bytes() => Ok(Next::TooLarge),
            trouble => Err(self.core.line.error(trouble)),
        }
    }

    /// An error that stops a commit: what it leaves open is said.
    fn give_up(&mut self, trouble: Trouble) -> Error {
        match self.doubt.take() {
            None => self.core.line.error(trouble),
            Some(why) => match trouble {
                Trouble::Final(Reason::Other(then)) => self.uncertain(format!("{why}; then: {then}")),
                _ => self.uncertain(why),
            },
        }
    }

    fn uncertain(&self, why: String) -> Error {
        Failure::Uncertain { place: self.core.line.place.clone(), why }.into()
    }
}

enum Next {
    Again,
    AnotherSlot,
    TooLarge,
}
