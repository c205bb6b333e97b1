//! Faults that stores once had, each with its smallest reproduction.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::copy_as_it_is;
use procstate::recovery::{self, Finding, Options, Severity, Verified};
use procstate::{OpenReport, Params, Process, Store};
use tempfile::TempDir;

/// A closed store with these items of one process, each with some bytes of parameters.
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

/// The files of the log, the newest segment last.
fn segments(store: &Path) -> Vec<PathBuf> {
    let id = |path: &PathBuf| u64::from_le_bytes(fs::read(path).unwrap()[32..40].try_into().unwrap());
    let mut found: Vec<_> =
        fs::read_dir(store.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| id(path) > 0);
    found.sort_by_key(id);
    found
}

/// Opening tells of the damage once, loses nothing, and the log does without it from then on.
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
fn one_flipped_byte_in_the_only_segment_loses_no_store() {
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

/// Any bit of its first line but those of the title may make another number of the format.
#[test]
fn a_damaged_manifest_is_no_newer_format() {
    let temp = folder();
    let (store, _) = closed(temp.path(), "store", &["a"], 0);
    let manifest = store.join("MANIFEST");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("format 3", "format 7")).unwrap();
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

/// The claim before is what the next one replaces, and nobody knows it any more.
#[test]
fn a_claim_behind_a_damaged_one_is_no_damage() {
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
    // A frame has its number at its eighth byte, and a whole commit is of the kind 1.
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
