//! Tests specific to etcd: commits whose response was lost, large commits, leases.

#[path = "../../../tests/common/etcd/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the integration tests start clusters too")]
mod etcd;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::commit::attempt::{Attempt, Request};
use super::commit::pending::{self, PENDING};
use super::transport::txn;
use super::{EtcdEngine, EtcdOptions};
use crate::engine::{Batch, Durability, Engine, Expect, Liveness, Outcome, Received};
use crate::error::Result;
use crate::model::List;
use crate::proto::etcd::etcdserverpb as pb;
use crate::proto::record::Owner;
use crate::record::{Key, KeyRange};

use etcd::Lent;

/// Starts a member that the test has to itself.
pub(crate) fn start() -> Option<Lent> {
    Lent::new()
}

fn options(member: &Lent) -> EtcdOptions {
    EtcdOptions::new(member.endpoints()).prefix(member.prefix.clone())
}

pub(crate) fn connect(member: &Lent) -> Result<EtcdEngine> {
    EtcdEngine::connect(&options(member), Duration::from_millis(200)).map(|(engine, _)| engine)
}

fn key(n: usize) -> Key {
    Key::item("p", List::Active, &format!("{n:06}"))
}

fn put(n: usize, payload: &'static [u8]) -> Batch {
    Batch::new().put(key(n), Bytes::from_static(payload))
}

fn committed(engine: &EtcdEngine, batch: Batch) -> u64 {
    match engine.commit(batch, Durability::Buffered).unwrap() {
        Outcome::Committed(seq) => seq,
        Outcome::Failed(n) => panic!("precondition {n} failed"),
    }
}

fn client(engine: &EtcdEngine) -> Arc<Client> {
    engine.client.clone()
}

/// Sends a commit, discards the response, and sends the commit again.
#[test]
fn a_commit_whose_response_was_lost_is_applied_once() {
    let Some(cluster) = start() else { return };
    let engine = connect(&cluster).unwrap();
    let first = committed(&engine, put(1, b"a"));
    let client = client(&engine);
    let outcome = client
        .wait(move |core| async move {
            let batch = put(1, b"b").expect(key(1), Expect::Version(first));
            let request = Request::new(&core, batch);
            let attempt = Attempt::new(&core, &request, request.writes.clone());
            attempt.run_twice().await
        })
        .unwrap();
    assert_eq!(outcome.unwrap(), Outcome::Committed(first + 1));
    let record = engine.get(&key(1)).unwrap().unwrap();
    assert_eq!((record.version, &record.payload[..]), (first + 1, &b"b"[..]));
    assert_eq!(engine.newest_seq().unwrap(), first + 1, "the commit used more than one revision");
}

/// The commit exceeds both limits of a transaction: operations and bytes.
#[test]
fn a_large_commit_is_all_or_nothing_and_leaves_nothing_behind() {
    let Some(cluster) = start() else { return };
    let engine = connect(&cluster).unwrap();
    let before = committed(&engine, put(999_999, b"x"));
    let payload = Bytes::from(vec![7; 300]);
    let batch = |expect| {
        let batch = Batch::new().expect(key(999_999), expect);
        (0..20_000).fold(batch, |batch, n| batch.put(key(n), payload.clone()))
    };
    let refused = engine.commit(batch(Expect::Absent), Durability::Synced).unwrap();
    assert_eq!(refused, Outcome::Failed(0));
    assert_eq!(engine.count(&KeyRange::all()).unwrap(), 1);
    committed(&engine, batch(Expect::Version(before)));
    assert_eq!(engine.count(&KeyRange::all()).unwrap(), 20_001);
    // Thousands of small writes still fit into one transaction.
    let seq = committed(&engine, (0..2_000).fold(Batch::new(), |batch, n| batch.put(key(n), Bytes::new())));
    assert_eq!(engine.get(&key(1_999)).unwrap().unwrap().version, seq);
    let left = own_keys(&engine);
    assert!(left.iter().all(|key| key.contains("slot/") || key.ends_with("store")), "{left:?}");
}

