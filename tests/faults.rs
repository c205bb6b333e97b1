//! Former faults, each with its minimal reproduction.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::copy_as_it_is;
use procstate::recovery::{self, Finding, Options, Severity, Verified};
use procstate::{OpenReport, Params, Process, Recovery, Store};
use tempfile::TempDir;

/// Creates a closed store with these items of one process, each with parameters of this size.
fn closed(folder: &Path, name: &str, items: &[&str], bytes: usize) -> (PathBuf, Process) {
    let path = folder.join(name);
    let store = Store::builder().segment_bytes(16 << 10).open(&path).unwrap();
    let process = store.process("p").unwrap();
    for item in items {
        process.register(item, Params::new().string("text", "x".repeat(bytes))).unwrap();
    }
    let content = process.snapshot().unwrap();
    store.close().unwrap();
    (path, content)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn open(store: &Path) -> procstate::Result<(Process, OpenReport)> {
    let store = Store::builder().create(false).open(store)?;
    let content = store.process("p")?.snapshot()?;
    let report = store.open_report().clone();
    store.close()?;
    Ok((content, report))
}

fn verify(store: &Path) -> (Verified, Vec<Finding>) {
    let mut findings = Vec::new();
    let verified = recovery::verify(store, Options::default(), |finding| findings.push(finding)).unwrap();
    (verified, findings)
}

/// Returns the segments, newest last.
fn segments(store: &Path) -> Vec<PathBuf> {
    let id = |path: &PathBuf| u64::from_le_bytes(fs::read(path).unwrap()[32..40].try_into().unwrap());
    let mut found: Vec<_> =
        fs::read_dir(store.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| id(path) > 0);
    found.sort_by_key(id);
    found
}

/// Checks that opening reports the damage once, loses nothing, and continues without the damaged
/// part.
fn is_reported_once(store: &Path, content: &Process, damage: &str) {
    let (verified, findings) = verify(store);
    assert_eq!(verified.refused, None, "{damage}");
    assert!(findings.iter().any(|found| found.severity == Severity::Warning), "{damage}: {findings:?}");
    let (found, report) = open(store).unwrap_or_else(|error| panic!("{damage}: {error}"));
    assert!(found == *content && report.damaged_log.is_some(), "{damage}: {report:?}");
    let (verified, findings) = verify(store);
    assert!(verified.is_sound(), "{damage}: {findings:?}");
    for round in 0..3 {
        let opened = Store::builder().segment_bytes(16 << 10).open(store).unwrap();
        assert_eq!(opened.open_report(), &OpenReport::default(), "{damage}, opening {round}");
        opened.process("p").unwrap().register(&format!("later {round}"), Params::new()).unwrap();
        opened.close().unwrap();
    }
    fs::remove_dir_all(store.join("index")).unwrap();
    let (found, report) = open(store).unwrap();
    assert!(report.rebuilt.is_some() && found.active_work.len() == content.active_work.len() + 3, "{damage}");
}

#[test]
fn a_flipped_byte_in_the_only_segment_keeps_the_store_usable() {
    let temp = folder();
    let (store, content) = closed(temp.path(), "sound", &["a", "b"], 0);
    // In the header, in the first frame, in the frame of the first commit.
    for at in [3, 12, 20, 33, 40, 4096, 4100, 4104, 4112, 4140] {
        let copy = temp.path().join(at.to_string());
        copy_as_it_is(&store, &copy);
        flip(&copy.join("wal/000000.wal"), at);
        is_reported_once(&copy, &content, &format!("byte {at}"));
    }
}

/// Any flipped bit of the first line except in the title may change the format number.
#[test]
fn a_damaged_manifest_is_not_a_newer_format() {
    let temp = folder();
    let (store, _) = closed(temp.path(), "store", &["a"], 0);
    let manifest = store.join("MANIFEST");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("format 4", "format 7")).unwrap();
    let error = open(&store).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("checksum"), "{error}");
    let (verified, findings) = verify(&store);
    assert!(verified.refused.is_some() && findings[0].file.ends_with("MANIFEST"), "{findings:?}");
    let salvaged = recovery::salvage(&store, temp.path().join("new"), Options::default(), |_| {}).unwrap();
    assert!(salvaged.is_complete() && salvaged.records() == 3, "{salvaged:?}");
}

