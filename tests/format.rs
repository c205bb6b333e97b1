//! Stores written by earlier versions and by this one: every later version opens them with their
//! full content.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{copy_as_it_is, small, won};
use procstate::{OpenReport, Params, Store, interchange};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Exports all processes like the tool.
fn content(store: &Store) -> String {
    let lines = store.processes().unwrap().into_iter().map(|name| {
        let process = store.process(&name).unwrap().snapshot().unwrap();
        format!("{}\n", interchange::to_json(&process).unwrap())
    });
    lines.collect()
}

/// Opens a copy of a fixture three times.
///
/// It must have its recorded content, and report what `check` expects the first time, and nothing
/// later.
fn opens(name: &str, check: impl Fn(&OpenReport)) {
    let folder = tempfile::tempdir().unwrap();
    copy_as_it_is(&fixture(name).join("store"), folder.path());
    for opening in 0..3 {
        let store = Store::open(folder.path()).unwrap();
        let expected = fs::read_to_string(fixture(name).join("content.json")).unwrap();
        assert_eq!(content(&store), expected, "{name}, opening {opening}");
        if opening == 0 {
            check(store.open_report());
        } else {
            assert_eq!(store.open_report(), &OpenReport::default());
        }
        store.close().unwrap();
    }
    let manifest = fs::read_to_string(folder.path().join("MANIFEST")).unwrap();
    assert!(manifest.contains("format 4"), "an older version would not know the epochs: {manifest}");
}

/// A store without a log gets one.
#[test]
fn format_1_is_upgraded() {
    opens("format-1", |report| assert_eq!(report, &OpenReport::default()));
}

#[test]
fn format_2_closed() {
    opens("format-2-closed", |report| assert_eq!(report, &OpenReport::default()));
}

#[test]
fn format_2_killed() {
    opens("format-2-killed", |report| {
        assert!(report.replayed > 0);
        assert_eq!((report.torn_tail.clone(), report.rebuilt.clone()), (None, None));
    });
}

#[test]
fn format_3_closed() {
    opens("format-3-closed", |report| assert_eq!(report, &OpenReport::default()));
}

#[test]
fn format_3_killed() {
    opens("format-3-killed", |report| {
        assert!(report.replayed > 0);
        assert_eq!((report.torn_tail.clone(), report.rebuilt.clone()), (None, None));
    });
}

#[test]
fn format_4_closed() {
    opens("format-4-closed", |report| assert_eq!(report, &OpenReport::default()));
}

#[test]
fn format_4_killed() {
    opens("format-4-killed", |report| {
        assert!(report.replayed > 0);
        assert_eq!((report.torn_tail.clone(), report.rebuilt.clone()), (None, None));
    });
}

/// Like `format_2_killed`, with a lost index.
#[test]
fn format_2_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    copy_as_it_is(&fixture("format-2-killed/store"), folder.path());
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.open_report().rebuilt.is_some());
    let expected = fs::read_to_string(fixture("format-2-killed/content.json")).unwrap();
    assert_eq!(content(&store), expected);
}

/// Writes the fixtures of formats 2 to 4, for a new format; existing ones stay.
#[test]
#[ignore = "writes fixtures"]
fn write_fixtures() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    let process = store.process("gckeys").unwrap();
    process.register_all((0..20).map(|n| (format!("project-{n}"), Params::new().int("n", n)))).unwrap();
    for _ in 0..8 {
        let mut run = won(&process);
        while let Some(mut work) = run.next_work().unwrap() {
            work.add_stat("keysRemoved", 3.0);
            work.add_error("a key could not be removed");
        }
        run.finish().unwrap();
    }
    process.unregister("project-3").unwrap();
    process.register("large", Params::new().string("s", "x".repeat(20_000))).unwrap();
    let mut run = won(&process);
    drop(run.next_work().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    assert!(store.stats().unwrap().snapshot_seq > 0);
    process.register("last", Params::new().int("n", 1)).unwrap();
    // Waits until SYNCED covers the whole log.
    std::thread::sleep(Duration::from_millis(100));
    let expected = content(&store);
    let save = |name: &str| {
        fs::create_dir(fixture(name)).unwrap();
        copy_as_it_is(folder.path(), &fixture(name).join("store"));
        fs::write(fixture(name).join("content.json"), &expected).unwrap();
    };
    save("format-4-killed");
    std::mem::forget(run);
    store.close().unwrap();
    save("format-4-closed");
}
