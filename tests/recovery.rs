//! Recovery with the tool and through the library: backups and what is made of
//! them, the log, compacting, salvage.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{ignored, small, won};
use procstate::recovery::{self, Fate, LogEntry, Options, Until};
use procstate::{ManualClock, Params, Store};
use tool::{Tool, killed};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// What stands beside the store of a tool.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

impl Tool {
    fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

#[test]
fn a_backup_is_restored_whole() {
    for tool in [Tool::imported(), killed()] {
        let content = tool.fine(&["export"]);
        let (backup, new) = (tool.beside("backup"), tool.beside("a/new"));
        let (before, beside) = (tool.bytes(), names(tool.folder.path()).len());
        tool.fine(&["backup", &backup]);
        assert!(tool.bytes() == before, "backup changed the store");
        tool.fine(&["restore", &backup, "--into", &new]);
        assert_eq!(tool.fine_at(&new, &["export"]), content);
        // A store of its own, that goes on.
        tool.fine_at(&new, &["register", "p", "more"]);
        tool.fine_at(&new, &["unregister", "p", "more"]);
        assert_eq!(names(tool.folder.path()).len(), beside + 2, "nothing else is left");
        let told = json(&tool.fine(&["--json", "backup", &tool.beside("again")]));
        assert_eq!(told["bytes"].as_u64().unwrap(), fs::metadata(&backup).unwrap().len());
    }
}

#[test]
fn nothing_is_overwritten() {
    let tool = Tool::imported();
    let (backup, new) = (tool.beside("backup"), tool.beside("new"));
    tool.fine(&["backup", &backup]);
    tool.refuses(2, &["backup", &backup], "invalid argument: DIR/backup is there already; name a new file");
    tool.fine(&["restore", &backup, "--into", &new]);
    tool.refuses(
        2,
        &["restore", &backup, "--into", &new],
        "invalid argument: DIR/new is not empty; name a new folder",
    );
    let file = tool.file("precious", "x");
    tool.refuses(
        2,
        &["restore", &backup, "--into", &file],
        "invalid argument: DIR/precious is a file; name a new folder",
    );
    let inside = tool.db().join("copy").display().to_string();
    tool.refuses(
        2,
        &["restore", &tool.db().display().to_string(), "--into", &inside],
        "invalid argument: DIR/state/copy would lie inside the store",
    );
    let error = Store::open(tool.db()).unwrap().backup(tool.db().join("backup")).unwrap_err();
    assert!(error.is_invalid() && error.to_string().ends_with("would lie inside the store"), "{error}");
    let missing = tool.beside("missing");
    let (_, stderr) = tool.ends(2, &["restore", &missing, "--into", &tool.beside("other")]);
    assert!(stderr.contains("could not open") && stderr.contains("missing"), "{stderr}");
}

/// Every byte of a small backup, and every length.
#[test]
fn a_damaged_backup_is_no_store() {
    let tool = killed();
    let (backup, new) = (tool.beside("backup"), tool.beside("new"));
    tool.fine(&["backup", &backup]);
    let sound = fs::read(&backup).unwrap();
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&backup, flipped).unwrap();
        let error = recovery::restore(&backup, &new, Until::End).unwrap_err();
        assert!(error.to_string().len() > 30, "byte {at}: {error}");
        fs::write(&backup, &sound[..at]).unwrap();
        let error = recovery::restore(&backup, &new, Until::End).unwrap_err();
        assert!(error.is_corrupt(), "cut at {at}: {error}");
        assert_eq!(names(tool.folder.path()), ["backup", "state"]);
    }
}

