//! Damaged, rolled back, locked, foreign: a store says what is wrong, and
//! answers nothing that is not so.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Mount, won};
use procstate::{Params, Process, Store};
use tempfile::TempDir;

/// A closed store of some history, and what is in it.
struct Sound {
    folder: TempDir,
    content: Process,
}

impl Sound {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state")).unwrap();
        let process = store.process("p").unwrap();
        for round in 0..3 {
            process
                .register_all((0..40).map(|n| (format!("w{n}"), Params::new().int("n", round * n))))
                .unwrap();
            let mut run = won(&process);
            while let Some(mut work) = run.next_work().unwrap() {
                work.add_stat("n", 1.0);
            }
            run.finish().unwrap();
        }
        let large = Params::new().string("large", "x".repeat(50_000));
        process.register("large", large).unwrap();
        let content = process.snapshot().unwrap();
        store.close().unwrap();
        Self { folder, content }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A copy in a folder of its own, for breaking.
    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        Store::copy_files(self.path(), copy.path()).unwrap();
        copy
    }

    /// Opens a damaged copy: all of the content, or an error. Answers which.
    fn is_whole_or_an_error(&self, folder: &Path, damage: &str) -> bool {
        let read = || -> procstate::Result<Process> {
            let store = Store::builder().create(false).open(folder)?;
            store.process("p")?.snapshot()
        };
        match read() {
            Ok(process) => {
                assert!(process == self.content, "{damage}: other content, without a word");
                true
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() > 30 && !text.contains("panicked"), "{damage}: {text}");
                false
            }
        }
    }
}

/// Every file of a store, the lock aside.
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

/// sled answers older records, or none, after such damage, and says nothing.
#[test]
fn a_flipped_bit_is_never_silent() {
    let sound = Sound::new();
    let mut errors = 0;
    for file in relative(&sound.path()) {
        let length = fs::metadata(sound.path().join(&file)).unwrap().len() as usize;
        let step = (length / 150).max(1);
        for at in (0..length).step_by(step) {
            let copy = sound.copy();
            let path = copy.path().join(&file);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            let damage = format!("{} with byte {at} flipped", file.display());
            errors += usize::from(!sound.is_whole_or_an_error(copy.path(), &damage));
        }
    }
    assert!(errors > 20, "only {errors} flips were noticed: the test hits nothing");
}

#[test]
fn a_cut_or_missing_file_is_never_silent() {
    let sound = Sound::new();
    for file in relative(&sound.path()) {
        let bytes = fs::read(sound.path().join(&file)).unwrap();
        let cuts = (0..20).map(|part| bytes.len() * part / 20);
        for cut in cuts.chain(bytes.len().checked_sub(1)) {
            let copy = sound.copy();
            fs::write(copy.path().join(&file), &bytes[..cut]).unwrap();
            sound.is_whole_or_an_error(copy.path(), &format!("{} cut at {cut}", file.display()));
        }
        let copy = sound.copy();
        fs::remove_file(copy.path().join(&file)).unwrap();
        sound.is_whole_or_an_error(copy.path(), &format!("{} deleted", file.display()));
    }
}

#[test]
fn a_missing_index_is_not_an_empty_store() {
    let sound = Sound::new();
    let copy = sound.copy();
    fs::remove_dir_all(copy.path().join("index")).unwrap();
    let error = Store::open(copy.path()).unwrap_err();
    assert!(error.is_corrupt());
    assert!(error.to_string().contains("its file is missing"), "{error}");
}

/// An index put back from an old copy is sound in itself.
#[test]
fn a_rolled_back_index_is_noticed() {
    let sound = Sound::new();
    let old = sound.copy();
    let store = Store::open(sound.path()).unwrap();
    store.process("p").unwrap().unregister("w1").unwrap();
    store.close().unwrap();
    fs::remove_dir_all(sound.path().join("index")).unwrap();
    fs::rename(old.path().join("index"), sound.path().join("index")).unwrap();
    let error = Store::open(sound.path()).unwrap_err();
    assert!(error.is_corrupt());
    assert!(error.to_string().contains("it was rolled back"), "{error}");
}

/// What a program leaves that is killed while sled opens its file: without our
/// help the store would never open again.
#[test]
fn a_snapshot_that_was_cut_short_is_set_aside() {
    let sound = Sound::new();
    let copy = sound.copy();
    let index = copy.path().join("index");
    let snapshot = files(&index).into_iter().find(|path| path.to_string_lossy().contains("snap."));
    let bytes = snapshot.map_or(vec![1; 200], |path| fs::read(path).unwrap());
    fs::write(index.join("snap.FFFFFFFFFFFFFFF0.generating"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(sound.is_whole_or_an_error(copy.path(), "a cut snapshot"));
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
fn a_second_program_hears_who_has_the_store() {
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
fn a_newer_format_is_refused_and_left_as_it_is() {
    let sound = Sound::new();
    let manifest = sound.path().join("MANIFEST");
    let text = fs::read_to_string(&manifest).unwrap().replace("format 1", "format 2");
    fs::write(&manifest, &text).unwrap();
    let before: Vec<_> = files(&sound.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let error = Store::open(sound.path()).unwrap_err();
    assert!(
        error.to_string().contains("has format 2, and this version of procstate reads formats up to 1"),
        "{error}"
    );
    let after: Vec<_> = files(&sound.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(before == after);
}

#[test]
fn copying_changes_nothing_in_the_original() {
    let sound = Sound::new();
    let lock = sound.path().join("LOCK");
    let before = (fs::read(&lock).unwrap(), fs::metadata(&lock).unwrap().modified().unwrap());
    let copy = sound.copy();
    // A copy has no lock file, and can be copied all the same.
    let again = tempfile::tempdir().unwrap();
    Store::copy_files(copy.path(), again.path()).unwrap();
    let error = Store::copy_files(copy.path(), again.path()).unwrap_err();
    assert!(error.to_string().ends_with("is not empty"), "{error}");
    let error = Store::copy_files(copy.path(), copy.path().join("inside")).unwrap_err();
    assert!(error.to_string().ends_with("would lie inside the store"), "{error}");
    assert!(!copy.path().join("inside").exists());
    assert_eq!(before, (fs::read(&lock).unwrap(), fs::metadata(&lock).unwrap().modified().unwrap()));
}

#[test]
fn a_read_only_folder_is_an_error() {
    let sound = Sound::new();
    let path = sound.path();
    let Some(mount) = Mount::new(&["--bind", &path.to_string_lossy()]) else { return };
    let remount = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(mount.path()).status().unwrap();
    assert!(remount.success());
    let error = Store::open(mount.path()).unwrap_err();
    assert!(error.to_string().contains("could not open for writing"), "{error}");
    // Looking is possible all the same.
    let copy = tempfile::tempdir().unwrap();
    Store::copy_files(mount.path(), copy.path()).unwrap();
    assert!(sound.is_whole_or_an_error(copy.path(), "a copy"));
}