#[test]
fn an_index_of_another_store_is_not_served() {
    let temp = folder();
    let (own, content) = closed(temp.path(), "own", &["a", "b", "c"], 0);
    let (other, _) = closed(temp.path(), "other", &["x", "y", "z"], 0);
    fs::remove_dir_all(own.join("index")).unwrap();
    copy_as_it_is(&other.join("index"), &own.join("index"));
    let (verified, findings) = verify(&own);
    let foreign = findings.iter().find(|found| found.what.contains("index of another store"));
    assert!(foreign.is_some_and(|found| found.severity == Severity::Warning), "{findings:?}");
    assert_eq!(verified.refused, None);
    let new = temp.path().join("new");
    let salvaged = recovery::salvage(&own, &new, Options::default(), |_| {}).unwrap();
    assert!(salvaged.is_complete(), "{salvaged:?}");
    assert_eq!(open(&new).unwrap().0.active_work, content.active_work);
    let (found, report) = open(&own).unwrap();
    assert!(report.rebuilt.unwrap().why.contains("index of another store") && found == content);
    // Without its log the store has nothing.
    fs::remove_dir_all(own.join("index")).unwrap();
    copy_as_it_is(&other.join("index"), &own.join("index"));
    fs::remove_dir_all(own.join("wal")).unwrap();
    let salvaged = recovery::salvage(&own, temp.path().join("nothing"), Options::default(), |_| {}).unwrap();
    assert!(!salvaged.is_complete() && salvaged.records() == 0, "{salvaged:?}");
    assert!(open(&own).is_err());
}

/// The next claim replaces the damaged one, which is no longer known.
#[test]
fn a_claim_after_a_damaged_one_is_not_damage() {
    let temp = folder();
    let path = temp.path().join("store");
    let store = Store::open(&path).unwrap();
    let process = store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    for _ in 0..4 {
        common::won(&process).finish().unwrap();
    }
    let content = process.snapshot().unwrap();
    store.close().unwrap();
    let mut claims = Vec::new();
    recovery::read_log(&path, 0, |entry| {
        if let recovery::LogEntry::Commit(commit) = entry {
            let is_claim = commit.changes.iter().any(|change| change.record == "owner");
            claims.extend(is_claim.then_some(commit.seq));
        }
        Ok(())
    })
    .unwrap();
    let log = path.join("wal/000000.wal");
    let bytes = fs::read(&log).unwrap();
    // A frame has its number at byte eight, and a whole commit has kind 1.
    let frame_of = |seq: u64| {
        let is_frame = |at: &usize| bytes[at + 8..at + 16] == seq.to_le_bytes() && bytes[at + 28] == 1;
        (4096..bytes.len() - 32).step_by(8).find(is_frame).unwrap()
    };
    for seq in claims {
        let at = frame_of(seq) + 40;
        flip(&log, at);
        let (verified, findings) = verify(&path);
        assert_eq!((verified.refused, verified.damages), (None, 0), "commit {seq}: {findings:?}");
        assert!(verified.warnings > 0, "commit {seq}: {findings:?}");
        flip(&log, at);
    }
    assert!(open(&path).unwrap().0 == content);
}

/// Returns the permissions of a folder and its content, except sled's lock.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(path.to_owned(), fs::metadata(path).unwrap().permissions().mode() & 0o777)];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn a_new_store_is_for_its_user_alone() {
    let temp = folder();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (store, _) = closed(temp.path(), "store", &["a", "b"], 3000);
    // sled creates files whenever it is opened.
    open(&store).unwrap();
    let opened = Store::open(&store).unwrap();
    opened.backup(temp.path().join("backup")).unwrap();
    let is_private = |path: &Path| {
        for (path, mode) in modes(path) {
            assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", path.display());
        }
    };
    is_private(&store);
    opened.close().unwrap();
    is_private(&temp.path().join("backup"));
    recovery::restore(temp.path().join("backup"), temp.path().join("restored"), recovery::Until::End)
        .unwrap();
    recovery::salvage(&store, temp.path().join("salvaged"), Options::default(), |_| {}).unwrap();
    Store::copy_files(&store, temp.path().join("copy")).unwrap();
    ["restored", "salvaged", "copy"].iter().for_each(|name| is_private(&temp.path().join(name)));
}

