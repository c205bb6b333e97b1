//! Tests of the event stream.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use procstate::{Durability, Params};
use serde_json::{Value, json};

use super::client::Site;

/// A client of the event stream.
struct Listener {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Heard {
    id: u64,
    name: String,
    data: Value,
}

impl Listener {
    fn new(site: &Site, query: &str, last: Option<u64>) -> Self {
        let mut stream = site.connect();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        stream
            .write_all(format!("GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").as_bytes())
            .unwrap();
        let mut this = Self { reader: BufReader::new(stream) };
        let head: Vec<String> =
            std::iter::from_fn(|| this.line()).take_while(|line| !line.is_empty()).collect();
        assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        this
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Returns the next event; `None` at the end.
    fn next(&mut self) -> Option<Heard> {
        let (mut id, mut name) = (None, String::new());
        loop {
            let line = self.line()?;
            // Skips the lengths of chunks, which are not fields.
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().unwrap()),
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => {
                    return Some(Heard { id: id.unwrap(), name, data: serde_json::from_str(text).unwrap() });
                }
                _ => {}
            }
        }
    }

    /// Reads until work of this name has changed; returns the id of that event.
    fn expect_change(&mut self, work: &str) -> u64 {
        loop {
            let heard = self.next().expect("an event");
            let changes = heard.data["changes"].as_array().cloned().unwrap_or_default();
            if changes.iter().any(|change| change["work"] == work) {
                return heard.id;
            }
        }
    }
}

#[test]
fn a_client_receives_changes_and_resumes() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register("before", Params::new()).unwrap();
    let mut listener = Listener::new(&site, "", None);
    let ready = listener.next().unwrap();
    assert_eq!((ready.name.as_str(), ready.id), ("ready", site.store.last_seq()));
    process.register("a", Params::new()).unwrap();
    let heard = listener.next().unwrap();
    assert_eq!(
        (heard.name.as_str(), heard.id, &heard.data["seq"]),
        ("changes", site.store.last_seq(), &json!(heard.id))
    );
    let changes = heard.data["changes"].as_array().unwrap();
    let work = json!({"process": "p", "what": "work", "list": "active", "work": "a", "removed": false});
    assert!(changes.contains(&work), "{changes:?}");
    assert!(changes.iter().any(|change| change["what"] == "settings"), "{changes:?}");
    drop(listener);
    process.register("b", Params::new()).unwrap();
    process.unregister("a").unwrap();
    let mut again = Listener::new(&site, "", Some(heard.id));
    assert_eq!(again.next().unwrap().name, "ready");
    again.expect_change("b");
    // A client that has received everything receives nothing of it again.
    process.register("c", Params::new()).unwrap();
    let last = again.expect_change("c");
    let mut third = Listener::new(&site, &format!("?lastEventId={last}"), None);
    assert_eq!((third.next().unwrap().name.as_str(), third.next_after(&process)), ("ready", last + 1));
}

impl Listener {
    /// Returns the id of the next event, caused by a change of `process`.
    fn next_after(&mut self, process: &procstate::ProcessHandle) -> u64 {
        process.register("next", Params::new()).unwrap();
        self.next().unwrap().id
    }
}

#[test]
fn a_client_that_cannot_resume_must_read_again() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    process.register("b", Params::new()).unwrap();
    for last in [1, 999] {
        let mut listener = Listener::new(&site, "", Some(last));
        let missed = listener.next().unwrap();
        assert_eq!((missed.name.as_str(), missed.id), ("missed", site.store.last_seq()));
    }
    let mut listener = Listener::new(&site, "", None);
    listener.next().unwrap();
    // More than one event can name.
    process.register_all((0..9000).map(|n| (format!("{n}"), Params::new()))).unwrap();
    let names: Vec<String> = std::iter::from_fn(|| listener.next().map(|heard| heard.name)).take(1).collect();
    assert!(["missed", "changes"].contains(&names[0].as_str()), "{names:?}");
    process.register("last", Params::new()).unwrap();
    loop {
        let heard = listener.next().unwrap();
        if heard.id == site.store.last_seq() {
            break;
        }
    }
    let wrong = site.ask("GET", "/v1/events", &["Last-Event-ID: x"], b"");
    assert!(wrong.problem(400).contains("Last-Event-ID"));
}

#[test]
fn a_client_receives_the_requested_processes() {
    let site = Site::new();
    let mut listener = Listener::new(&site, "?prefix=a", None);
    listener.next().unwrap();
    for name in ["b", "ab"] {
        site.store.process(name).unwrap().register("w", Params::new()).unwrap();
    }
    let heard = listener.next().unwrap();
    assert!(heard.data["changes"].as_array().unwrap().iter().all(|change| change["process"] == "ab"));
}

#[test]
fn a_blocked_client_does_not_slow_writers() {
    let site = Site::new();
    let process = site.store.process("p").unwrap().with_durability(Durability::Buffered);
    let idle: Vec<Listener> = (0..20).map(|_| Listener::new(&site, "", None)).collect();
    let mut reader = Listener::new(&site, "", None);
    let name = "x".repeat(1000);
    for n in 0..5000 {
        process.register(&format!("{}{name}", n % 1000), Params::new().int("n", n)).unwrap();
    }
    process.register("end", Params::new()).unwrap();
    let end = site.store.last_seq();
    while reader.next().unwrap().id < end {}
    assert_eq!(site.get("/healthz").status, 200);
    drop(idle);
}

#[test]
fn events_end_with_the_store_and_with_the_server() {
    let site = Site::new();
    let mut listener = Listener::new(&site, "", None);
    assert_eq!(listener.next().unwrap().name, "ready");
    site.store.clone().close().unwrap();
    assert!(listener.next().is_none());
    let site = Site::new();
    let mut listener = Listener::new(&site, "", None);
    assert_eq!(listener.next().unwrap().name, "ready");
    site.server.shutdown(Duration::from_secs(60));
    assert!(listener.next().is_none());
}
