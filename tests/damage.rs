//! Damaged, rolled back, locked and foreign stores: opening reports the error, and never returns
//! wrong data.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Mount, check, copy_as_it_is, of_format, small, won};
use procstate::recovery::{self, Options, Severity, Until};
use procstate::{Durability, OpenReport, Params, Process, Recovery, Store};
use tempfile::TempDir;

/// An intact store with some history and a snapshot, and its content.
struct Sound {
    folder: TempDir,
    content: Process,
}

/// How the program that had the store open ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Killed,
}

impl Sound {
    fn new(end: End) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = small().open(&path).unwrap();
        let process = store.process("p").unwrap();
        for round in 0..8 {
            process
                .register_all((0..40).map(|n| (format!("w{n}"), Params::new().int("n", round * n))))
                .unwrap();
            let mut run = won(&process);
            while let Some(mut work) = run.next_work().unwrap() {
                work.add_stat("n", 1.0);
            }
            run.finish().unwrap();
        }
        let large = Params::new().string("large", "x".repeat(30_000));
        process.register("large", large).unwrap();
        let content = process.snapshot().unwrap();
        await_that("there is a snapshot", || store.stats().unwrap().snapshot_seq > 0);
        let sound = Self { folder, content };
        match end {
            End::Closed => store.close().unwrap(),
            End::Killed => {
                // Waits until SYNCED covers the whole log.
                std::thread::sleep(Duration::from_millis(100));
                copy_as_it_is(&path, &sound.path());
                drop(store);
                return sound;
            }
        }
        fs::rename(&path, sound.path()).unwrap();
        sound
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Copies the store to a temporary folder, in memory if possible, since thousands of syncs
    /// would take long.
    fn copy(&self) -> TempDir {
        let memory = Path::new("/dev/shm");
        let copy = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let copy = copy.unwrap();
        Store::copy_files(self.path(), copy.path()).unwrap();
        copy
    }

    fn read(folder: &Path) -> procstate::Result<(Process, OpenReport)> {
        let store = Store::builder().create(false).open(folder)?;
        let process = store.process("p")?.snapshot()?;
        Ok((process, store.open_report().clone()))
    }

    /// Opens a damaged copy; returns the error unless all of the content is there.
    fn whole_or_error(&self, folder: &Path, damage: &str) -> Result<OpenReport, String> {
        match Self::read(folder) {
            Ok((process, report)) => {
                assert!(process == self.content, "{damage}: other content. {report:?}");
                Ok(report)
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() > 30 && !text.contains("panicked"), "{damage}: {text}");
                Err(text)
            }
        }
    }

    /// Opens a damaged copy, which must have all of the content.
    fn whole(&self, folder: &Path, damage: &str) -> OpenReport {
        self.whole_or_error(folder, damage).unwrap_or_else(|error| panic!("{damage}: {error}"))
    }

    /// Damages each of the files in `dir` in copies of the store (flipped bits, truncation,
    /// deletion), and calls `check` with each copy and its damage.
    fn break_each(&self, dir: &str, check: &mut dyn FnMut(&Path, &str)) {
        let files = relative(&self.path()).into_iter().filter(|file| file.starts_with(dir));
        for file in files {
            let bytes = fs::read(self.path().join(&file)).unwrap();
            let name = file.display();
            let mut breaks = vec![(format!("{name} deleted"), None)];
            let mut keep = |damage: String, bytes: Vec<u8>| breaks.push((damage, Some(bytes)));
            for at in (0..bytes.len()).step_by((bytes.len() / 40).max(1)) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                keep(format!("{name} with byte {at} flipped"), flipped);
            }
            for part in 0..8 {
                let length = bytes.len() * part / 8;
                keep(format!("{name} cut at {length}"), bytes[..length].to_vec());
            }
            keep(format!("{name} one byte short"), bytes[..bytes.len().saturating_sub(1)].to_vec());
            for (damage, bytes) in breaks {
                let copy = self.copy();
                let path = copy.path().join(&file);
                bytes.map_or_else(|| fs::remove_file(&path), |bytes| fs::write(&path, bytes)).unwrap();
                check(copy.path(), &damage);
            }
        }
    }
}

fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns every file of a store except the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn relative(folder: &Path) -> Vec<PathBuf> {
    files(folder).iter().map(|path| path.strip_prefix(folder).unwrap().to_owned()).collect()
}

/// sled would silently return older records or none after such damage. The index is rebuilt.
#[test]
fn no_damage_to_the_index_loses_anything() {
    for end in [End::Closed, End::Killed] {
        let sound = Sound::new(end);
        let mut rebuilt = 0;
        sound.break_each("index", &mut |copy, damage| {
            let report = sound.whole(copy, &format!("{end:?}, {damage}"));
            let Some(found) = report.rebuilt else { return };
            rebuilt += 1;
            let kept = found.kept.expect("there was an index");
            assert!(kept.is_dir() && kept.starts_with(copy), "{damage}: {}", kept.display());
            assert_eq!(sound.whole(copy, damage).rebuilt, None, "{damage}: rebuilt again");
        });
        assert!(rebuilt > 10, "only {rebuilt} rebuilds: the test hits nothing");
    }
}

/// Opens the store truncated before the damage, and then normally.
fn can_be_cut(folder: &Path, damage: &str) {
    let store = Store::builder().recovery(Recovery::CutLog).open(folder);
    let store = store.unwrap_or_else(|error| panic!("{damage}, cut: {error}"));
    assert!(store.open_report().lost.is_some(), "{damage}: {:?}", store.open_report());
    check(&store);
    store.close().unwrap();
    assert_eq!(Store::open(folder).unwrap().open_report().lost, None, "{damage}");
}

#[test]
fn damage_to_the_log_is_never_silent() {
    for end in [End::Closed, End::Killed] {
        let sound = Sound::new(end);
        let (mut errors, mut reports) = (0, 0);
        sound.break_each("wal", &mut |copy, damage| match sound.whole_or_error(copy, damage) {
            Ok(report) => reports += usize::from(report.damaged_log.is_some()),
            Err(error) => {
                errors += 1;
                assert!(
                    error.contains(".wal") || error.contains("wal is damaged: all of it is gone"),
                    "{damage}: {error}"
                );
                assert!(error.contains("procstate salvage --output NEWDIR"), "what to do, {damage}: {error}");
                if errors % 8 == 1 || damage.ends_with("deleted") {
                    can_be_cut(copy, damage);
                }
            }
        });
        assert!(errors + reports > 10, "{end:?}: {errors} errors, {reports} reports: the test hits nothing");
    }
}

/// The damage is noticed while the index is complete, and the snapshot is replaced.
#[test]
fn no_damage_to_a_snapshot_loses_anything() {
    let sound = Sound::new(End::Killed);
    let mut reports = 0;
    sound.break_each("snapshots", &mut |copy, damage| {
        let report = sound.whole(copy, damage);
        assert_eq!(report.rebuilt, None, "{damage}");
        if damage.ends_with("deleted") {
            // The log alone is incomplete without it.
            assert!(report.damaged_log.is_some());
        } else if report.damaged_snapshot.is_none() {
            return;
        }
        reports += 1;
        let store = Store::open(copy).unwrap();
        assert_eq!(store.open_report(), &OpenReport::default(), "{damage}: it is mended");
        store.close().unwrap();
        fs::remove_dir_all(copy.join("index")).unwrap();
        assert!(sound.whole(copy, damage).rebuilt.is_some());
    });
    assert!(reports > 10, "only {reports} reports: the test hits nothing");
}

