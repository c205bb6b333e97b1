//! Tests of client and server over a real socket.

use std::path::Path;

use super::protocol::PROTOCOL;
use super::*;
use crate::engine::suite::{self, Subject};
use crate::{Claim, Durability, Instance, List, Params};

/// A store served on the socket in its folder until this is dropped.
struct Served {
    store: Store,
    runtime: Option<tokio::runtime::Runtime>,
    _socket: ControlSocket,
}

impl Served {
    fn new(store: Store, is_read_only: bool) -> Self {
        let (socket, listener) = ControlSocket::bind(&store).unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = service(&store, is_read_only);
        runtime.spawn(async move {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self { store, runtime: Some(runtime), _socket: socket }
    }

    fn open(folder: &Path) -> Self {
        Self::new(Store::open(folder).unwrap(), false)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

#[test]
fn passes_the_engine_suite() {
    for (name, test) in suite::all() {
        println!("{name}");
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("state");
        let served = Served::open(&folder);
        test(Subject::remote(move || {
            Box::new(RemoteEngine::connect(Address::Folder(folder.clone()), None).unwrap().0)
        }));
        drop(served);
    }
}

fn served() -> (tempfile::TempDir, Served, Store) {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("state");
    let served = Served::open(&folder);
    let remote = Remote::folder(&folder).open().unwrap();
    (temp, served, remote)
}

#[test]
fn liveness_is_decided_by_the_program_with_the_store() {
    let (_temp, served, remote) = served();
    let process = served.store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    let Claim::Won(run) = process.claim(&Instance::new()).unwrap() else { panic!("not won") };
    let outside = remote.process("p").unwrap();
    let (one, other) = (outside.summary().unwrap(), process.summary().unwrap());
    assert!(one.is_held && other.is_held);
    assert_eq!((one.active, one.instance), (other.active, other.instance));
    assert!(outside.release().unwrap_err().is_conflict());
    let refused = outside.claim(&Instance::new()).unwrap();
    assert!(matches!(refused, Claim::Held { .. }), "{refused:?}");
    drop(run);
    let refused = outside.claim_with(&Instance::new(), &crate::ClaimOptions::new().force(true)).unwrap_err();
    assert!(refused.to_string().contains("only by the program that has its store open"), "{refused}");
    outside.release().unwrap();
    assert!(!process.summary().unwrap().is_held);
}

#[test]
fn a_backup_is_complete_and_restores() {
    let (temp, served, remote) = served();
    let process = remote.process("p").unwrap();
    process.register_all((0..5000).map(|n| (format!("{n:05}"), Params::new().int("n", n)))).unwrap();
    let file = temp.path().join("backup");
    let backup = remote.backup(&file).unwrap();
    assert_eq!(backup.bytes, std::fs::metadata(&file).unwrap().len());
    assert!(remote.backup(&file).unwrap_err().is_invalid(), "the file exists");
    assert!(remote.backup(temp.path().join("state/backup")).unwrap_err().is_invalid());
    let into = temp.path().join("restored");
    crate::recovery::restore(&file, &into, crate::recovery::Until::End).unwrap();
    let restored = Store::open(&into).unwrap();
    assert_eq!(
        restored.process("p").unwrap().snapshot().unwrap(),
        served.store.process("p").unwrap().snapshot().unwrap()
    );
}

#[test]
fn the_log_can_be_read_during_writes() {
    let (_temp, served, remote) = served();
    for n in 0..20 {
        remote.process("p").unwrap().register(&format!("w{n}"), Params::new()).unwrap();
    }
    let read = |store: &Store| {
        let mut entries = Vec::new();
        let last = store.read_log(5, |entry| {
            entries.push(entry);
            Ok(())
        });
        (last.unwrap(), entries)
    };
    let (last, entries) = read(&remote);
    assert_eq!((last, entries.len()), (20, 16));
    assert_eq!((last, entries), read(&served.store));
    assert!(Store::in_memory().read_log(0, |_| Ok(())).unwrap_err().is_invalid());
}

#[test]
fn both_sides_receive_changes() {
    let (_temp, served, remote) = served();
    let watch = remote.watch("");
    served.store.process("p").unwrap().register("a", Params::new()).unwrap();
    remote.process("p").unwrap().register("b", Params::new()).unwrap();
    let seqs: Vec<u64> = (0..2)
        .map(|_| match watch.next_within(std::time::Duration::from_secs(20)) {
            Some(crate::Event::Committed { seq, .. }) => seq,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seqs, [1, 2]);
    drop(served);
    assert_eq!(watch.into_iter().next(), None, "the server is gone");
}

#[test]
fn a_reopened_store_is_a_different_opening() {
    let (temp, served, remote) = served();
    remote.process("p").unwrap().register("a", Params::new()).unwrap();
    let Served { store, .. } = &served;
    let store = store.clone();
    drop(served);
    store.close().unwrap();
    let error = remote.processes().unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let _again = Served::open(&temp.path().join("state"));
    let error = remote.process("p").unwrap().register("b", Params::new()).unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("opened again"), "{error}");
}

#[test]
fn a_read_only_store_rejects_changes() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path().join("s")).unwrap();
    store.process("p").unwrap().register("a", Params::new()).unwrap();
    let _served = Served::new(store.clone(), true);
    let remote = Remote::folder(temp.path().join("s")).open().unwrap();
    assert_eq!(remote.process("p").unwrap().list(List::Active, None, 10).unwrap().items.len(), 1);
    let error =
        remote.process("p").unwrap().with_durability(Durability::Buffered).register("b", Params::new());
    assert!(error.unwrap_err().to_string().contains("read-only"));
}

/// A server that receives a commit and dies before it answers.
#[test]
fn a_lost_answer_is_reported_and_not_retried() {
    use std::io::{Read, Write};
    let temp = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let program = std::thread::spawn(move || {
        let mut commits = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 64 << 10];
            loop {
                let length = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                if text.is_empty() {
                    break;
                }
                if text.starts_with("POST /engine/v1/commit") {
                    commits += 1;
                    break;
                }
                if text.starts_with("POST /end") {
                    return commits;
                }
                let body = if text.starts_with("POST /engine/v1/hello") {
                    prost::Message::encode_to_vec(&crate::proto::engine::Welcome {
                        protocol: PROTOCOL,
                        opening: "x".to_owned(),
                        ..Default::default()
                    })
                } else {
                    Vec::new()
                };
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
                stream.write_all(&body).unwrap();
            }
        }
        commits
    });
    let remote = Remote::url(&url).unwrap().open().unwrap();
    let error = remote.process("p").unwrap().register("a", Params::new()).unwrap_err();
    assert!(error.is_uncertain(), "{error}");
    assert!(error.to_string().contains("may or may not have been written"), "{error}");
    drop(remote);
    let mut end = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    end.write_all(b"POST /end HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(program.join().unwrap(), 1);
    drop(temp);
}
