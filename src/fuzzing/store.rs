//! Damages the files of a store arbitrarily.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::fixture::checksums;
use super::fixture::content::{Content, is_new_owner, read_store};
use super::fixture::damage;
use super::fixture::original::{Files, History, Original, files};
use crate::engine::Recovery;
use crate::recovery::{self, LogCommit, LogEntry, Options, Until, Verified};

/// The store was closed, not killed.
const CLOSED: u8 = 1;
/// Checksums are recomputed after the damage.
const SEALED: u8 = 2;
/// Opening may truncate the log.
const CUT_LOG: u8 = 4;
/// The store is restored to an earlier moment.
const EARLIER: u8 = 8;

/// Damages a copy of the [`Original`] in the folder `scratch` according to `bytes`: flags, then
/// [edits](damage).
///
/// Whatever opens, is read, restored or salvaged must be a former state.
pub fn store(bytes: &[u8], scratch: &Path) {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    let sound = SOUND.get_or_init(Sound::load);
    let Some((&flags, bytes)) = bytes.split_first() else { return };
    let case = Case { sound, is_forged: flags & SEALED != 0 };
    let edits = damage::edits(bytes);
    let mut damaged =
        if flags & CLOSED == 0 { &sound.original.killed } else { &sound.original.closed }.clone();
    damage::apply(&edits, &mut damaged);
    if case.is_forged {
        seal(&mut damaged);
    }
    let folder = scratch.join("damaged");
    put(&folder, &damaged);
    case.check_log(&folder);
    case.check_restored(&folder, &scratch.join("restored"), flags & EARLIER != 0);
    let verified = recovery::verify(&folder, Options::default().scratch(scratch), |_| {}).ok();
    let salvaged = case.salvage(&folder, &scratch.join("salvaged"), scratch);
    assert!(files(&folder) == damaged, "what only reads has changed something");
    let recovery = if flags & CUT_LOG == 0 { Recovery::Refuse } else { Recovery::CutLog };
    let opened = case.open(&folder, recovery);
    if recovery == Recovery::Refuse && !case.is_forged {
        check_agreement(verified, salvaged, opened.as_ref());
    }
    let must_be_whole = flags & CLOSED != 0 && edits.len() <= 1 && !case.is_forged;
    let last = sound.states.keys().last();
    let is_whole = opened.is_none_or(|(seq, _)| Some(&seq) == last);
    assert!(is_whole || !must_be_whole, "something is gone without a word");
    fs::remove_dir_all(&folder).unwrap();
}

/// A store that opens is refused by no other reader, and salvaged with the same content.
fn check_agreement(verified: Option<Verified>, salvaged: Option<Content>, opened: Option<&(u64, Content)>) {
    if let Some(verified) = verified {
        assert_eq!(verified.refused.is_none(), opened.is_some(), "{verified:?}");
    }
    if let Some((_, opened)) = opened {
        let salvaged = salvaged.unwrap();
        assert!(*opened == salvaged, "salvaged is another: {}", difference(&salvaged, opened));
    }
}

struct Sound {
    original: Original,
    states: BTreeMap<u64, Content>,
}

impl Sound {
    fn load() -> Self {
        let original = Original::load();
        let states = original.history.states();
        Self { original, states }
    }

    fn history(&self) -> &History {
        &self.original.history
    }
}

fn put(folder: &Path, files: &Files) {
    for dir in ["wal", "snapshots", "index"] {
        fs::create_dir_all(folder.join(dir)).unwrap();
    }
    for (path, bytes) in files {
        fs::write(folder.join(path), bytes).unwrap();
    }
}

fn seal(files: &mut Files) {
    for (path, bytes) in files {
        if path.starts_with("wal") {
            checksums::seal_segment(bytes);
        } else if path.starts_with("snapshots") {
            checksums::seal_archive(bytes);
        }
    }
}

struct Case<'a> {
    sound: &'a Sound,
    /// If set, no state can be called wrong, and only termination is checked.
    is_forged: bool,
}

impl Case<'_> {
    /// Checks that this was the content after the commit `seq`.
    fn check_content(&self, seq: u64, content: &Content) {
        if self.is_forged {
            return;
        }
        let Some(state) = self.sound.states.get(&seq) else { panic!("there was no commit {seq}") };
        assert!(content == state, "it was never so: {}", difference(content, state));
    }

    fn check_log(&self, folder: &Path) {
        let _ = recovery::read_log(folder, 0, |entry| {
            if let LogEntry::Commit(commit) = entry
                && !self.is_forged
            {
                self.check_commit(&commit);
            }
            Ok(())
        });
    }

    fn check_commit(&self, LogCommit { seq, time, changes, .. }: &LogCommit) {
        let Some(made) = self.sound.history().commit(*seq) else { panic!("there was no commit {seq}") };
        assert_eq!((*time, changes.len()), (made.time, made.writes().count()));
        for (change, write) in changes.iter().zip(made.writes()) {
            assert_eq!(change.process, write.key.address().unwrap().process);
            assert_eq!(change.bytes, write.payload.map(|payload| payload.len()));
        }
    }

    fn check_restored(&self, folder: &Path, into: &Path, is_earlier: bool) {
        let last = self.sound.states.keys().last().copied().unwrap_or_default();
        let until = if is_earlier { Until::Seq(last - 3) } else { Until::End };
        let restored = recovery::restore(folder, into, until);
        assert_eq!(into.exists(), restored.is_ok(), "{restored:?}");
        if let Ok(restored) = restored {
            let (seq, content) = read_store(into, Recovery::Refuse).unwrap();
            assert_eq!((seq, content.len() as u64), (restored.seq, restored.records));
            self.check_content(seq, &content);
            fs::remove_dir_all(into).unwrap();
        }
    }

    /// Salvages the store, unless a newer version wrote it.
    ///
    /// Every record must have existed.
    fn salvage(&self, folder: &Path, into: &Path, scratch: &Path) -> Option<Content> {
        let salvaged = recovery::salvage(folder, into, Options::default().scratch(scratch), |_| {});
        assert_eq!(into.exists(), salvaged.is_ok(), "{salvaged:?}");
        let salvaged = salvaged.ok()?;
        let (seq, content) = read_store(into, Recovery::Refuse).unwrap();
        assert_eq!((seq, content.len() as u64), (salvaged.seq, salvaged.records()));
        if salvaged.is_complete() {
            self.check_content(seq, &content);
        }
        for (key, record) in &content {
            let was = |state: &Content| state.get(key) == Some(record);
            let is_known = self.sound.states.values().any(was) || is_new_owner(&salvaged, key, record);
            assert!(self.is_forged || is_known, "{key:?} was never {record:?}");
        }
        fs::remove_dir_all(into).unwrap();
        Some(content)
    }

    /// Checks that a store that opens is a former state, and opens again.
    fn open(&self, folder: &Path, recovery: Recovery) -> Option<(u64, Content)> {
        let (seq, content) = read_store(folder, recovery).ok()?;
        self.check_content(seq, &content);
        let again = read_store(folder, Recovery::Refuse);
        if !self.is_forged {
            assert!(again.unwrap() == (seq, content.clone()), "it is another when it is opened again");
        }
        Some((seq, content))
    }
}

fn difference(found: &Content, expected: &Content) -> String {
    let keys = found.keys().chain(expected.keys());
    let differs = keys.filter(|key| found.get(*key) != expected.get(*key));
    let described = differs.map(|key| format!("{key:?}: {:?}, was {:?}", found.get(key), expected.get(key)));
    described.collect::<Vec<_>>().join("\n")
}
