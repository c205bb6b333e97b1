//! The permitted answers for a damaged store.
//!
//! Files alone are evidence of more than one past: a folder whose log was replaced by an older copy
//! equals the folder of that older moment, if nothing else in it has changed since. So the oracle
//! collects every moment that is consistent with the *undamaged* files. Opening the store may
//! return any of these, and nothing older.

use std::fs;
use std::path::Path;

use super::fault::Damaged;
use super::life::{Branch, Life, Moment, put, read};
use crate::engine::{Recovery, Verify};
use crate::error::Result;
use crate::fuzzing::fixture::content::{Content, content_of, is_new_owner, read_store};
use crate::proto::Params;
use crate::recovery::{self, Options, Salvaged, Verified};
use crate::store::Store;

/// The result of opening a damaged store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Everything acknowledged is there.
    Whole,
    /// Less is there, as at an earlier moment that the undamaged files are consistent with.
    Earlier,
    /// An error.
    Refused,
}

/// A past that is consistent with the files.
struct Past<'a> {
    branch: &'a Branch,
    /// The last commit that it has at least.
    bound: u64,
}

impl Past<'_> {
    fn allows(&self, seq: u64, content: &Content) -> bool {
        seq >= self.bound && self.branch.states.get(&seq) == Some(content)
    }
}

pub(super) fn check(lives: &[Life], damaged: &Damaged, scratch: &Path) -> Answer {
    let case = Case { lives, damaged, pasts: pasts(lives, damaged) };
    let folder = scratch.join("damaged");
    put(&folder, &damaged.files);
    let verified = case.verify(&folder, scratch);
    case.salvage(&folder, &scratch.join("salvaged"), scratch);
    assert!(read(&folder) == damaged.files, "{damaged}: what only reads has changed something");
    let in_background = case.verify_in_background(&scratch.join("in background"));
    let answer = match read_store(&folder, Recovery::Refuse) {
        Ok((seq, content)) => {
            assert!(verified.refused.is_none(), "{damaged}: opens, and verify says {verified:?}");
            let in_background = in_background.map_err(|error| format!("{damaged}: in background: {error}"));
            assert!(in_background.unwrap() == (seq, content.clone()), "{damaged}: another in background");
            case.check_opened(&folder, seq, &content, &verified)
        }
        Err(error) => {
            assert!(verified.refused.is_some(), "{damaged}: verify says it opens. {error}");
            assert!(in_background.is_err(), "{damaged}: in background it opens. {error}");
            assert!(!error.to_string().contains("panicked"), "{damaged}: {error}");
            case.check_cut(&folder);
            Answer::Refused
        }
    };
    fs::remove_dir_all(&folder).unwrap();
    answer
}

/// Returns every past that is consistent with the undamaged files.
fn pasts<'a>(lives: &'a [Life], damaged: &Damaged) -> Vec<Past<'a>> {
    let branches = lives.iter().flat_map(Life::branches);
    let moments = branches.flat_map(|branch| branch.moments.iter().map(move |moment| (branch, moment)));
    let agreeing = moments.filter(|(_, moment)| agrees(moment, damaged));
    let bound = |moment: &Moment| moment.bound(&damaged.touched);
    let mut pasts: Vec<_> = agreeing.map(|(branch, moment)| Past { branch, bound: bound(moment) }).collect();
    if let Some(from) = damaged.copied_from {
        let branch = &lives[damaged.life].main;
        pasts.push(Past { branch, bound: bound(&branch.moments[from]) });
    }
    pasts.extend(damaged.has_fork.then(|| fork(&lives[damaged.life], damaged)).flatten());
    pasts
}

/// Returns the fork, if its log and one of MANIFEST and SYNCED are there: the other one may be as
/// old as the copy. The fork must have whatever it records.
fn fork<'a>(life: &'a Life, damaged: &Damaged) -> Option<Past<'a>> {
    let moment = life.main.moments.get(damaged.copied_from.unwrap_or(damaged.moment))?;
    let bound = match (damaged.touches("wal"), damaged.touches("SYNCED"), damaged.touches("MANIFEST")) {
        (true, true, _) => 0,
        (true, false, true) => moment.noted,
        _ => return None,
    };
    let is_shared = life.main.states.get(&bound) == life.fork.states.get(&bound);
    is_shared.then_some(Past { branch: &life.fork, bound })
}

fn agrees(moment: &Moment, damaged: &Damaged) -> bool {
    let mut paths = moment.files.keys().chain(damaged.files.keys());
    paths.all(|path| damaged.touched.contains(path) || moment.files.get(path) == damaged.files.get(path))
}

struct Case<'a> {
    lives: &'a [Life],
    damaged: &'a Damaged,
    pasts: Vec<Past<'a>>,
}