#[test]
fn a_shared_store_stays_shared() {
    let temp = folder();
    let path = temp.path().join("store");
    Store::builder().private(false).open(&path).unwrap().close().unwrap();
    let manifest = fs::metadata(path.join("MANIFEST")).unwrap().permissions().mode() & 0o777;
    let store = Store::builder().segment_bytes(16 << 10).open(&path).unwrap();
    for n in 0..20 {
        let params = Params::new().string("text", "x".repeat(3000));
        store.process("p").unwrap().register(&format!("w{n}"), params).unwrap();
    }
    store.close().unwrap();
    for (file, mode) in modes(&path).into_iter().filter(|(file, _)| file.is_file()) {
        assert_eq!(mode, manifest, "{} has the mode {mode:o}", file.display());
    }
}

/// The target of such a link was overwritten.
#[test]
fn no_link_in_a_store_is_followed() {
    let temp = folder();
    let (store, content) = closed(temp.path(), "sound", &["a", "b"], 0);
    let victim = temp.path().join("victim");
    for name in ["LOCK", "MANIFEST", "MANIFEST.new", "SYNCED", "wal/000000.wal", "index/conf", "index/db"] {
        let copy = temp.path().join(name.replace('/', " "));
        copy_as_it_is(&store, &copy);
        let link = copy.join(name);
        let _ = fs::rename(&link, &victim);
        let before = fs::read(&victim).unwrap_or_default();
        fs::write(&victim, &before).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        match open(&copy) {
            Ok((found, report)) => {
                assert!(found == content && name.starts_with("index/"), "{name}");
                assert!(report.rebuilt.unwrap().why.contains("is a symbolic link"), "{name}");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let text = format!("{error}: {}", cause.unwrap_or_default());
                assert!(text.contains("it is a symbolic link"), "{name}: {text}");
            }
        }
        assert!(fs::read(&victim).unwrap() == before, "{name}: what the link leads to was changed");
        fs::remove_file(&victim).unwrap();
    }
}