/// If two parts are damaged, nothing is invented.
#[test]
fn damage_to_index_and_snapshot_is_an_error() {
    let sound = Sound::new(End::Closed);
    let mut errors = 0;
    sound.break_each("snapshots", &mut |copy, damage| {
        fs::remove_dir_all(copy.join("index")).unwrap();
        let Err(error) = sound.whole_or_error(copy, damage) else { return };
        errors += 1;
        assert!(error.contains("could not be rebuilt from snapshot and log either"), "{damage}: {error}");
        assert!(!copy.join("index").exists(), "{damage}: something was made up");
    });
    assert!(errors > 10, "only {errors} errors: the test hits nothing");
}

#[test]
fn a_damaged_manifest_is_an_error() {
    let sound = Sound::new(End::Closed);
    sound.break_each("MANIFEST", &mut |copy, damage| {
        let error = sound.whole_or_error(copy, damage).unwrap_err();
        assert!(error.contains("MANIFEST") || error.contains("format"), "{damage}: {error}");
    });
}

#[test]
fn a_missing_index_is_rebuilt() {
    let sound = Sound::new(End::Closed);
    let copy = sound.copy();
    fs::remove_dir_all(copy.path().join("index")).unwrap();
    let rebuilt = sound.whole(copy.path(), "no index").rebuilt.unwrap();
    assert_eq!((&*rebuilt.why, rebuilt.kept), ("its files are missing", None));
}

/// Creates a store of ten commits that a checkpoint applied to the index, whose program was killed
/// before SYNCED covered them; then deletes the index.
fn checkpointed(folder: &Path) -> PathBuf {
    let (running, state) = (folder.join("running"), folder.join("state"));
    let store = Store::builder().sync_interval(Duration::from_secs(600)).open(&running).unwrap();
    let process = store.process("p").unwrap().with_durability(Durability::Buffered);
    for n in 0..10 {
        process.register(&format!("w{n}"), Params::new()).unwrap();
    }
    store.backup(folder.join("backup")).unwrap();
    copy_as_it_is(&running, &state);
    fs::remove_dir_all(state.join("index")).unwrap();
    state
}

/// The log alone would look like one with a torn tail; only the manifest shows otherwise.
#[test]
fn lost_commits_of_a_lost_index_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let state = checkpointed(folder.path());
    let log = state.join("wal/000000.wal");
    let sound = fs::read(&log).unwrap();
    let at = sound.windows(2).position(|bytes| bytes == b"w5").unwrap();
    for (zeroes, missing, records) in
        [(at..at + 2, "commit 6", 11), (at..sound.len(), "commits 6 to 10, everything from commit 11 on", 7)]
    {
        let mut bytes = sound.clone();
        bytes[zeroes].fill(0);
        fs::write(&log, bytes).unwrap();
        let text = Store::open(&state).expect_err(missing).to_string();
        let why = "it ends with commit 5, but the store held commit 10";
        assert!(text.contains(why) && text.contains("salvage --output NEWDIR"), "{missing}: {text}");
        let verified = recovery::verify(&state, Options::default(), |_| {}).unwrap();
        assert!(verified.refused.is_some_and(|refused| refused.contains(why)), "{missing}");
        for until in [Until::End, Until::Seq(8)] {
            let error = recovery::restore(&state, folder.path().join("restored"), until).unwrap_err();
            assert!(error.is_corrupt() && error.to_string().contains("`--until 5`"), "{missing}: {error}");
        }
        let new = folder.path().join(missing);
        let salvaged = recovery::salvage(&state, new, Options::default(), |_| {}).unwrap();
        let found: Vec<_> = salvaged.missing.iter().map(ToString::to_string).collect();
        assert_eq!((&*found.join(", "), salvaged.records()), (missing, records), "{salvaged:?}");
        assert!(salvaged.torn_tail.is_none() && !salvaged.is_complete(), "{salvaged:?}");
    }
    // Removes everything that vouches for the end of the log.
    for name in ["MANIFEST", "SYNCED"] {
        fs::rename(state.join(name), folder.path().join(name)).unwrap();
    }
    for new in ["without an index", "with an empty one"] {
        let salvaged =
            recovery::salvage(&state, folder.path().join(new), Options::default(), |_| {}).unwrap();
        let missing = salvaged.missing.first().map(ToString::to_string);
        assert_eq!(missing.as_deref(), Some("everything from commit 6 on"), "{new}: {salvaged:?}");
        fs::create_dir_all(state.join("index")).unwrap();
        fs::write(state.join("index/db"), "").unwrap();
    }
    for name in ["MANIFEST", "SYNCED"] {
        fs::rename(folder.path().join(name), state.join(name)).unwrap();
    }
    // A complete log is enough.
    fs::write(&log, sound).unwrap();
    let (process, report) = Sound::read(&state).unwrap();
    assert!(report.rebuilt.is_some() && process.active_work.len() == 10, "{report:?}");
}

