//! The store's answers serialized as JSON.

use std::time::Duration;

use procstate::{Clock, List, ManualClock, Params, Runner, Store};
use serde_json::json;

#[test]
fn answers_of_the_store_are_serialized() {
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    let store = Store::builder().clock(clock.clone()).in_memory();
    let process = store.process("p").unwrap();
    process.register("w", Params::new().int("n", 1).string("s", "x")).unwrap();
    let failing = Runner::builder(&store, "p").every(Duration::from_secs(90)).worker_fn(|work| {
        work.add_stat("done", 2.0);
        Err("broken".into())
    });
    failing.run_once().unwrap();
    process.unregister("v").unwrap();
    let now = clock.now().to_string();

    let settings = serde_json::to_value(process.settings().unwrap()).unwrap();
    let expected = json!({"scheduleSeconds": 90.0, "offsetSeconds": null, "cron": null,
        "maxFailedItems": null, "minIntervalSeconds": null,
        "params": {"intParams": {}, "stringParams": {}}, "changed": now, "version": 7});
    assert_eq!(settings, expected);
    let summary = serde_json::to_value(process.summary().unwrap()).unwrap();
    assert_eq!(
        (&summary["name"], &summary["state"], &summary["active"]),
        (&json!("p"), &json!("incomplete"), &json!(1))
    );
    assert_eq!((&summary["isHeld"], &summary["nextDue"]), (&json!(false), &json!(now)));
    let page = process.list(List::Active, None, 10).unwrap();
    let item = serde_json::to_value(&page.items[0]).unwrap();
    assert_eq!((&item["name"], &item["list"]), (&json!("w"), &json!("active")));
    assert_eq!(item["work"]["params"], json!({"intParams": {"n": 1}, "stringParams": {"s": "x"}}));
    assert_eq!(item["work"]["status"]["errors"], json!([{"time": now, "text": "broken"}]));
    let page = process.list(List::Cleanup, None, 10).unwrap();
    let item = serde_json::to_value(&page.items[0]).unwrap();
    assert_eq!(
        item,
        json!({"name": "v", "list": "cleanup", "since": now, "work": null, "version": 7, "failedAttempts": 0})
    );
    let runs = serde_json::to_value(process.history().unwrap()).unwrap();
    assert_eq!((&runs[0]["state"], &runs[0]["start"]), (&json!("incomplete"), &json!(now)));
    assert_eq!(runs[0]["stats"]["work.done"], json!(2.0));
    let stats = serde_json::to_value(store.stats().unwrap()).unwrap();
    assert_eq!((&stats["engine"], &stats["processes"]), (&json!("memory"), &json!(1)));
}

#[test]
fn export_equals_snapshot() {
    let store = Store::in_memory();
    let process = store.process("p").unwrap();
    process.register("w", Params::new()).unwrap();
    assert_eq!(process.export().unwrap(), process.snapshot().unwrap());
}