/// The newest segment starts in the middle of a commit and lacks its beginning.
#[test]
fn records_after_a_lost_segment_are_not_reported_as_kept() {
    let temp = folder();
    let (running, state) = (temp.path().join("running"), temp.path().join("state"));
    let store = Store::builder().segment_bytes(16 << 10).open(&running).unwrap();
    let process = store.process("p").unwrap();
    for n in 0..7 {
        process.register("a", Params::new().string("text", format!("{n}").repeat(3200))).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    copy_as_it_is(&running, &state);
    drop(store);
    let with_frames = |path: &PathBuf| fs::read(path).unwrap()[4096..].iter().any(|byte| *byte != 0);
    let newest = segments(&state).into_iter().rfind(with_frames).unwrap();
    fs::remove_file(newest).unwrap();
    let mut records = Vec::new();
    let new = temp.path().join("new");
    let salvaged = recovery::salvage(&state, new, Options::default(), |record| records.push(record)).unwrap();
    let (last, all) = (salvaged.missing.last().unwrap(), &salvaged.missing);
    assert!(last.last.is_none() && all[0].first <= 5, "{all:?}");
    assert_eq!((salvaged.kept, salvaged.is_complete()), (0, false), "{salvaged:?} {records:?}");
}

#[test]
fn without_a_manifest_files_of_another_store_are_left_out() {
    let temp = folder();
    let (own, content) = closed(temp.path(), "own", &["a", "b", "c", "d", "e", "f"], 3000);
    let (other, _) = closed(temp.path(), "other", &["x", "y", "z"], 0);
    fs::remove_file(own.join("MANIFEST")).unwrap();
    let salvage = |name: &str| {
        let new = temp.path().join(name);
        let salvaged = recovery::salvage(&own, &new, Options::default(), |_| {}).unwrap();
        (salvaged, open(&new).map(|(content, _)| content.active_work).unwrap_or_default())
    };
    let (salvaged, found) = salvage("all its own");
    assert!(salvaged.is_complete() && found == content.active_work, "{salvaged:?}");
    fs::copy(other.join("wal/000000.wal"), own.join("wal/000077.wal")).unwrap();
    let (verified, findings) = verify(&own);
    let named = findings.iter().find(|found| found.file.ends_with("000077.wal"));
    assert!(verified.refused.is_some() && named.is_some(), "{findings:?}");
    let (salvaged, found) = salvage("one of another");
    assert!(!salvaged.is_complete() && found == content.active_work, "{salvaged:?}");
    // With only that left, the owner is unknown.
    fs::remove_dir_all(own.join("wal")).unwrap();
    fs::remove_dir_all(own.join("index")).unwrap();
    copy_as_it_is(&other.join("wal"), &own.join("wal"));
    let (salvaged, _) = salvage("nothing of its own");
    assert!(!salvaged.is_complete(), "{salvaged:?}");
}

/// Opening, verify and log agree in their judgement and their wording.
#[test]
fn the_same_damage_is_reported_in_the_same_words() {
    let temp = folder();
    let (store, _) = closed(temp.path(), "store", &["a", "b"], 0);
    fs::write(store.join("index/db"), vec![0x5a; 70_000]).unwrap();
    let (verified, findings) = verify(&store);
    assert_eq!(verified.refused, None);
    let index = findings.iter().find(|found| found.file.ends_with("index/db")).unwrap();
    assert!(index.meaning.contains("the log has all") && !index.meaning.contains("snapshot"), "{index:?}");
    let (_, report) = open(&store).unwrap();
    assert_eq!(report.rebuilt.unwrap().why, index.what.replace("index/db", "index"));
    // Two segments, the first of which is in the index.
    let items = ["a", "b", "c", "d", "e", "f"];
    let (store, content) = closed(temp.path(), "of two segments", &items, 3000);
    let oldest = segments(&store).remove(0);
    let mut bytes = fs::read(&oldest).unwrap();
    bytes.fill(0);
    fs::write(&oldest, bytes).unwrap();
    let (found, report) = open(&store).unwrap();
    let damage = report.damaged_log.unwrap();
    assert!(found == content && !damage.contains("restore a backup"), "{damage}");
}

#[test]
fn a_segment_whose_first_frame_is_damaged_gets_no_more_commits() {
    let temp = folder();
    let (store, content) = closed(temp.path(), "sound", &["a", "b", "c", "d", "e", "f"], 3000);
    let segments = segments(&store);
    assert_eq!(segments.len(), 2);
    for (n, segment) in segments.iter().enumerate() {
        for at in [40, 4096, 4104, 5000] {
            let copy = temp.path().join(format!("{n} {at}"));
            copy_as_it_is(&store, &copy);
            flip(&copy.join(segment.strip_prefix(&store).unwrap()), at);
            is_reported_once(&copy, &content, &format!("segment {n}, byte {at}"));
        }
    }
}

/// Waits until all commits so far are synced and recorded.
fn until_synced() {
    std::thread::sleep(std::time::Duration::from_millis(600));
}

/// Commits to an open store until the commits are synced.
fn register(store: &Store, items: impl Iterator<Item = usize>) {
    for n in items {
        store.process("p").unwrap().register(&format!("w{n}"), Params::new()).unwrap();
    }
    until_synced();
}

/// Creates a store of a program that died, with 4 items, and its only segment as it was after two.
fn with_an_older_log(folder: &Path) -> (PathBuf, Vec<u8>) {
    let (running, state) = (folder.join("running"), folder.join("state"));
    let store = Store::open(&running).unwrap();
    register(&store, 0..2);
    let older = fs::read(running.join("wal/000000.wal")).unwrap();
    register(&store, 2..4);
    copy_as_it_is(&running, &state);
    (state, older)
}

/// The remaining log ends properly, and no checkpoint was made: 143 acknowledged commits were lost
/// silently in this way.
#[test]
fn a_log_restored_from_an_older_copy_is_detected() {
    let temp = folder();
    let (state, older) = with_an_older_log(temp.path());
    fs::write(state.join("wal/000000.wal"), older).unwrap();
    let error = open(&state).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("are missing"), "{error}");
    let (verified, findings) = verify(&state);
    assert!(verified.refused.is_some_and(|why| why.contains("are missing")), "{findings:?}");
    assert!(verified.damages > 0, "{findings:?}");
    let new = temp.path().join("new");
    let salvaged = recovery::salvage(&state, new, Options::default(), |_| {}).unwrap();
    assert!(!salvaged.is_complete() && !salvaged.missing.is_empty(), "{salvaged:?}");
    let restored = recovery::restore(&state, temp.path().join("restored"), recovery::Until::End);
    assert!(restored.unwrap_err().to_string().contains("are missing"));
    // A user who opens it anyway is told once what is lost.
    let cut = Store::builder().recovery(Recovery::CutLog).open(&state).unwrap();
    let lost = cut.open_report().lost.clone().unwrap();
    assert!(lost.contains("are missing"), "{lost}");
    assert_eq!(cut.process("p").unwrap().snapshot().unwrap().active_work.len(), 2);
    cut.close().unwrap();
    assert_eq!(open(&state).unwrap().1, OpenReport::default());
}