/// A program died between a checkpoint and its entry in the manifest. A commit that the index has
/// is damaged in the log, which alone does not show that it was synced.
#[test]
fn a_log_shorter_than_the_index_is_superseded() {
    let folder = tempfile::tempdir().unwrap();
    let (running, state) = (folder.path().join("running"), folder.path().join("state"));
    let store = Store::builder().sync_interval(Duration::from_secs(600)).open(&running).unwrap();
    let process = store.process("p").unwrap().with_durability(Durability::Buffered);
    for n in 0..10 {
        process.register(&format!("w{n}"), Params::new()).unwrap();
    }
    let content = process.snapshot().unwrap();
    let before = fs::read(running.join("MANIFEST")).unwrap();
    store.backup(folder.path().join("backup")).unwrap();
    copy_as_it_is(&running, &state);
    fs::write(state.join("MANIFEST"), before).unwrap();
    let log = state.join("wal/000000.wal");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.windows(2).position(|bytes| bytes == b"w5").unwrap();
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    let mut severities = Vec::new();
    let verified = recovery::verify(&state, Options::default(), |found| severities.push(found.severity));
    assert_eq!(verified.unwrap().refused, None);
    assert_eq!(severities.iter().max(), Some(&Severity::Warning), "{severities:?}");
    let store = Store::open(&state).unwrap();
    assert!(store.open_report().damaged_log.is_some(), "{:?}", store.open_report());
    assert!(store.stats().unwrap().snapshot_seq > 0, "there is a snapshot at once");
    store.close().unwrap();
    fs::remove_dir_all(state.join("index")).unwrap();
    assert_eq!(Sound::read(&state).unwrap().0, content);
}

#[test]
fn a_pipe_in_the_index_does_not_block() {
    let sound = Sound::new(End::Closed);
    for pipe in ["conf", "snap.0000000000000001", "blobs/1"] {
        let copy = sound.copy();
        let path = copy.path().join("index").join(pipe);
        let _ = fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let verified = recovery::verify(copy.path(), Options::default(), |_| {}).unwrap();
        assert!(verified.refused.is_none() && verified.warnings == 1, "{pipe}: {verified:?}");
        let (told, hears) = std::sync::mpsc::channel();
        let state = copy.path().to_owned();
        std::thread::spawn(move || told.send(Sound::read(&state)).unwrap());
        let (process, report) = hears.recv_timeout(Duration::from_secs(20)).expect(pipe).unwrap();
        assert!(process == sound.content, "{pipe}");
        assert!(report.rebuilt.unwrap().why.contains("is not a regular file"), "{pipe}");
    }
}

