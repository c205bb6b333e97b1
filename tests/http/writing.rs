//! Tests of changing processes and work.

use procstate::http::Options;
use procstate::{Claim, Instance, Outcome, Params, Runner, Store};
use serde_json::json;

use super::client::Site;

const SETTINGS: &str = "/v1/processes/p/settings";
const WORK: &str = "/v1/processes/p/work";

#[test]
fn work_is_registered_changed_and_unregistered() {
    let site = Site::new();
    let path = "/v1/processes/p/work/w";
    let put = site.send("PUT", path, r#"{"params": {"intParams": {"n": 7}, "stringParams": {"s": "x"}}}"#);
    assert_eq!((&put.ok()["state"], put.header("etag")), (&json!("queued"), site.get(path).header("etag")));
    let process = site.store.process("p").unwrap();
    let details = process.work("w").unwrap().details.unwrap();
    assert_eq!(details.params.unwrap(), Params::new().int("n", 7).string("s", "x"));
    assert_eq!(site.ask("DELETE", path, &[], b"").ok()["state"], "cleanup");
    assert!(
        site.send("PUT", path, "{}").ok()["details"]["params"]
            .as_object()
            .is_none_or(|params| params.is_empty())
    );
    assert!(site.ask("DELETE", "/v1/processes/none/work/w", &[], b"").problem(404).contains("\"none\""));
    for (body, why) in [
        ("", "EOF"),
        ("[]", "an object"),
        (r#"{"params": []}"#, "params: invalid type"),
        (r#"{"params": {"intParams": {"n": 1.5}}}"#, "params.intParams.n"),
        (r#"{"param": {}}"#, "unknown field"),
        ("{} x", "trailing"),
    ] {
        let detail = site.send("PUT", path, body).problem(400);
        assert!(detail.contains(why), "{body}: {detail}");
    }
    site.ask("PUT", path, &["Content-Type: text/plain"], b"{}").problem(415);
    site.ask("PUT", path, &[], b"{}").problem(415);
}

#[test]
fn items_change_only_at_the_expected_version() {
    let site = Site::new();
    let path = "/v1/processes/p/work/w";
    let put = |n: i32, condition: &str| {
        let body = format!("{{\"params\": {{\"intParams\": {{\"n\": {n}}}}}}}");
        site.ask("PUT", path, &["Content-Type: application/json", condition], body.as_bytes())
    };
    put(1, "If-Match: *").problem(412);
    put(1, "If-None-Match: *").ok();
    put(2, "If-None-Match: *").problem(412);
    let seen = format!("If-Match: {}", site.get(path).header("etag"));
    put(2, &seen).ok();
    let detail = put(3, &seen).problem(412);
    assert!(detail.contains("read it again"), "{detail}");
    site.ask("DELETE", path, &[&seen], b"").problem(412);
    put(3, "If-Match: W/\"1\"").problem(412);
    put(3, "If-None-Match: \"1\"").problem(400);
    let seen = format!("If-Match: {}", site.get(path).header("etag"));
    site.ask("DELETE", path, &[&seen], b"").ok();
}

#[test]
fn many_items_are_registered_at_once() {
    let site = Site::new();
    let items: Vec<_> =
        (0..2500).map(|n| json!({"name": format!("{n}"), "params": {"intParams": {"n": n}}})).collect();
    let tally = site.send("POST", WORK, &json!({ "items": items }).to_string()).ok();
    assert_eq!(tally, json!({"changed": 2500, "unchanged": 0, "unregistered": 0}));
    let exact = json!({"items": [{"name": "7", "params": {"intParams": {"n": "7"}}}, {"name": "new"}], "exact": true});
    let tally = site.send("POST", WORK, &exact.to_string()).ok();
    assert_eq!(tally, json!({"changed": 1, "unchanged": 1, "unregistered": 2499}));
    site.send("POST", WORK, r#"{"items": []}"#).problem(400);
    assert!(site.send("POST", WORK, r#"{"items": [{"name": ""}]}"#).problem(400).contains("name"));
    let options = Options::new().body_bytes_max(1000);
    let small = Site::with(Store::in_memory(), options);
    small.send("POST", WORK, &exact.to_string()).ok();
    small.send("POST", WORK, &"x".repeat(1001)).problem(413);
}

#[test]
fn settings_change_only_at_the_expected_version() {
    let site = Site::new();
    site.get(SETTINGS).problem(404);
    let patch = |body: &str, condition: Option<&str>| {
        let mut headers = vec!["Content-Type: application/merge-patch+json"];
        headers.extend(condition);
        site.ask("PATCH", SETTINGS, &headers, body.as_bytes())
    };
    let made = patch(
        r#"{"scheduleSeconds": 3600, "offsetSeconds": 1.5, "params": {"intParams": {"a": 1, "b": "2"}, "stringParams": {"s": "x"}}}"#,
        Some("If-None-Match: *"),
    );
    assert_eq!(made.ok()["scheduleSeconds"], 3600.0);
    let seen = format!("If-Match: {}", site.get(SETTINGS).header("etag"));
    let changed =
        patch(r#"{"params": {"intParams": {"a": null, "c": 3}, "stringParams": {}}}"#, Some(&seen)).ok();
    assert_eq!(changed["params"], json!({"intParams": {"b": "2", "c": "3"}, "stringParams": {"s": "x"}}));
    assert_eq!((&changed["scheduleSeconds"], &changed["offsetSeconds"]), (&json!(3600.0), &json!(1.5)));
    patch(r#"{"scheduleSeconds": 60}"#, Some(&seen)).problem(412);
    assert_eq!(site.get(SETTINGS).ok(), changed);
    let none = patch(r#"{"scheduleSeconds": null}"#, None).ok();
    assert_eq!((&none["scheduleSeconds"], &none["offsetSeconds"]), (&json!(null), &json!(null)));
    for body in [
        r#"{"scheduleSeconds": -1}"#,
        r#"{"scheduleSeconds": 0}"#,
        r#"{"scheduleSeconds": 1e300}"#,
        r#"{"offsetSeconds": 5}"#,
        r#"{"params": {"stringParams": {"schedule.cron": "x"}}}"#,
        r#"{"every": 5}"#,
        r#"{"scheduleSeconds": 5, "cron": "0 0 * * * UTC"}"#,
    ] {
        patch(body, None).problem(400);
    }
}

#[cfg(feature = "cron")]
#[test]
fn a_cron_expression_and_a_period_exclude_each_other() {
    let site = Site::new();
    let patch = |body: &str| site.send("PATCH", SETTINGS, body);
    assert_eq!(patch(r#"{"cron": "30 2 * * * Europe/Berlin"}"#).ok()["cron"], "30 2 * * * Europe/Berlin");
    let period = patch(r#"{"scheduleSeconds": 60}"#).ok();
    assert_eq!((&period["cron"], &period["scheduleSeconds"]), (&json!(null), &json!(60.0)));
    patch(r#"{"cron": "0 0 * * * UTC"}"#).ok();
    let none = patch(r#"{"cron": null}"#).ok();
    assert_eq!((&none["cron"], &none["scheduleSeconds"]), (&json!(null), &json!(null)));
    patch(r#"{"cron": "nonsense"}"#).problem(400);
}

#[test]
fn a_process_is_paused_resumed_and_retried() {
    let site = Site::new();
    let post = |action: &str, body: &str| site.send("POST", &format!("/v1/processes/p/{action}"), body);
    for action in ["pause", "resume", "run", "release"] {
        assert!(post(action, "").problem(404).contains("\"p\""));
    }
    let process = site.store.process("p").unwrap();
    process.register_all([("a", Params::new()), ("b", Params::new().int("fails", 1))]).unwrap();
    process.set_schedule(Some(std::time::Duration::from_secs(3600 * 24 * 365 * 100))).unwrap();
    let worker = Runner::builder(&site.store, "p")
        .worker_fn(|work| work.params().get_int("fails").map_or(Ok(()), |_| Err("no".into())))
        .build()
        .unwrap();
    worker.run_once().unwrap();
    assert_eq!(post("pause", "").ok(), json!({"changed": true}));
    assert!(process.is_paused().unwrap());
    assert_eq!(post("pause", "").ok(), json!({"changed": false}));
    assert_eq!(post("resume", "").ok(), json!({"changed": true}));
    // The changed settings have made a run due.
    worker.run_once().unwrap();
    assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
    assert!(post("run", "").ok()["nextDue"].is_string());
    assert!(matches!(worker.run_once().unwrap(), Outcome::Finished(_)));
    assert_eq!(post("retry", r#"{"failed": true}"#).ok(), json!({"queued": 1}));
    assert_eq!(post("retry", r#"{"work": ["a", "b"]}"#).ok(), json!({"queued": 1}));
    assert!(post("retry", r#"{"work": ["gone"]}"#).problem(404).contains("\"gone\""));
    for body in ["{}", r#"{"failed": true, "work": ["a"]}"#, r#"{"failed": false}"#] {
        post("retry", body).problem(400);
    }
    process.unregister("a").unwrap();
    worker.run_once().unwrap();
    assert_eq!(post("purge", r#"{"olderThanSeconds": 3600}"#).ok(), json!({"dropped": 0, "runs": 0}));
    let purged = post("purge", r#"{"olderThanSeconds": 0}"#).ok();
    assert_eq!(purged["dropped"], 1);
    post("purge", r#"{"olderThanSeconds": -1}"#).problem(400);
    process.run_now().unwrap();
    let Claim::Won(run) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
    assert!(post("release", "").problem(409).contains("whose run is alive"));
    drop(run);
    assert!(post("release", "").ok()["released"]["instance"].is_string());
    assert_eq!(post("release", "").ok(), json!({"released": null}));
}

#[test]
fn a_read_only_server_changes_nothing() {
    let store = Store::in_memory();
    store.process("p").unwrap().register("w", Params::new()).unwrap();
    let site = Site::with(store, Options::new().read_only(true));
    let before = site.store.last_seq();
    for (method, path, body) in [
        ("PUT", "/v1/processes/p/work/x", "{}"),
        ("DELETE", "/v1/processes/p/work/w", ""),
        ("POST", WORK, r#"{"items": [{"name": "x"}]}"#),
        ("PATCH", SETTINGS, "{}"),
        ("POST", "/v1/processes/p/run", ""),
        ("POST", "/v1/processes/p/pause", ""),
    ] {
        assert!(site.send(method, path, body).problem(403).contains("read-only"), "{method} {path}");
    }
    assert_eq!(site.store.last_seq(), before);
    site.get("/v1/processes/p").ok();
}