/// Everything synced is recorded; what came later may be a torn tail, which is reported.
#[test]
fn a_destroyed_end_of_the_log_is_detected() {
    let temp = folder();
    let (state, older) = with_an_older_log(temp.path());
    let log = state.join("wal/000000.wal");
    let sound = fs::read(&log).unwrap();
    let end = older.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for fill in [0, 0xaa] {
        let mut bytes = sound.clone();
        bytes[end..].fill(fill);
        fs::write(&log, bytes).unwrap();
        assert!(open(&state).unwrap_err().to_string().contains("are missing"), "{fill}");
    }
    // As if it had never been synced.
    fs::write(&log, &sound).unwrap();
    let mut bytes = sound.clone();
    let end = sound.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[end.next_multiple_of(8) + 8..][..100].fill(0xaa);
    fs::write(&log, bytes).unwrap();
    let (verified, findings) = verify(&state);
    assert!(verified.is_sound(), "{findings:?}");
    assert!(findings.iter().any(|found| found.what.contains("unreadable data")), "{findings:?}");
    let (found, report) = open(&state).unwrap();
    let torn = report.torn_tail.unwrap();
    assert!(torn.kept == torn.newest && found.active_work.len() == 4, "{torn:?}");
    assert_eq!(open(&state).unwrap().1, OpenReport::default());
}

/// Creates two stores that diverged, each with some items of its own.
fn forked(folder: &Path, own: usize, others: usize) -> (PathBuf, PathBuf, Process) {
    let (path, _) = closed(folder, "own", &["a", "b"], 0);
    let fork = folder.join("fork");
    copy_as_it_is(&path, &fork);
    let grow = |path: &Path, name: &str, count: usize| {
        let store = Store::open(path).unwrap();
        let process = store.process("p").unwrap();
        for n in 0..count {
            process.register(&format!("{name}{n}"), Params::new()).unwrap();
        }
        let content = process.snapshot().unwrap();
        store.close().unwrap();
        content
    };
    let content = grow(&path, "own", own);
    grow(&fork, "fork", others);
    (path, fork, content)
}

fn put_in_place(from: &Path, to: &Path, part: &str) {
    fs::remove_dir_all(to.join(part)).unwrap();
    copy_as_it_is(&from.join(part), &to.join(part));
}

#[test]
fn the_index_of_a_forked_copy_is_not_served() {
    let temp = folder();
    for (others, name) in [(3, "as long"), (2, "shorter")] {
        let folder = temp.path().join(name);
        let (own, fork, content) = forked(&folder, 3, others);
        put_in_place(&fork, &own, "index");
        let (verified, findings) = verify(&own);
        assert!(verified.refused.is_none() && verified.warnings > 0, "{name}: {findings:?}");
        let salvaged = recovery::salvage(&own, folder.join("new"), Options::default(), |_| {}).unwrap();
        let found = open(&folder.join("new")).unwrap().0;
        assert!(salvaged.is_complete(), "{name}: {salvaged:?}");
        assert_eq!(found.active_work, content.active_work, "{name}");
        let (found, report) = open(&own).unwrap();
        let why = report.rebuilt.unwrap().why;
        let words = ["another history of this store", "rolled back"];
        assert!(words.iter().any(|words| why.contains(words)), "{name}: {why}");
        assert!(found == content, "{name}");
        assert_eq!(open(&own).unwrap().1, OpenReport::default(), "{name}");
    }
}