impl Case<'_> {
    fn verify(&self, folder: &Path, scratch: &Path) -> Verified {
        let verified = recovery::verify(folder, Options::default().scratch(scratch), |finding| {
            let is_told = finding.what.len() > 5 && !finding.what.contains("panicked");
            assert!(is_told, "{}: {finding:?}", self.damaged);
        });
        verified.unwrap_or_else(|error| panic!("{}: verify: {error}", self.damaged))
    }

    /// Opens a copy that is verified in the background, a second time if that finds damage; returns
    /// what it holds then.
    fn verify_in_background(&self, folder: &Path) -> Result<(u64, Content)> {
        put(folder, &self.damaged.files);
        let open = || {
            let builder = Store::builder().create(false).segment_bytes(16 << 10);
            builder.verify(Verify::InBackground).open(folder)
        };
        let store = open()?;
        if let Ok(content) = content_of(&store) {
            self.check_read(&content);
        }
        let store = match store.wait_until_verified() {
            Ok(()) => store,
            Err(_) => {
                drop(store);
                open()?
            }
        };
        let found = (store.inner.engine.last_seq(), content_of(&store)?);
        store.close()?;
        fs::remove_dir_all(folder).unwrap();
        Ok(found)
    }

    /// Checks that every record once was so.
    fn check_read(&self, content: &Content) {
        let branches: Vec<_> = self.lives.iter().flat_map(Life::branches).collect();
        let states = branches.iter().flat_map(|branch| branch.states.values());
        for (key, record) in content {
            let was = states.clone().any(|state| state.get(key) == Some(record));
            assert!(was, "{}: read before the verification: {key:?} was never so", self.damaged);
        }
    }

    /// Checks that salvage invents nothing, and that what it calls complete is complete.
    fn salvage(&self, folder: &Path, into: &Path, scratch: &Path) {
        let salvaged = recovery::salvage(folder, into, Options::default().scratch(scratch), |_| {});
        let salvaged = salvaged.unwrap_or_else(|error| panic!("{}: salvage: {error}", self.damaged));
        let (seq, content) = read_store(into, Recovery::Refuse).unwrap();
        assert_eq!((seq, content.len() as u64), (salvaged.seq, salvaged.records()), "{}", self.damaged);
        self.check_invented(&salvaged, &content);
        if salvaged.is_complete() {
            self.check_allowed(&format!("salvaged as complete ({salvaged:?})"), seq, &content);
        }
        fs::remove_dir_all(into).unwrap();
    }

    fn check_invented(&self, salvaged: &Salvaged, content: &Content) {
        let life = &self.lives[self.damaged.life];
        let mut branches = vec![&life.main];
        branches.extend(self.damaged.has_fork.then_some(&life.fork));
        let is_id_unknown = self.damaged.touches("MANIFEST") || self.damaged.has_damaged_foreign;
        if self.damaged.has_foreign() && is_id_unknown {
            branches.extend(self.lives.iter().flat_map(Life::branches));
        }
        for (key, record) in content {
            let was = branches
                .iter()
                .any(|branch| branch.states.values().any(|state| state.get(key) == Some(record)));
            let is_invented = !was && !is_new_owner(salvaged, key, record);
            assert!(!is_invented, "{}: {key:?} was never so. {salvaged:?}", self.damaged);
        }
    }

    fn check_allowed(&self, what: &str, seq: u64, content: &Content) {
        if self.pasts.iter().any(|past| past.allows(seq, content)) {
            return;
        }
        let known = self.lives[self.damaged.life].main.states.get(&seq) == Some(content);
        let bounds: Vec<u64> = self.pasts.iter().map(|past| past.bound).collect();
        panic!(
            "{}: {what} at commit {seq} (which {}); at least one of {bounds:?} was due",
            self.damaged,
            if known { "once was so" } else { "never was so" }
        );
    }

    /// Reports whether this is what a store held whose MANIFEST was put in place of another. Its
    /// SYNCED is missing, so nothing tells how far its log went.
    fn is_of_foreign_manifest(&self, seq: u64, content: &Content) -> bool {
        let was = |branch: &Branch| branch.states.get(&seq) == Some(content);
        let is_possible =
            self.damaged.has_foreign() && self.damaged.touches("MANIFEST") && self.damaged.touches("wal");
        let others = (0..).zip(self.lives).filter(|(n, _)| *n != self.damaged.life);
        is_possible && others.flat_map(|(_, life)| life.branches()).any(was)
    }

    /// Checks that an opened store is correct, accepts a write, and opens again.
    fn check_opened(&self, folder: &Path, seq: u64, content: &Content, verified: &Verified) -> Answer {
        if !self.is_of_foreign_manifest(seq, content) {
            self.check_allowed("opened", seq, content);
        }
        if verified.is_sound() {
            fs::remove_dir_all(folder.join("index")).unwrap();
        }
        let again = read_store(folder, Recovery::Refuse);
        let again = again.unwrap_or_else(|error| panic!("{}: once, and never again: {error}", self.damaged));
        assert!(again == (seq, content.clone()), "{}: it is another when it is opened again", self.damaged);
        self.check_writing(folder);
        let due = self.pasts.iter().map(|past| past.bound).max();
        if Some(seq) < due { Answer::Earlier } else { Answer::Whole }
    }

    fn check_writing(&self, folder: &Path) {
        let store = Store::builder().create(false).segment_bytes(16 << 10).open(folder);
        let store = store.unwrap_or_else(|error| panic!("{}: not for writing: {error}", self.damaged));
        store
            .process("p")
            .unwrap()
            .register("after", Params::new().string("is", self.damaged.to_string()))
            .unwrap();
        let seq = store.inner.engine.last_seq();
        store.close().unwrap();
        let (found, content) = read_store(folder, Recovery::Refuse).unwrap_or_else(|error| {
            panic!("{}: after one write it does not open any more: {error}", self.damaged)
        });
        assert_eq!(found, seq, "{}: after one write", self.damaged);
        assert!(content.values().any(|(version, _)| *version == seq), "{}: the write is gone", self.damaged);
    }

    /// Checks that a truncated log leaves a former state, which opens again.
    fn check_cut(&self, folder: &Path) {
        let Ok((seq, content)) = read_store(folder, Recovery::CutLog) else { return };
        let was = |branch: &&Branch| branch.states.get(&seq) == Some(&content);
        let life = &self.lives[self.damaged.life];
        assert!(life.branches().iter().any(was), "{}: cut to commit {seq}, and never was so", self.damaged);
        let again = read_store(folder, Recovery::Refuse);
        assert!(again.ok() == Some((seq, content)), "{}: after the log was cut", self.damaged);
    }
}