/// What is counted in the backup is a state that there was: counters that go up
/// together are equal in it, and no smaller than they were when it was asked for.
#[test]
fn a_backup_is_of_one_moment_while_writers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path().join("state")).unwrap();
    let process = store.process("p").unwrap();
    process.register_all((0..500).map(|n| (format!("filler-{n}"), Params::new()))).unwrap();
    process.register("counted", Params::new()).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                process.register("counted", Params::new().int("n", n)).unwrap();
                process.update_params(|params| *params = Params::new().int("n", n)).unwrap();
            }
        });
        for round in 0..10 {
            let n = |store: &Store| {
                let whole = store.process("p").unwrap().snapshot().unwrap();
                let of =
                    |params: Option<&Params>| params.and_then(|params| params.get_int("n")).unwrap_or(-1);
                (of(whole.active_work["counted"].params.as_ref()), of(whole.settings.as_ref()))
            };
            let (before, _) = n(&store);
            let path = folder.path().join(format!("backup-{round}"));
            let backup = store.backup(&path).unwrap();
            let restored = folder.path().join(format!("restored-{round}"));
            let told = recovery::restore(&path, &restored, Until::End).unwrap();
            assert_eq!((told.seq, told.records), (backup.seq, backup.records));
            let (item, settings) = n(&Store::open(&restored).unwrap());
            assert!(
                item >= before && (item == settings || item == settings + 1),
                "{before} {item} {settings}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_backup_that_cannot_be_written_does_the_store_no_harm() {
    let store = Store::in_memory();
    store.process("p").unwrap().register("w", Params::new()).unwrap();
    assert!(store.backup("/proc/backup").is_err());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("state")).unwrap();
    store.process("p").unwrap().register("w", Params::new()).unwrap();
    let error = store.backup("/proc/backup").unwrap_err();
    assert!(error.to_string().contains("/proc/backup"), "{error}");
    store.process("p").unwrap().register("w2", Params::new()).unwrap();
    store.backup(folder.path().join("backup")).unwrap();
    assert_eq!(names(folder.path()), ["backup", "state"]);
}

#[test]
fn a_store_in_memory_can_be_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory();
    let process = store.process("p").unwrap();
    process.register("w", Params::new().int("n", 1)).unwrap();
    let backup = folder.path().join("backup");
    store.backup(&backup).unwrap();
    recovery::restore(&backup, folder.path().join("state"), Until::End).unwrap();
    let restored = Store::open(folder.path().join("state")).unwrap();
    assert_eq!(restored.process("p").unwrap().snapshot().unwrap(), process.snapshot().unwrap());
}

/// Every commit of a log, by number and by time.
#[test]
fn a_store_is_restored_to_any_commit_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let clock = ManualClock::new("2026-01-01T10:00:00Z".parse().unwrap());
    let store = Store::builder().clock(clock.clone()).open(&path).unwrap();
    let process = store.process("p").unwrap();
    let mut states = Vec::new();
    for n in 0..20 {
        clock.advance(Duration::from_secs(60));
        match n % 5 {
            4 => process.unregister(&format!("w{}", n - 2)).unwrap(),
            _ => process.register(&format!("w{n}"), Params::new().int("n", n)).unwrap(),
        };
        states.push((n as u64 + 1, process.snapshot().unwrap()));
    }
    store.close().unwrap();
    let restore = |until| {
        let into = tempfile::tempdir_in(folder.path()).unwrap();
        let restored = recovery::restore(&path, into.path(), until).unwrap();
        let store = Store::open(into.path()).unwrap();
        (restored, store.process("p").unwrap().snapshot().ok())
    };
    for (seq, state) in &states {
        let (restored, found) = restore(Until::Seq(*seq));
        assert_eq!((restored.seq, found.as_ref()), (*seq, Some(state)));
        let time = restored.time.unwrap();
        assert_eq!(restore(Until::Time(time)).1.as_ref(), Some(state));
        let (restored, _) = restore(Until::Time(time + Duration::from_secs(59)));
        assert_eq!(restored.seq, *seq);
    }
    assert_eq!(restore(Until::End).1.as_ref(), Some(&states[19].1));
    assert_eq!(restore(Until::Seq(0)).0.records, 0);
    let into = folder.path().join("never");
    let error = recovery::restore(&path, &into, Until::Seq(21)).unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("the log ends with commit 20"), "{error}");
    recovery::compact(&path).unwrap();
    let error = recovery::restore(&path, &into, Until::Seq(19)).unwrap_err();
    assert!(error.to_string().contains("commit 19 is before the snapshot of commit 20"), "{error}");
    let error = recovery::restore(&path, &into, Until::Time(clock_start())).unwrap_err();
    assert!(error.to_string().contains("does not reach back"), "{error}");
    assert!(!into.exists());
}

fn clock_start() -> procstate::Timestamp {
    "2026-01-01T10:00:00Z".parse().unwrap()
}