/// For a log of the same length, a shorter and a longer one.
#[test]
fn the_log_of_a_forked_copy_is_not_served() {
    let temp = folder();
    for others in [2, 3, 5] {
        let folder = temp.path().join(others.to_string());
        let (own, fork, content) = forked(&folder, 3, others);
        put_in_place(&fork, &own, "wal");
        let error = open(&own).unwrap_err();
        assert!(error.is_corrupt(), "{others}: {error}");
        let is_told = error.to_string().contains("another history of this store");
        assert!(is_told || others == 2, "{others}: {error}");
        let (verified, findings) = verify(&own);
        assert!(verified.refused.is_some() && verified.damages > 0, "{others}: {findings:?}");
        let salvaged = recovery::salvage(&own, folder.join("new"), Options::default(), |_| {}).unwrap();
        let found = open(&folder.join("new")).unwrap().0.active_work;
        assert_eq!(found, content.active_work, "{others}: {salvaged:?}");
    }
}

/// Found by the damage harness: replaying began in a segment of a copy of the store, and came upon
/// none of the commits that the index lacked, although the log was judged by the store's own.
#[test]
fn a_segment_of_a_forked_copy_hides_no_commit() {
    let temp = folder();
    let names = ["a", "b", "c", "d", "e", "f"];
    let grow = |path: &Path, prefix: &str, names: &[&str]| {
        let store = Store::builder().segment_bytes(16 << 10).open(path).unwrap();
        for name in names {
            let params = Params::new().string("text", "x".repeat(2500));
            store.process("p").unwrap().register(&format!("{prefix}-{name}"), params).unwrap();
        }
        store
    };
    // Which of two segments of the same generation comes first is left to chance.
    for round in 0..6 {
        let folder = temp.path().join(round.to_string());
        let (own, _) = closed(&folder, "own", &names, 2500);
        let fork = folder.join("fork");
        copy_as_it_is(&own, &fork);
        // Writing continues in the last fully indexed segment.
        grow(&own, "indexed", &names[..5]).close().unwrap();
        let running = grow(&own, "logged", &names);
        let content = running.process("p").unwrap().snapshot().unwrap();
        let shared = segments(&fork);
        drop(grow(&fork, "fork", &names));
        for (n, segment) in segments(&fork).into_iter().filter(|path| !shared.contains(path)).enumerate() {
            let state = folder.join(n.to_string());
            copy_as_it_is(&own, &state);
            fs::copy(segment, state.join("wal/000099.wal")).unwrap();
            let (verified, findings) = verify(&state);
            let into = folder.join(format!("{n}-salvaged"));
            let salvaged = recovery::salvage(&state, &into, Options::default(), |_| {}).unwrap();
            if salvaged.is_complete() {
                assert!(open(&into).unwrap().0 == content, "{salvaged:?}");
            }
            let restored = folder.join(format!("{n}-restored"));
            if recovery::restore(&state, &restored, recovery::Until::End).is_ok() {
                assert!(open(&restored).unwrap().0 == content);
            }
            match open(&state) {
                Ok((found, report)) => assert!(verified.refused.is_none() && found == content, "{report:?}"),
                Err(error) => {
                    assert!(verified.refused.is_some() && error.is_corrupt(), "{error} {findings:?}")
                }
            }
        }
    }
}

