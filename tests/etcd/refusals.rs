//! If etcd refuses a request or cannot serve it, the error says what to do.

use std::time::Duration;

use procstate::{Error, EtcdOptions, Event, Params, Store};
use serde_json::json;

use crate::etcd::{Cluster, PATIENCE};
use crate::gateway::{call, compact, encode};

fn options(cluster: &Cluster) -> EtcdOptions {
    EtcdOptions::new(cluster.endpoints()).timeout(Duration::from_secs(5))
}

fn connect(cluster: &Cluster) -> Store {
    Store::connect(options(cluster).timeout(PATIENCE)).unwrap()
}

fn register(store: &Store, name: &str, bytes: usize) -> Result<(), Error> {
    store.process("p")?.register(name, Params::new().string("pad", "x".repeat(bytes))).map(drop)
}

#[track_caller]
fn assert_contains(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for words in words {
        assert!(text.contains(words), "missing {words:?}: {text}");
    }
}

#[test]
fn a_full_quota_is_reported_and_writes_work_again_once_there_is_space() {
    let Some(cluster) = Cluster::start_with(1, &["--quota-backend-bytes=2000000"]) else { return };
    let store = connect(&cluster);
    let full = (0..50).map(|n| register(&store, &format!("w{n}"), 100_000)).find_map(Result::err).unwrap();
    assert!(full.is_disk_full(), "{full:?}");
    assert_contains(
        &full,
        &["etcd at http://127.0.0.1", "space", "etcdctl compact", "--quota-backend-bytes"],
    );
    // Reads still work, and the next write fails the same way.
    assert!(store.process("p").unwrap().snapshot().unwrap().active_work.len() > 5);
    assert!(register(&store, "small", 1).unwrap_err().is_disk_full());

    // Follows the instructions of the error.
    let member = &cluster.members[0];
    for item in store.process("p").unwrap().snapshot().unwrap().active_work.keys() {
        let key = [b"procstate/\x01p\x00\x50", item.as_bytes()].concat();
        call(member, "/v3/kv/deleterange", &json!({ "key": encode(key) }));
    }
    compact(member);
    call(member, "/v3/maintenance/defragment", &json!({}));
    let alarms = call(member, "/v3/maintenance/alarm", &json!({ "action": "GET" }));
    for alarm in alarms["alarms"].as_array().unwrap() {
        let disarm = json!({ "action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": "NOSPACE" });
        call(member, "/v3/maintenance/alarm", &disarm);
    }
    register(&store, "small", 1).unwrap();
}

#[test]
fn an_unauthorized_client_gets_the_reason() {
    let Some(cluster) = Cluster::start(1) else { return };
    connect(&cluster).close().unwrap();
    let set_up = |path: &str, request| drop(call(&cluster.members[0], path, &request));
    for (name, password) in [("root", "r"), ("reader", "s"), ("owner", "t")] {
        set_up("/v3/auth/user/add", json!({ "name": name, "password": password }));
        set_up("/v3/auth/role/add", json!({ "name": name }));
        set_up("/v3/auth/user/grant", json!({ "user": name, "role": name }));
    }
    for (role, access) in [("reader", "READ"), ("owner", "READWRITE")] {
        let range =
            json!({ "permType": access, "key": encode("procstate/"), "range_end": encode("procstate0") });
        set_up("/v3/auth/role/grant", json!({ "name": role, "perm": range }));
    }
    set_up("/v3/auth/enable", json!({}));

    let anonymous = Store::connect(options(&cluster)).unwrap_err();
    assert!(anonymous.is_unreachable(), "{anonymous:?}");
    assert_contains(&anonymous, &["user", "password"]);
    let wrong = Store::connect(options(&cluster).user("owner", "guess")).unwrap_err();
    assert_contains(&wrong, &["authentication failed", "password"]);

    let owner = Store::connect(options(&cluster).user("owner", "t")).unwrap();
    register(&owner, "w", 1).unwrap();
    let reader = Store::connect(options(&cluster).user("reader", "s"));
    let refused = reader.and_then(|reader| register(&reader, "v", 1)).unwrap_err();
    assert_contains(&refused, &["permission denied", "role"]);
    let elsewhere = Store::connect(options(&cluster).user("owner", "t").prefix("other/")).unwrap_err();
    assert_contains(&elsewhere, &["permission denied", "prefix"]);
}