/// A commit behind damage cannot be reached, those before can.
#[test]
fn a_damaged_log_is_restored_up_to_the_damage() {
    let tool = killed();
    damage_commit_of(&tool, "w25");
    let db = tool.db().display().to_string();
    let (_, stderr) = tool.ends(2, &["restore", &db, "--into", &tool.beside("all")]);
    assert!(stderr.contains("the log is damaged") && stderr.contains("salvage"), "{stderr}");
    let (_, stderr) = tool.ends(2, &["restore", &db, "--into", &tool.beside("all"), "--until", "30"]);
    assert!(stderr.contains("commits 26 to 26 are missing"), "{stderr}");
    tool.fine(&["restore", &db, "--into", &tool.beside("some"), "--until", "25"]);
    let stdout = tool.fine_at(&tool.beside("some"), &["work", "p"]);
    assert!(stdout.contains("w24") && !stdout.contains("w25"), "{stdout}");
}

/// Flips a bit where the log names this work.
fn damage_commit_of(tool: &Tool, work: &str) {
    let log = tool.db().join("wal/000000.wal");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.windows(work.len()).position(|bytes| bytes == work.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
}

#[test]
fn the_log_is_told() {
    let tool = Tool::imported();
    tool.fine(&["register", "nightly", "e", "--int", "n=1"]);
    tool.ends(0, &["run", "nightly", "--", "true"]);
    tool.fine(&["unregister", "nightly", "e"]);
    let before = tool.bytes();
    let lines = tool.fine(&["--json", "log"]);
    let commits: Vec<_> = lines.lines().map(json).collect();
    let seqs: Vec<_> = commits.iter().map(|commit| commit["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=commits.len() as u64).collect::<Vec<_>>());
    let changes = |n: usize| commits[n]["changes"].as_array().unwrap();
    assert!(changes(0).iter().any(|change| change["record"] == "cleanup" && change["work"] == "gone"));
    assert!(changes(1).iter().any(|change| change["record"] == "active" && change["work"] == "e"));
    let claim = commits.iter().find(|commit| commit["changes"][0]["record"] == "owner" && commit["seq"] != 1);
    let by = claim.unwrap()["by"].as_str().unwrap();
    assert!(by.starts_with("procstate-run/"), "{by}");
    assert!(commits.iter().filter(|commit| commit["by"] == by).count() > 4, "{lines}");
    let last = &commits[commits.len() - 1];
    assert!(last["time"].as_str().unwrap().starts_with("20"), "{last}");
    assert!(last["changes"].to_string().contains(r#""bytes":null"#), "{last}");
    let text = tool.fine(&["log", "--from", &last["seq"].to_string()]);
    assert!(text.lines().count() == 1 && text.contains("-nightly/active/e"), "{text}");
    assert!(tool.bytes() == before, "log changed the store");
}

#[test]
fn the_log_of_a_damaged_store_says_where_something_is_missing() {
    let tool = killed();
    damage_commit_of(&tool, "w25");
    let (text, _) = tool.ends(1, &["log"]);
    assert!(
        text.contains("--- something is missing after commit 25: ") && text.contains("000000.wal at byte ")
    );
    assert!(text.contains("/w24") && !text.contains("/w25") && text.contains("/w26"), "{text}");
    let mut gaps = 0;
    recovery::read_log(tool.db(), 0, |entry| {
        gaps += usize::from(matches!(entry, LogEntry::Gap { after: 25, .. }));
        Ok(())
    })
    .unwrap();
    assert_eq!(gaps, 1);
}

#[test]
fn compacting_gives_space_back_and_keeps_everything() {
    let tool = Tool { folder: tempfile::tempdir().unwrap() };
    let store = Store::open(tool.db()).unwrap();
    let process = store.process("p").unwrap();
    for round in 0..9 {
        let large = |n: usize| Params::new().string("s", format!("{round}").repeat(20_000 + n));
        process.register_all((0..100).map(|n| (format!("w{n}"), large(n)))).unwrap();
    }
    let mut run = won(&process);
    drop(run.next_work().unwrap());
    run.finish().unwrap();
    store.close().unwrap();
    for folder in ["index.damaged-1", "snapshots"] {
        fs::create_dir_all(tool.db().join(folder)).unwrap();
    }
    let content = tool.fine(&["export"]);
    let told = json(&tool.fine(&["--json", "compact"]));
    let (before, after) = (told["before"].as_u64().unwrap(), told["after"].as_u64().unwrap());
    assert!(after < before / 2, "{before} {after}");
    assert!(tool.db().join("index.damaged-1").exists());
    let told = json(&tool.fine(&["--json", "compact", "--remove-damaged"]));
    assert_eq!(told["removedDamaged"], 1);
    assert!(!tool.db().join("index.damaged-1").exists());
    assert_eq!(tool.fine(&["export"]), content);
    assert_eq!(Store::open(tool.db()).unwrap().open_report(), &procstate::OpenReport::default());
}

/// Killed at any moment: the store is whole, and a target is whole or not there.
#[test]
fn a_tool_that_is_killed_leaves_nothing_half_done() {
    if !Path::new("/proc/self").exists() {
        return ignored("needs /proc");
    }
    let tool = Tool { folder: tempfile::tempdir().unwrap() };
    let store = Store::open(tool.db()).unwrap();
    let work = (0..4000).map(|n| (format!("w{n}"), Params::new().int("n", n)));
    store.process("p").unwrap().register_all(work).unwrap();
    store.close().unwrap();
    let content = tool.fine(&["export"]);
    let (backup, new, file) = (tool.beside("backup"), tool.beside("new"), tool.beside("file"));
    tool.fine(&["backup", &backup]);
    for round in 0..40 {
        let before = tool.bytes();
        let command: &[&str] = match round % 5 {
            0 => &["compact"],
            1 => &["restore", &backup, "--into", &new],
            2 => &["backup", &file],
            3 => &["salvage", "--output", &new],
            _ => &["verify"],
        };
        let mut child = tool.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(3 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(command == ["compact"] || tool.bytes() == before, "{command:?} changed the store");
        if Path::new(&new).exists() {
            assert_eq!(tool.fine_at(&new, &["export"]), content, "round {round}");
            fs::remove_dir_all(&new).unwrap();
        }
        if Path::new(&file).exists() {
            let restored = tool.beside("of-file");
            tool.fine(&["restore", &file, "--into", &restored]);
            fs::remove_dir_all(restored).unwrap();
            fs::remove_file(&file).unwrap();
        }
        for name in names(tool.folder.path()) {
            let is_known = ["backup", "state"].contains(&&*name);
            assert!(is_known || name.contains(".incomplete-") || name.ends_with(".new"), "{name}");
        }
    }
    assert_eq!(tool.fine(&["export"]), content);
}

#[test]
fn salvage_keeps_all_but_the_damaged_commit() {
    let tool = killed();
    damage_commit_of(&tool, "w25");
    let before = tool.bytes();
    let (_, stderr) = tool.ends(2, &["ls"]);
    assert!(stderr.contains("000000.wal at byte") && stderr.contains("salvage --output NEWDIR"), "{stderr}");
    let (stdout, _) = tool.ends(1, &["verify"]);
    assert!(
        stdout.contains("damage: wal/000000.wal at byte ") && stdout.contains(": commit 26 cannot be read\n"),
        "{stdout}"
    );
    assert!(stdout.contains("DAMAGED: ") && stdout.contains("salvage --output NEWDIR"), "{stdout}");
    let new = tool.beside("new");
    let (stdout, _) = tool.ends(1, &["salvage", "--output", &new]);
    assert!(
        stdout.contains("new has 41 records as of commit 40, made of all that could be found\n"),
        "{stdout}"
    );
    assert!(stdout.contains("MISSING: commit 26: ") && stdout.contains("INCOMPLETE: 41 records"), "{stdout}");
    assert!(tool.bytes() == before, "verify or salvage changed the store");
    tool.fine_at(&new, &["verify"]);
    let stdout = tool.fine_at(&new, &["work", "p"]);
    assert!(stdout.contains("w24") && !stdout.contains("w25") && stdout.contains("w39"), "{stdout}");
    let (_, stderr) = tool.ends(2, &["salvage", "--output", &new]);
    assert!(stderr.contains("new is not empty; name a new folder"), "{stderr}");
    assert_eq!(names(tool.folder.path()), ["new", "state"]);
}

/// The parts of a large commit that can be read say which records it wrote.
#[test]
fn salvage_names_what_a_damaged_commit_wrote() {
    let tool = Tool { folder: tempfile::tempdir().unwrap() };
    let running = tool.folder.path().join("running");
    let builder = Store::builder().segment_bytes(16 << 10).sync_interval(Duration::from_millis(5));
    let store = builder.open(&running).unwrap();
    let process = store.process("p").unwrap();
    process.register("w0", Params::new()).unwrap();
    let large = |n: usize| (format!("w{n}"), Params::new().string("text", format!("{n}").repeat(9000)));
    process.register_all((0..4).map(large)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    common::copy_as_it_is(&running, &tool.db());
    store.close().unwrap();
    let last = b"333333";
    let holds = |path: &std::path::PathBuf| fs::read(path).unwrap().windows(6).any(|bytes| bytes == last);
    let logs = fs::read_dir(tool.db().join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.filter(holds).max().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.windows(6).rposition(|bytes| bytes == last).unwrap();
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (stdout, _) = tool.ends(1, &["salvage", "--output", &tool.beside("new")]);
    assert!(stdout.contains("older: p/active/w0 (commit 1)\n"), "{stdout}");
    assert!(stdout.contains("lost: p/active/w1 (commit 2)\n"), "{stdout}");
    assert!(!stdout.contains("p/active/w3"), "nothing says that it was written: {stdout}");
    assert!(stdout.contains("MISSING: commit 2: "), "{stdout}");
    tool.fine_at(&tool.beside("new"), &["verify"]);
}

#[test]
fn salvage_of_a_sound_store_is_complete() {
    let tool = killed();
    let new = tool.beside("a/b/new");
    let stdout = tool.fine(&["salvage", "--output", &new]);
    assert!(stdout.contains("complete: nothing that was acknowledged as durable is lost"), "{stdout}");
    assert_eq!(tool.fine(&["export"]), tool.fine_at(&new, &["export"]));
}

#[test]
fn salvage_without_a_log_has_what_the_index_has() {
    let tool = Tool::imported();
    let content = tool.fine(&["export"]);
    fs::remove_dir_all(tool.db().join("wal")).unwrap();
    tool.ends(2, &["export"]);
    let (stdout, _) = tool.ends(1, &["verify"]);
    assert!(stdout.contains("all of the log is gone"), "{stdout}");
    let new = tool.beside("new");
    let (stdout, _) = tool.ends(1, &["--json", "salvage", "--output", &new]);
    let told = json(stdout.lines().last().unwrap());
    assert_eq!(told["summary"]["missing"], serde_json::json!([{"first": 2, "last": null}]), "{told}");
    assert_eq!(stdout.lines().count(), 1 + told["summary"]["records"].as_u64().unwrap() as usize);
    assert_eq!(tool.fine_at(&new, &["export"]), content);
}

/// A store whose snapshot, log and index are all damaged: what is left stands in bytes
/// that nothing leads to any more.
#[test]
fn salvage_finds_records_in_whatever_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).unwrap();
    let process = store.process("p").unwrap();
    let large =
        |n: i64| Params::new().int("n", n).string("text", "x".repeat(if n % 50 == 0 { 9000 } else { 20 }));
    process.register_all((0..300).map(|n| (format!("w{n:03}"), large(n)))).unwrap();
    process.unregister("w007").unwrap();
    let content = process.snapshot().unwrap();
    store.close().unwrap();
    recovery::compact(&state).unwrap();
    fs::remove_dir_all(state.join("wal")).unwrap();
    fs::remove_file(state.join("MANIFEST")).unwrap();
    let flip = |path: &Path, every: usize| {
        let mut bytes = fs::read(path).unwrap();
        for at in (500..bytes.len()).step_by(every) {
            bytes[at] ^= 4;
        }
        fs::write(path, bytes).unwrap();
    };
    let snapshot = fs::read_dir(state.join("snapshots")).unwrap().next().unwrap().unwrap().path();
    for (damage, least) in [("index and log", 302), ("a part of the snapshot too", 290), ("no snapshot", 250)]
    {
        match damage {
            "index and log" => flip(&state.join("index/db"), 2000),
            "a part of the snapshot too" => flip(&snapshot, 9000),
            _ => fs::remove_file(&snapshot).unwrap(),
        }
        let mut fates = Vec::new();
        let new = folder.path().join(damage);
        let salvaged =
            recovery::salvage(&state, &new, Options::default(), |record| fates.push(record.fate)).unwrap();
        assert!(!salvaged.is_complete() && salvaged.refused.is_some(), "{salvaged:?}");
        assert!(salvaged.records() >= least, "{damage}: {salvaged:?}");
        let count = |fate: Fate| fates.iter().filter(|found| **found == fate).count() as u64;
        assert_eq!((count(Fate::Kept), count(Fate::Lost)), (salvaged.kept, salvaged.lost));
        assert_eq!(salvaged.suspicious > 0, damage != "index and log", "{damage}: {salvaged:?}");
        let store = Store::open(&new).unwrap();
        let found = store.process("p").unwrap().snapshot().unwrap();
        let is_invented =
            |(name, work): &(&String, &procstate::Work)| content.active_work.get(*name) != Some(*work);
        let invented: Vec<_> = found.active_work.iter().filter(is_invented).map(|(name, _)| name).collect();
        // Of the item that was moved the later record may be lost, and the earlier found.
        assert!(invented.is_empty() || invented == ["w007"], "{damage}: {invented:?}");
        store.close().unwrap();
    }
}

/// An owner of a store of the first format, whose index is all there is.
#[test]
fn a_store_without_a_log_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    common::copy_as_it_is(Path::new("tests/fixtures/format-1/store"), &state);
    fs::remove_file(state.join("index/db")).unwrap();
    let error = Store::open(&state).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("Nothing was changed"), "{error}");
    assert!(!state.join("index.damaged-1").exists());
}

/// A part of a store may be on another disk.
#[test]
fn a_log_behind_a_link_is_a_part_of_the_store() {
    for damaged in [false, true] {
        let tool = killed();
        let content = tool.fine(&["export"]);
        if damaged {
            damage_commit_of(&tool, "w25");
        }
        let disk = tool.folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        fs::rename(tool.db().join("wal"), disk.join("wal")).unwrap();
        std::os::unix::fs::symlink(disk.join("wal"), tool.db().join("wal")).unwrap();
        std::os::unix::fs::symlink(".", tool.db().join("again")).unwrap();
        let (new, copy) = (tool.beside("new"), tool.beside("copy"));
        Store::copy_files(tool.db(), &copy).unwrap();
        assert_eq!(names(Path::new(&copy).join("wal").as_path()), names(&disk.join("wal")));
        if damaged {
            let (stdout, _) = tool.ends(1, &["salvage", "--output", &new]);
            assert!(stdout.contains("new has 41 records as of commit 40"), "{stdout}");
        } else {
            assert!(recovery::verify(tool.db(), Options::default(), |_| ()).unwrap().is_sound());
            tool.fine(&["salvage", "--output", &new]);
            assert_eq!(tool.fine_at(&new, &["export"]), content);
            assert_eq!(tool.fine_at(&copy, &["export"]), content);
        }
    }
}

/// Who opens a pipe waits until somebody writes to it.
#[test]
fn nobody_waits_for_a_pipe() {
    let tool = killed();
    damage_commit_of(&tool, "w25");
    for folder in ["index.damaged-1", "snapshots"] {
        fs::create_dir_all(tool.db().join(folder)).unwrap();
    }
    let snapshot = format!("snapshots/{:020}.archive", 3);
    for pipe in ["pipe", "wal/pipe", "wal/777777.wal", "index.damaged-1/db", &snapshot] {
        let made = std::process::Command::new("mkfifo").arg(tool.db().join(pipe)).status().unwrap();
        assert!(made.success());
    }
    for arguments in [&["verify"][..], &["salvage", "--output", &tool.beside("new")]] {
        let mut child = tool.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_done = || child.try_wait().unwrap();
        let waits = std::iter::repeat_with(is_done).take(1200);
        let status = waits.inspect(|_| std::thread::sleep(Duration::from_millis(50))).flatten().next();
        if status.is_none() {
            child.kill().unwrap();
        }
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{arguments:?}");
    }
}