/// Found by the damage harness: where a segment was missing, the commits of a copy were taken for those
/// of the store. If the copy's segment had as many commits, opening served them, too.
#[test]
fn a_segment_of_a_forked_copy_fills_no_gap() {
    let temp = folder();
    let grow = |path: &Path, prefix: &str, text: usize| {
        let store = Store::builder().segment_bytes(16 << 10).open(path).unwrap();
        for n in 0..24 {
            let params = Params::new().string("text", "x".repeat(text));
            store.process("p").unwrap().register(&format!("{prefix}-{n}"), params).unwrap();
        }
        store
    };
    for (text, name) in [(2500, "as many"), (1500, "more")] {
        let folder = temp.path().join(name);
        let (own, _) = closed(&folder, "own", &["a", "b"], 0);
        let fork = folder.join("fork");
        copy_as_it_is(&own, &fork);
        let running = grow(&own, "own", 2500);
        let copy_running = grow(&fork, "fork", text);
        let content = running.process("p").unwrap().snapshot().unwrap();
        let of_the_copy = |segment: &Path| fork.join("wal").join(segment.file_name().unwrap());
        let mut incomplete = 0;
        for segment in segments(&own).into_iter().filter(|segment| of_the_copy(segment).exists()) {
            let state = folder.join("damaged");
            copy_as_it_is(&own, &state);
            fs::remove_dir_all(state.join("index")).unwrap();
            fs::copy(of_the_copy(&segment), state.join("wal").join(segment.file_name().unwrap())).unwrap();
            let check = |store: &Path, what: &dyn std::fmt::Debug, is_whole: bool| {
                let found =
                    open(store).unwrap_or_else(|error| panic!("{name} {segment:?} {what:?}: {error}")).0;
                let is_own = found.active_work.keys().all(|name| !name.starts_with("fork"));
                assert!(is_own && (!is_whole || found == content), "{name} {segment:?} {what:?}");
                fs::remove_dir_all(store).unwrap();
            };
            let (into, restored) = (folder.join("salvaged"), folder.join("restored"));
            let salvaged = recovery::salvage(&state, &into, Options::default(), |_| {}).unwrap();
            incomplete += u32::from(!salvaged.is_complete());
            check(&into, &salvaged, salvaged.is_complete());
            if recovery::restore(&state, &restored, recovery::Until::End).is_ok() {
                check(&restored, &"restored", true);
            }
            let (verified, _) = verify(&state);
            match Store::open(&state) {
                Err(error) => assert!(error.is_corrupt() && verified.refused.is_some(), "{error}"),
                Ok(store) => {
                    drop(store);
                    assert!(verified.refused.is_none(), "{verified:?}");
                    check(&state, &"opened", true);
                }
            }
            let _ = fs::remove_dir_all(&state);
        }
        assert!(incomplete > 2);
        drop((running, copy_running));
    }
}

/// Damages the frame of a commit in a log.
fn damage_commit(store: &Path, seq: u64) {
    for segment in segments(store) {
        let mut bytes = fs::read(&segment).unwrap();
        // A frame is aligned to 8 bytes; after checksum and length it has the commit, and then what
        // was synced before.
        let is_commit =
            |at: &usize| bytes[*at..][..8] == seq.to_le_bytes() && bytes[*at - 4..][..4] != [0; 4];
        if let Some(at) = (4104..bytes.len() - 8).step_by(8).find(is_commit) {
            bytes[at + 40] ^= 1;
            fs::write(segment, bytes).unwrap();
            return;
        }
    }
    panic!("commit {seq} is not in the log");
}

/// Found by the damage harness: the index of a copy of the store was served, and was called complete,
/// where the log had lost the commit with which that index ends.
#[test]
fn the_index_of_a_forked_copy_is_not_served_where_the_log_is_damaged() {
    let temp = folder();
    let folder = temp.path();
    let (running, fork, _) = forked(folder, 0, 2);
    let own = folder.join("killed");
    let store = Store::open(&running).unwrap();
    let process = store.process("p").unwrap();
    for n in 0..4 {
        process.register(&format!("own{n}"), Params::new()).unwrap();
    }
    copy_as_it_is(&running, &own);
    let content = process.snapshot().unwrap();
    let last = recovery::verify(&fork, Options::default(), |_| {}).unwrap().last_seq;
    put_in_place(&fork, &own, "index");
    damage_commit(&own, last);
    let (verified, findings) = verify(&own);
    let salvaged = recovery::salvage(&own, folder.join("new"), Options::default(), |_| {}).unwrap();
    let found = open(&folder.join("new")).unwrap().0;
    assert!(found.active_work.len() <= content.active_work.len(), "{salvaged:?}");
    assert!(!salvaged.is_complete(), "{salvaged:?}");
    let error = open(&own).unwrap_err();
    assert!(error.is_corrupt() && verified.refused.is_some(), "{error} {findings:?}");
}

