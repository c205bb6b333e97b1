//! Gathers the facts of which opening a store depends. The index is opened for that, which
//! writes to its files and changes nothing that it holds.

use super::base::{Base, Home};
use super::options::Options;
use super::parts::Parts;
use super::snapshots::{Snapshot, Snapshots};
use super::verdict::{Facts, MISSING_INDEX, Noted, Snapshotted, Soundness, known_openings};
use super::wal::{Directory, Survey, survey};
use crate::archive;
use crate::error::{Error, Failure, Result, reason};
use crate::record::Position;

/// The facts, and what was opened for them.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    /// The newest snapshot by its name.
    pub(super) newest: Option<Snapshot>,
    pub(super) index: Option<Box<dyn Base>>,
}

pub(super) fn gather(parts: &Parts, log: &Directory, options: &Options) -> Result<Gathered> {
    let newest = parts.snapshots.newest()?;
    let (noted, synced) = (parts.home.noted(), parts.synced.read()?);
    let wants_index = noted.is_some() || newest.is_some();
    let home = &*parts.home;
    let (index, copies) = std::thread::scope(|scope| {
        // Takes as long as reading all of the index.
        let copies =
            options.verify_log.then(|| scope.spawn(|| read_copies(&parts.snapshots, newest.as_ref(), log)));
        let index = open_index(home, wants_index);
        (index, copies.map(|copies| copies.join().map_err(panicked).flatten()))
    });
    let (index, position) = match index? {
        Ok((index, position)) => (Some(index), Ok(position)),
        Err(wrong) => (None, Err(wrong)),
    };
    let (survey, soundness, in_snapshot) = match copies {
        Some(copies) => copies?,
        None => {
            let snapshot = newest.as_ref().map_or(0, |newest| newest.seq);
            let held = noted.map_or(0, |noted| noted.seq).max(snapshot);
            // Only what the index lacks, unless it is one that opening does not take.
            let index = position.as_ref().ok().filter(|index| index.seq >= held);
            (survey(log, index.map_or(snapshot, |index| index.seq))?, Soundness::Unread, None)
        }
    };
    let snapshot = newest.as_ref().map(|newest| {
        let position = in_snapshot.unwrap_or(Position::new(newest.seq, None));
        Snapshotted { position, soundness }
    });
    let manifest = Ok(Noted { index: noted, must_have_log: home.has_log() });
    let snapshots = snapshot.into_iter().collect();
    let damaged_synced = synced.wrong().filter(|_| home.has_synced());
    let openings = known_openings(home.writers(), &synced);
    let synced = synced.position();
    let facts =
        Facts { manifest, synced, openings, damaged_synced, snapshots, index: position, log: Ok(survey) };
    Ok(Gathered { facts, newest, index })
}

type OpenIndex = (Box<dyn Base>, Position);

/// The index, and what it holds; or what is wrong with it.
fn open_index(home: &dyn Home, is_wanted: bool) -> Result<Result<OpenIndex, String>> {
    if is_wanted && !home.exists() {
        return Ok(Err(MISSING_INDEX.to_owned()));
    }
    let opened = home.open().and_then(|base| {
        let position = base.contents()?.position();
        Ok((base, position))
    });
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(error) if is_of_the_index(&error) => Ok(Err(reason(&error))),
        Err(error) => Err(error),
    }
}

/// Whether another index could do better: not if the disk is full, or files may
/// not be opened.
fn is_of_the_index(error: &Error) -> bool {
    let is_storage = matches!(error.failure(), Failure::Corrupt { .. } | Failure::Storage { .. });
    is_storage && !error.is_of_the_system()
}

/// Reads what could stand in for the index.
fn read_copies(
    snapshots: &Snapshots,
    newest: Option<&Snapshot>,
    log: &Directory,
) -> Result<(Survey, Soundness, Option<Position>)> {
    let read = |snapshot| snapshots.read(snapshot).and_then(archive::Reader::finish);
    let (soundness, position) = match newest.map(read).transpose() {
        Err(error) if error.is_of_the_system() => return Err(error),
        Err(error) => (Soundness::Damaged(reason(&error)), None),
        Ok(summary) => (Soundness::Sound, summary.map(|summary| summary.position())),
    };
    Ok((survey(log, newest.map_or(0, |newest| newest.seq))?, soundness, position))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    tracing::debug!(why = crate::error::panic_text(panic), "reading ended with a panic");
    let place = "the log or the newest snapshot".to_owned();
    Failure::Corrupt { place, why: "what stands there cannot be made sense of".to_owned() }.into()
}
