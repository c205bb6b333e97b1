//! Tests of reading processes and work.

use std::time::Duration;

use procstate::http::{Options, router};
use procstate::proto::{State, Status};
use procstate::{Params, Runner, Store, Work};
use prost::Message;
use serde_json::json;

use super::client::Site;

const NAMES: [&str; 11] =
    ["plain", "a/b", "..", ".", "%2F", "nul\0nul", "\u{1f980}", "a b?c#d", "<b>&amp;", "\r\n", "work"];

fn segment(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn every_name_is_a_segment_and_every_uri_resolves() {
    let site = Site::new();
    for process in NAMES {
        for work in NAMES {
            let path = format!("/v1/processes/{}/work/{}", segment(process), segment(work));
            let put = site.send("PUT", &path, r#"{"params": {"intParams": {"n": "1"}}}"#).ok();
            let got = site.get(&path).ok();
            assert_eq!((&got, got["id"].as_str()), (&put, Some(work)));
            assert_eq!(got["details"]["params"]["intParams"], json!({"n": "1"}));
            let uri = got["uri"].as_str().unwrap();
            assert_eq!(site.get(uri).ok(), got, "{process:?} {work:?} {uri}");
        }
        let uri = site.get(&format!("/v1/processes/{}", segment(process))).ok()["uri"].clone();
        assert_eq!(site.get(uri.as_str().unwrap()).ok()["name"], process);
    }
    let mut sorted = NAMES;
    sorted.sort_unstable();
    assert_eq!(site.store.processes().unwrap(), sorted);
    site.get("/v1/processes/%FF").problem(400);
    site.get(&format!("/v1/processes/{}", "x".repeat(1025))).problem(400);
}

#[test]
fn a_work_response_has_nine_states() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    let mut message = process_with(&["unspecified", "new", "active", "aborted", "incomplete", "completed"]);
    message.cleanup_work.insert("cleanup".to_owned(), prost_types::Timestamp::default());
    message.dropped_work.insert("dropped".to_owned(), prost_types::Timestamp::default());
    site.store.import(message, procstate::ImportMode::New).unwrap();
    for (name, state) in [
        ("unspecified", "unspecified"),
        ("new", "queued"),
        ("active", "active"),
        ("aborted", "aborted"),
        ("incomplete", "incomplete"),
        ("completed", "completed"),
        ("cleanup", "cleanup"),
        ("dropped", "dropped"),
        ("never", "purged"),
    ] {
        let answer = site.get(&format!("/v1/processes/p/work/{name}"));
        let mut expected: serde_json::Value =
            serde_json::from_str(&procstate::interchange::to_json(&process.work(name).unwrap()).unwrap())
                .unwrap();
        expected["uri"] = format!("/v1/processes/p/work/{name}").into();
        assert_eq!((answer.ok()["state"].as_str(), answer.ok()), (Some(state), expected));
        let is_there = state != "purged";
        assert_eq!(answer.find("etag").is_some(), is_there);
    }
}

fn process_with(states: &[&str]) -> procstate::Process {
    let work =
        |number| Work { status: Some(Status { state: number, ..Status::default() }), ..Work::default() };
    procstate::Process {
        process_name: "p".to_owned(),
        active_work: (0..).zip(states).map(|(number, name)| ((*name).to_owned(), work(number))).collect(),
        ..procstate::Process::default()
    }
}

#[test]
fn lists_are_paged_and_filtered() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register_all((0..250).map(|n| (format!("{n:03}"), Params::new().int("n", n)))).unwrap();
    Runner::builder(&site.store, "p")
        .worker_fn(|work| match work.params().get_int("n") {
            Some(n) if n % 10 == 0 => Err("no".into()),
            _ => Ok(()),
        })
        .build()
        .unwrap()
        .run_once()
        .unwrap();
    let walk = |query: &str, size: usize| {
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let page = site.get(&format!("/v1/processes/p/work?pageSize={size}&{query}{token}")).ok();
            let items = page["work"].as_array().unwrap();
            assert!(items.len() <= size);
            names.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return names,
            }
        }
    };
    let all: Vec<String> = (0..250).map(|n| format!("{n:03}")).collect();
    let tens: Vec<String> = all.iter().filter(|name| name.ends_with('0')).cloned().collect();
    let ones: Vec<String> = all.iter().filter(|name| name.starts_with('1')).cloned().collect();
    for size in [1, 7, 25, 250, 1000] {
        assert_eq!(walk("", size), all);
        assert_eq!(walk("errors=true", size), tens);
        assert_eq!(walk("state=incomplete&prefix=1", size), tens[10..20]);
        assert_eq!(walk("prefix=1", size), ones);
        assert_eq!(walk("list=dropped", size), [""; 0]);
    }
    assert_eq!(site.get("/v1/processes/p/work").ok()["work"].as_array().unwrap().len(), 100);
    site.get("/v1/processes/p/work?pageSize=0").problem(400);
    assert!(site.get("/v1/processes/p/work?stat=queued").problem(400).contains("stat"));
    site.get("/v1/processes/p/work?list=none").problem(400);
    assert!(site.get("/v1/processes/p/work?state=done").problem(400).contains("completed"));
    for list in ["/v1/processes", "/v1/processes/p/history"] {
        site.get(&format!("{list}?pageSize=0")).problem(400);
        assert!(site.get(&format!("{list}?pageSize=1001")).problem(400).contains("1 to 1000"));
    }
}