/// An index restored from an old copy is intact in itself.
#[test]
fn a_rolled_back_index_is_rebuilt() {
    let sound = Sound::new(End::Closed);
    let old = sound.copy();
    let store = Store::open(sound.path()).unwrap();
    store.process("p").unwrap().unregister("w1").unwrap();
    store.close().unwrap();
    fs::remove_dir_all(sound.path().join("index")).unwrap();
    copy_as_it_is(&old.path().join("index"), &sound.path().join("index"));
    let (process, report) = Sound::read(&sound.path()).unwrap();
    assert!(process.cleanup_work.contains_key("w1"));
    assert!(report.rebuilt.unwrap().why.contains("it was rolled back"));
}

/// The file that a program leaves when it is killed while sled opens its index: without our
/// workaround the store would never open again.
#[test]
fn a_truncated_snapshot_is_set_aside() {
    let sound = Sound::new(End::Closed);
    let copy = sound.copy();
    let index = copy.path().join("index");
    let snapshot = files(&index).into_iter().find(|path| path.to_string_lossy().contains("snap."));
    let bytes = snapshot.map_or(vec![1; 200], |path| fs::read(path).unwrap());
    fs::write(index.join("snap.FFFFFFFFFFFFFFF0.generating"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(sound.whole(copy.path(), "a cut snapshot").rebuilt, None);
    assert!(index.join("broken-snap.FFFFFFFFFFFFFFF0.generating").exists(), "it is kept");
}

#[test]
fn large_values_make_no_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let process = store.process("p").unwrap();
    for n in 0..40 {
        let name = format!("w{n}{}", "\0".repeat(1000));
        process.register(&name, Params::new().string("s", "x".repeat(1_000_000 - n))).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path().join("index/blobs")).unwrap().count(), 0);
}

#[test]
fn a_second_program_learns_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(error.is_locked());
    let pid = format!("in use by pid {} (", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    assert!(Store::copy_files(folder.path(), folder.path().with_extension("copy")).unwrap_err().is_locked());
    store.close().unwrap();
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused_unchanged() {
    let sound = Sound::new(End::Closed);
    let manifest = sound.path().join("MANIFEST");
    let text = of_format(&fs::read_to_string(&manifest).unwrap(), 5);
    fs::write(&manifest, &text).unwrap();
    let before: Vec<_> = files(&sound.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let error = Store::open(sound.path()).unwrap_err();
    assert!(
        error.to_string().contains("has format 5, and this version of procstate reads formats up to 4"),
        "{error}"
    );
    let after: Vec<_> = files(&sound.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(before == after);
}

#[test]
fn copying_changes_nothing_in_the_original() {
    let sound = Sound::new(End::Closed);
    let lock = sound.path().join("LOCK");
    let before = (fs::read(&lock).unwrap(), fs::metadata(&lock).unwrap().modified().unwrap());
    let copy = sound.copy();
    // A copy has no lock file, but can be copied again.
    let again = tempfile::tempdir().unwrap();
    Store::copy_files(copy.path(), again.path()).unwrap();
    let error = Store::copy_files(copy.path(), again.path()).unwrap_err();
    assert!(error.to_string().ends_with("is not empty; name a new folder"), "{error}");
    let error = Store::copy_files(copy.path(), copy.path().join("inside")).unwrap_err();
    assert!(error.to_string().ends_with("would lie inside the store"), "{error}");
    assert!(!copy.path().join("inside").exists());
    assert_eq!(before, (fs::read(&lock).unwrap(), fs::metadata(&lock).unwrap().modified().unwrap()));
}

#[test]
fn a_read_only_folder_is_an_error() {
    let sound = Sound::new(End::Closed);
    let path = sound.path();
    let Some(mount) = Mount::new(&["--bind", &path.to_string_lossy()]) else { return };
    let remount = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(mount.path()).status().unwrap();
    assert!(remount.success());
    let error = Store::open(mount.path()).unwrap_err();
    assert!(error.to_string().contains("could not open for writing"), "{error}");
    // Reading still works.
    let copy = tempfile::tempdir().unwrap();
    Store::copy_files(mount.path(), copy.path()).unwrap();
    sound.whole(copy.path(), "a copy");
}