/// A program dies during a large commit: once before and once after the commit takes effect.
#[test]
fn an_interrupted_large_commit_is_finished_or_removed() {
    let Some(cluster) = start() else { return };
    let engine = connect(&cluster).unwrap();
    let client = client(&engine);
    let parts = |id: &'static str, n: usize, pending: bool| {
        client
            .wait(move |core| async move {
                let writes = Request::new(&core, put(n, b"large")).writes;
                let part = pb::TxnRequest { success: writes, ..pb::TxnRequest::default() };
                let value = Bytes::from(prost::Message::encode_to_vec(&part));
                let mut puts = vec![txn::put(core.keys.own(&format!("staged/{id}/00000000")), value, 0)];
                if pending {
                    puts.push(txn::put(core.keys.own(PENDING), Bytes::from_static(id.as_bytes()), 0));
                }
                core.cluster.txn(pb::TxnRequest { success: puts, ..pb::TxnRequest::default() }).await
            })
            .unwrap()
            .unwrap();
    };
    parts("made", 1, true);
    parts("abandoned", 2, false);
    assert_eq!(&engine.get(&key(1)).unwrap().unwrap().payload[..], b"large");
    let absent = put(3, b"x").expect(key(1), Expect::Absent);
    assert_eq!(engine.commit(absent, Durability::Synced).unwrap(), Outcome::Failed(0));
    client.wait(|core| async move { pending::sweep(&core).await }).unwrap().unwrap();
    assert!(engine.get(&key(2)).unwrap().is_none());
    let left = own_keys(&engine);
    assert!(left.iter().all(|key| key.contains("slot/") || key.ends_with("store")), "{left:?}");
}

fn own_keys(engine: &EtcdEngine) -> Vec<String> {
    let found = client(engine)
        .wait(|core| async move {
            let (key, range_end) = core.keys.own_range("");
            core.cluster.range(pb::RangeRequest { range_end, ..txn::bare(key) }).await
        })
        .unwrap()
        .unwrap();
    found.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}

#[test]
fn an_owner_in_another_program_lives_until_its_lease_expires_or_is_revoked() {
    let Some(cluster) = start() else { return };
    let options = options(&cluster);
    let open = || EtcdEngine::connect(&options, Duration::from_millis(200)).unwrap();
    let ((one, one_lives), (_other, other_sees)) = (open(), open());
    let begin = |timeout| {
        let pulse = one_lives.begin(Duration::ZERO, timeout).unwrap();
        let owner = Owner { opening: one_lives.opening().to_owned(), claim: pulse.claim, ..Owner::default() };
        (pulse, owner)
    };
    let lives = |owner: &Owner| other_sees.lives_for(owner, None, Duration::ZERO).unwrap();
    let (pulse, owner) = begin(Duration::from_secs(2));
    assert!(lives(&owner).is_some());
    // Heartbeats renew the lease; without them it expires.
    for n in 1..8 {
        std::thread::sleep(Duration::from_millis(500));
        pulse.beat(Duration::from_millis(500 * n));
    }
    assert!(lives(&owner).is_some());
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while lives(&owner).is_some() {
        assert!(std::time::Instant::now() < deadline, "the lease does not expire");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Closing a store revokes its leases.
    let (_pulse, owner) = begin(Duration::from_secs(600));
    assert!(lives(&owner).is_some());
    one.close().unwrap();
    assert_eq!(lives(&owner), None);
}

#[test]
fn a_feed_announces_the_commits_of_other_programs() {
    let Some(cluster) = start() else { return };
    let (one, other) = (connect(&cluster).unwrap(), connect(&cluster).unwrap());
    let subscription = one.feed().subscribe(100);
    let seq = committed(&other, put(1, b"a").put(key(2), Bytes::new()));
    let Received::Commit(commit) = subscription.receive(Some(Duration::from_secs(20))) else {
        panic!("no commit received")
    };
    assert_eq!((commit.seq, commit.keys.len()), (seq, 2));
}