const AUTHORITY: &str = include_str!("../fixtures/etcd/authority.pem");
const STRANGER: &str = include_str!("../fixtures/etcd/stranger.pem");
const CLIENT: (&str, &str) =
    (include_str!("../fixtures/etcd/client.pem"), include_str!("../fixtures/etcd/client.key"));

#[test]
fn a_failed_tls_handshake_is_reported() {
    let file = |name: &str| format!("{}/tests/fixtures/etcd/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = format!("--cert-file={}", file("member.pem"));
    let key = format!("--key-file={}", file("member.key"));
    let authority = format!("--trusted-ca-file={}", file("authority.pem"));
    let Some(cluster) = Cluster::start_with(1, &[&certificate, &key, &authority, "--client-cert-auth"])
    else {
        return;
    };
    let known = || options(&cluster).ca_certificate(AUTHORITY).client_certificate(CLIENT.0, CLIENT.1);
    let store = Store::connect(known()).unwrap();
    register(&store, "w", 1).unwrap();

    let unknown = Store::connect(known().ca_certificate(STRANGER)).unwrap_err();
    assert!(unknown.is_unreachable(), "{unknown:?}");
    assert_contains(&unknown, &["TLS", "certificate"]);
    let misnamed = Store::connect(known().domain("etcd.example")).unwrap_err();
    assert_contains(&misnamed, &["TLS", "name"]);
    let anonymous = Store::connect(options(&cluster).ca_certificate(AUTHORITY)).unwrap_err();
    assert!(anonymous.is_unreachable(), "{anonymous:?}");
    let plain = cluster.endpoints().into_iter().map(|url| url.replace("https://", "http://"));
    let plain = Store::connect(EtcdOptions::new(plain).timeout(Duration::from_secs(2))).unwrap_err();
    assert!(plain.is_unreachable(), "{plain:?}");
}

#[test]
fn without_a_majority_calls_fail_until_there_is_one_again() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let store = Store::connect(options(&cluster).timeout(Duration::from_secs(2))).unwrap();
    register(&store, "w", 1).unwrap();
    (0..2).for_each(|n| cluster.members[n].kill());

    let read = store.process("p").unwrap().snapshot().unwrap_err();
    assert!(read.is_unreachable(), "{read:?}");
    assert_contains(&read, &["no majority of its members answered", "check that they run"]);
    // The remaining member may have accepted the write, so the error may be uncertain.
    let written = register(&store, "v", 1).unwrap_err();
    assert!(written.is_unreachable() || written.is_uncertain(), "{written:?}");
    let connected = Store::connect(options(&cluster).timeout(Duration::from_secs(2))).unwrap_err();
    assert_contains(&connected, &["no majority of its members answered"]);

    (0..2).for_each(|n| cluster.members[n].restart());
    cluster.await_majority();
    register(&store, "u", 1).unwrap();
    crate::common::check(&store);
}

#[test]
fn an_address_without_a_server_is_reported() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = EtcdOptions::new([format!("http://{free}")]).timeout(Duration::from_secs(1));
    let error = Store::connect(options).unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert_contains(&error, &[&free.to_string(), "no majority of its members answered"]);
    for address in ["127.0.0.1:2379", "ftp://127.0.0.1:2379", "http://"] {
        let error = Store::connect(EtcdOptions::new([address])).unwrap_err();
        assert!(error.is_invalid(), "{address}: {error:?}");
    }
}

/// The listener is disconnected while commits are written and compacted.
#[test]
fn a_watch_reports_commits_that_it_missed_because_of_compaction() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let endpoints = cluster.endpoints();
    let listener = Store::connect(EtcdOptions::new(&endpoints[..1]).timeout(PATIENCE)).unwrap();
    let writer = Store::connect(EtcdOptions::new(&endpoints[1..]).timeout(PATIENCE)).unwrap();
    let watch = listener.watch("");
    register(&writer, "before", 1).unwrap();
    assert!(matches!(watch.next_within(PATIENCE), Some(Event::Committed { .. })));

    cluster.members[0].kill();
    (0..10).for_each(|n| register(&writer, &format!("w{n}"), 1).unwrap());
    compact(&cluster.members[1]);
    cluster.members[0].restart();
    let missed = match watch.next_within(PATIENCE) {
        Some(Event::Missed(commits)) => commits,
        other => panic!("no missed commits were reported: {other:?}"),
    };
    assert!(missed > 0, "{missed}");
    register(&writer, "after", 1).unwrap();
    assert!(matches!(watch.next_within(PATIENCE), Some(Event::Committed { .. })));
}
