//! Tests of the metrics.

use procstate::{Params, Runner};

use super::client::Site;

#[test]
fn metrics_show_the_progress() {
    let site = Site::new();
    let process = site.store.process("p\"\n\\").unwrap();
    process.register_all([("a", Params::new()), ("b", Params::new().int("fails", 1))]).unwrap();
    process.unregister("gone").unwrap();
    Runner::builder(&site.store, process.name())
        .worker_fn(|work| work.params().get_int("fails").map_or(Ok(()), |_| Err("no".into())))
        .build()
        .unwrap()
        .run_once()
        .unwrap();
    process.register("c", Params::new()).unwrap();
    process.pause().unwrap();
    let answer = site.get("/metrics");
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let label = r#"process="p\"\n\\""#;
    let commits = format!("procstate_commits_total {}", site.store.last_seq());
    for line in [
        commits.as_str(),
        "procstate_poisoned 0.0",
        "procstate_up 1.0",
        "procstate_processes{state=\"incomplete\"} 1.0",
        &format!("procstate_items{{{label},list=\"active\",state=\"completed\"}} 1.0"),
        &format!("procstate_items{{{label},list=\"active\",state=\"incomplete\"}} 1.0"),
        &format!("procstate_items{{{label},list=\"active\",state=\"queued\"}} 1.0"),
        &format!("procstate_items{{{label},list=\"dropped\",state=\"dropped\"}} 1.0"),
        &format!("procstate_run_errors{{{label}}} 1.0"),
        &format!("procstate_paused{{{label}}} 1.0"),
        &format!("procstate_held{{{label}}} 0.0"),
        "# TYPE procstate_progress_age_seconds gauge",
        "# TYPE procstate_run_duration_seconds gauge",
        "# TYPE procstate_memtable_records gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
    site.store.clone().close().unwrap();
    let text = site.get("/metrics").text().to_owned();
    assert!(text.contains("procstate_up 0.0"), "{text}");
}

#[test]
fn metrics_describe_the_store() {
    let site = Site::new();
    site.store.process("p").unwrap().register("w", Params::new()).unwrap();
    let stats = site.get("/v1/stats").ok();
    assert_eq!((&stats["engine"], &stats["processes"]), (&"memory".into(), &1.into()));
}