#[test]
fn processes_are_listed_by_prefix_in_pages() {
    let site = Site::new();
    for name in ["a1", "a2", "a3", "b"] {
        site.store.process(name).unwrap().register("w", Params::new()).unwrap();
    }
    let first = site.get("/v1/processes?prefix=a&pageSize=2").ok();
    assert_eq!(first["processes"][1]["name"], "a2");
    assert_eq!(first["nextPageToken"], "a2");
    let rest = site.get("/v1/processes?prefix=a&pageSize=2&pageToken=a2").ok();
    assert_eq!((rest["processes"].as_array().unwrap().len(), &rest["nextPageToken"]), (1, &json!(null)));
}

#[test]
fn a_process_is_shown_with_its_runs() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register("w", Params::new()).unwrap();
    process.set_schedule(Some(Duration::from_secs(90))).unwrap();
    let fresh = site.get("/v1/processes/p").ok();
    assert_eq!((&fresh["status"], &fresh["state"]), (&json!(null), &json!("unspecified")));
    let worker = Runner::builder(&site.store, "p").worker_fn(|work| {
        work.add_stat("done", 2.0);
        Err("broken".into())
    });
    worker.build().unwrap().run_now().unwrap();
    let shown = site.get("/v1/processes/p").ok();
    assert_eq!(
        (&shown["state"], &shown["failed"], &shown["isPaused"]),
        (&json!("incomplete"), &json!(1), &json!(false))
    );
    assert_eq!(shown["status"]["errors"][0]["text"], "w: broken");
    assert_eq!(
        (&shown["totals"]["work.done"], &shown["settings"]["scheduleSeconds"]),
        (&json!(2.0), &json!(90.0))
    );
    worker_runs(&site.store, 2);
    let page = site.get("/v1/processes/p/history?pageSize=2").ok();
    assert_eq!((page["runs"].as_array().unwrap().len(), page["nextPageToken"].as_str()), (2, Some("2")));
    let rest = site.get("/v1/processes/p/history?pageSize=2&pageToken=2").ok();
    assert_eq!(rest["runs"][0]["state"], "incomplete");
    assert_eq!(rest["nextPageToken"], json!(null));
    let detail = site.get("/v1/processes/none").problem(404);
    assert!(detail.contains("there is no process \"none\" in this store"), "{detail}");
}

fn worker_runs(store: &Store, times: usize) {
    let worker = Runner::builder(store, "p").worker_fn(|_| Ok(())).build().unwrap();
    (0..times).for_each(|_| drop(worker.run_now().unwrap()));
}

#[test]
fn the_whole_state_is_json_or_protobuf() {
    let site = Site::new();
    let mut message = process_with(&["w"]);
    message.aggregate_stats.insert("negative".to_owned(), -0.0);
    message.active_work.get_mut("w").unwrap().status.as_mut().unwrap().set_state(State::Completed);
    site.store.import(message, procstate::ImportMode::New).unwrap();
    let state = site.store.process("p").unwrap().snapshot().unwrap();
    let json = site.get("/v1/processes/p/state");
    assert_eq!(json.text(), procstate::interchange::to_json(&state).unwrap());
    assert_eq!((json.header("content-type"), json.header("vary")), ("application/json", "Accept"));
    let binary = site.ask("GET", "/v1/processes/p/state", &["Accept: application/x-protobuf"], b"");
    assert_eq!(binary.header("content-type"), "application/x-protobuf");
    let decoded = procstate::Process::decode(binary.body.as_slice()).unwrap();
    assert_eq!(decoded, state);
    assert!(decoded.aggregate_stats["negative"].is_sign_negative());
}

#[test]
fn a_router_serves_under_any_prefix() {
    let store = Store::in_memory();
    store.process("a/b").unwrap().register("w", Params::new()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inner = axum::Router::new().nest("/inner", router(&store, Options::new()));
    let service = axum::Router::new().nest("/admin", inner).nest("/own", router(&store, Options::new()));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, service).await });
    let ask = |path: &str| Site::ask_at(address, "GET", path, &[], b"");
    let path = "/admin/inner/v1/processes/a%2Fb/work/w";
    assert_eq!(ask(path).ok()["uri"], path);
    assert_eq!(
        ask("/admin/inner/v1/processes").ok()["processes"][0]["uri"],
        "/admin/inner/v1/processes/a%2Fb"
    );
    ask("/own/nothing").problem(404);
}