/// The log alone does not tell which opening wrote the damaged commit, but the index does.
#[test]
fn damage_to_the_log_takes_no_epoch_from_the_manifest() {
    let temp = folder();
    let (store, content) = closed(temp.path(), "store", &["a", "b"], 0);
    let epoch = || {
        let manifest = fs::read_to_string(store.join("MANIFEST")).unwrap();
        manifest.lines().find_map(|line| line.strip_prefix("epoch ").map(str::to_owned)).unwrap()
    };
    let before = epoch();
    damage_commit(&store, verify(&store).0.last_seq);
    let (found, report) = open(&store).unwrap();
    assert!(found == content && report.damaged_log.is_some(), "{report:?}");
    assert_eq!(epoch(), before);
}

/// Found by the damage harness: which of the two files belongs to the store cannot be known.
#[test]
fn salvage_is_never_complete_where_synced_belongs_to_another_store() {
    let temp = folder();
    let (other, _) = closed(temp.path(), "other", &["x", "y"], 0);
    let (own, content) = closed(temp.path(), "own", &["a", "b"], 0);
    fs::copy(other.join("SYNCED"), own.join("SYNCED")).unwrap();
    let salvaged = recovery::salvage(&own, temp.path().join("new"), Options::default(), |_| {}).unwrap();
    assert!(!salvaged.is_complete(), "{salvaged:?}");
    assert_eq!(open(&temp.path().join("new")).unwrap().0.active_work, content.active_work);
}

#[test]
fn a_lost_synced_file_is_reported_and_rewritten() {
    let temp = folder();
    let (store, content) = closed(temp.path(), "store", &["a", "b"], 0);
    let (other, _) = closed(temp.path(), "other", &["a", "b"], 0);
    let note = store.join("SYNCED");
    let sound = fs::read(&note).unwrap();
    assert_eq!(sound.len(), 1024);
    let damages: [(&str, &dyn Fn()); 4] = [
        ("missing", &|| fs::remove_file(&note).unwrap()),
        ("both of its slots", &|| fs::write(&note, vec![0; 1024]).unwrap()),
        ("both of its slots", &|| fs::write(&note, b"").unwrap()),
        ("another store", &|| fs::write(&note, fs::read(other.join("SYNCED")).unwrap()).unwrap()),
    ];
    for (words, damage) in damages {
        damage();
        let (verified, findings) = verify(&store);
        assert_eq!(verified.refused, None, "{words}");
        let finding = findings.iter().find(|found| found.file == note).unwrap();
        assert!(finding.severity == Severity::Warning && finding.what.contains(words), "{finding:?}");
        let (found, report) = open(&store).unwrap();
        let why = report.damaged_synced.unwrap();
        assert!(found == content && why.contains(words), "{words}: {why}");
        assert!(verify(&store).0.is_sound(), "{words}");
        assert_eq!(open(&store).unwrap().1, OpenReport::default(), "{words}");
    }
    // An earlier copy records less, which is harmless.
    Store::open(&store).unwrap().process("p").unwrap().register("c", Params::new()).unwrap();
    fs::write(&note, sound).unwrap();
    assert!(verify(&store).0.is_sound());
    assert_eq!(open(&store).unwrap().1.damaged_synced, None);
}

/// Nor its records, when those of the store are missing and all bytes are searched.
#[test]
fn salvage_ignores_files_of_another_store() {
    let temp = folder();
    let (other, _) = closed(temp.path(), "other", &["x", "y"], 3000);
    let backup = temp.path().join("backup");
    Store::open(&other).unwrap().backup(&backup).unwrap();
    let files =
        [("wal/000001.wal", segments(&other)[0].clone()), ("snapshots/00000000000000000003.archive", backup)];
    for (name, (to, from)) in [("segment", &files[0]), ("snapshot", &files[1])] {
        let (own, _) = closed(temp.path(), name, &["a", "b"], 0);
        for damaged in [own.join("index/db"), own.join("wal/000000.wal")] {
            let length = fs::metadata(&damaged).unwrap().len();
            fs::write(&damaged, vec![0; usize::try_from(length).unwrap()]).unwrap();
        }
        fs::copy(from, own.join(to)).unwrap();
        let into = temp.path().join(format!("{name}-salvaged"));
        let salvaged = recovery::salvage(&own, &into, Options::default(), |_| {}).unwrap();
        assert!(salvaged.records() == 0 && !salvaged.is_complete(), "{name}: {salvaged:?}");
    }
}
