//! The log on a simulated disk that fails and loses power at every operation.

mod forged;
mod shrinking;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use jiff::Timestamp;

use super::format::PAGE;
use super::segments::{Frames, Pool, StoredSegment};
use super::{
    Entry, Found, FrameKind, Log, LogEnd, LogFiles, SegmentDirectory, Survey, read_behind, repair, survey,
    walk,
};
use crate::disk::sim::{Fault, Plan, SimDisk, Survives};
use crate::disk::{Disk, DiskFile};
use crate::engine::Batch;
use crate::engine::durable::open::policy::{LogFault, Refusal};
use crate::error::{Failure, Result};
use crate::model::List;
use crate::record::{Epoch, Key, Position};

const STORE: [u8; 16] = *b"0123456789abcdef";

/// Space for one page of frames after the header.
const SEGMENT_BYTES: u32 = 8192;

fn files(disk: &SimDisk) -> LogFiles {
    LogFiles {
        disk: Arc::new(disk.clone()),
        dir: "/s/wal".into(),
        store: STORE,
        segment_bytes: SEGMENT_BYTES,
        epoch: Epoch::draw(),
    }
}

/// Returns the end of the log after `known`; fails if it is damaged there.
fn end_behind(survey: &Survey, known: u64) -> Result<Option<LogEnd>> {
    let error = |damage| {
        let fault = LogFault::Damaged(damage);
        Refusal::Log { fault, applied: known }.into_error(Path::new("/s/wal"))
    };
    survey.end_behind(known).map_err(error)
}

fn scan(directory: &SegmentDirectory, known: u64) -> Result<Option<LogEnd>> {
    end_behind(&survey(directory, known)?, known)
}

fn scan_up_to_damage(directory: &SegmentDirectory, known: u64) -> Option<LogEnd> {
    survey(directory, known).unwrap().end_before_damage(known)
}

/// Returns the commits between `known` and `last` that a walk visits, without a gap.
fn walked(directory: &SegmentDirectory, known: u64, last: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut visit = |found: Found<'_>| {
        match found {
            Found::Commit { seq, entry, .. } if (known + 1..=last).contains(&seq) => {
                assert!(Entry::decode(entry).is_some());
                seqs.push(seq);
            }
            Found::Gap { after, until, .. } => {
                // If the power took only a mark, no commit is missing.
                let is_hole = after == until;
                assert!(is_hole || until <= known || after >= last, "{after} {until} {known} {last}")
            }
            _ => {}
        }
        Ok(())
    };
    walk(directory, known, &mut visit).unwrap();
    seqs
}

/// A log with its expected content.
struct Driver {
    disk: SimDisk,
    log: Option<(Log, Arc<Pool>)>,
    /// The payload of each accepted commit, from the first on.
    written: Vec<Bytes>,
    /// The number of failed commits, any of which may be there.
    refused: u64,
    /// Commits that must survive a power cut.
    synced: u64,
    /// Commits that an index would have.
    known: u64,
    /// Makes every payload unique, so that an abandoned commit that comes back is not mistaken for
    /// its successor.
    nonce: u64,
}

fn key() -> Key {
    Key::item("p", List::Active, "w")
}

impl Driver {
    fn new() -> Self {
        Self {
            disk: SimDisk::new(),
            log: None,
            written: Vec::new(),
            refused: 0,
            synced: 0,
            known: 0,
            nonce: 0,
        }
    }

    /// Returns a copy of the disk and what is known about it, without an open log.
    fn copy(&self) -> Self {
        let Self { disk, log: _, written, refused, synced, known, nonce } = self;
        let (disk, written) = (disk.copy(), written.clone());
        let (refused, synced, known, nonce) = (*refused, *synced, *known, *nonce);
        Self { disk, log: None, written, refused, synced, known, nonce }
    }

    /// An open log of some commits.
    fn with_commits(count: usize, bytes: usize) -> Self {
        let mut driver = Self::new();
        driver.open(0).unwrap();
        for _ in 0..count {
            driver.commit(bytes).unwrap();
        }
        driver
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log.as_mut().unwrap().0
    }

    /// Opens the log, which must hold the accepted commits up to one that is not before `at_least`.
    fn open(&mut self, at_least: u64) -> Result<()> {
        self.log = None;
        let files = files(&self.disk);
        let directory = files.load()?;
        let mut read: Vec<Bytes> = Vec::new();
        let mut first = 0;
        let survey = read_behind(&directory, self.known, &mut |seq, entry| {
            first = if read.is_empty() { seq } else { first };
            assert_eq!(seq, first + read.len() as u64);
            let [write] = Entry::decode(entry).unwrap().writes().collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(write.key, key());
            read.push(write.payload.unwrap());
            Ok(())
        })?;
        let Some(found) = end_behind(&survey, self.known)? else {
            assert_eq!((at_least, self.known), (0, 0), "an empty log");
            self.written.clear();
            self.synced = 0;
            self.log = Some(files.create(Position::default())?);
            return Ok(());
        };
        assert!(found.last_seq >= at_least, "ends at {}, not {at_least}: {found:?}", found.last_seq);
        assert_eq!(found.last_seq, self.known + read.len() as u64);
        assert!(found.last_seq <= self.written.len() as u64 + std::mem::take(&mut self.refused));
        for (seq, payload) in (self.known + 1..).zip(&read) {
            // The payload of a failed commit is not among those written.
            if let Some(written) = self.written.get(seq as usize - 1) {
                assert!(payload == written, "commit {seq} is another");
            }
        }
        assert_eq!(
            walked(&directory, self.known, found.last_seq),
            (self.known + 1..=found.last_seq).collect::<Vec<_>>()
        );
        self.written.truncate(self.known as usize);
        self.written.extend(read);
        repair(&directory, STORE, &found)?;
        self.synced = found.last_seq;
        self.log = Some(files.resume(&directory, &found)?);
        Ok(())
    }

    fn commit(&mut self, bytes: usize) -> Result<()> {
        self.commit_together(&[bytes])
    }

    /// Commits that share a write, unless a segment ends between them.
    fn commit_together(&mut self, sizes: &[usize]) -> Result<()> {
        let mut payloads = Vec::new();
        for bytes in sizes {
            self.nonce += 1;
            let mut payload = self.nonce.to_le_bytes().to_vec();
            payload.resize((*bytes).max(8), self.nonce as u8);
            let payload = Bytes::from(payload);
            let batch = Batch::new().put(key(), payload.clone());
            let synced = self.synced;
            self.refused += 1;
            self.log().reserve(&batch)?;
            self.log().append(&batch, Timestamp::UNIX_EPOCH, |_| 0, synced)?;
            payloads.push(payload);
        }
        self.log().flush()?;
        self.written.append(&mut payloads);
        self.refused = 0;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let upto = self.log().last_seq();
        for file in self.log().take_unsynced() {
            file.sync()?;
        }
        self.synced = upto;
        Ok(())
    }

    /// Index and snapshot have everything that is synced.
    fn release(&mut self) -> Result<()> {
        self.known = self.synced;
        let known = self.known;
        self.log().release(known);
        self.log.as_ref().unwrap().1.prepare(1)
    }

    fn close(&mut self) -> Result<()> {
        let last = self.log().last_seq();
        self.log().close()?;
        self.synced = last;
        self.open(last)
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Commit(bytes) => self.commit(bytes),
            Step::Together(sizes) => self.commit_together(&sizes),
            Step::Sync => self.sync(),
            Step::Mark => {
                let synced = self.synced;
                self.log().mark(FrameKind::Mark, synced)
            }
            Step::Release => self.release(),
            Step::Close => self.close(),
            Step::Kill => self.open(self.written.len() as u64),
        }
    }

    fn run(&mut self, steps: &[Step]) -> Result<()> {
        self.open(0)?;
        steps.iter().try_for_each(|step| self.step(*step))
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Commit(usize),
    Together([usize; 4]),
    Sync,
    Mark,
    Release,
    Close,
    /// The program dies and restarts.
    Kill,
}

/// Every operation on a log, across segments and their reuse.
fn workload() -> Vec<Step> {
    use Step::{Close, Commit, Mark, Release, Sync, Together};
    vec![
        Commit(100),
        Sync,
        Commit(50),
        Commit(700),
        Mark,
        Commit(900),
        Sync,
        Commit(3000),
        Together([60, 2500, 70, 600]),
        Sync,
        Commit(20_000),
        Together([300, 9000, 8, 300]),
        Commit(10),
        Sync,
        Release,
        Commit(800),
        Commit(800),
        Commit(800),
        Commit(800),
        Commit(800),
        Sync,
        Commit(5),
        Close,
        Commit(400),
        Sync,
        Commit(9000),
        Release,
        Commit(1500),
        Commit(2000),
        Sync,
        Commit(30),
        Commit(31),
    ]
}

const SURVIVES: [Survives; 7] = [
    Survives::Nothing,
    Survives::Everything,
    Survives::Chance(1),
    Survives::Chance(2),
    Survives::Chance(3),
    Survives::Chance(4),
    Survives::Chance(5),
];

#[test]
fn keeps_commits_of_every_size() {
    for size in [8, 100, 4000, 4016, 4024, 4032, 4100, 8192, 50_000] {
        let mut driver = Driver::new();
        driver.open(0).unwrap();
        for n in 0..6 {
            driver.commit(size + n * 8).unwrap();
            let written = driver.written.len() as u64;
            driver.open(written).unwrap();
        }
        driver.close().unwrap();
        driver.commit(size).unwrap();
        driver.open(7).unwrap();
    }
}

#[test]
fn recycles_its_files() {
    let mut driver = Driver::new();
    driver.open(0).unwrap();
    for _ in 0..500 {
        driver.commit(1000).unwrap();
        driver.sync().unwrap();
        driver.release().unwrap();
    }
    assert!(driver.disk.list(Path::new("/s/wal")).unwrap().len() <= 3);
    driver.open(500).unwrap();
}

/// Cuts the power at every operation, with any part of the unsynced data surviving. The log must
/// have the accepted commits up to some point after the last sync.
#[test]
fn power_cuts_lose_no_synced_commit() {
    let mut healthy = Driver::new();
    healthy.run(&workload()).unwrap();
    let operations = healthy.disk.operations();
    assert!(operations > 60, "{operations}");
    for at in 1..=operations {
        for survives in SURVIVES {
            let mut driver = Driver::new();
            driver.disk.plan(Some(Plan { at, what: Fault::PowerOff }));
            assert!(driver.run(&workload()).is_err());
            driver.disk.lose_power(survives);
            driver.open(driver.synced).unwrap_or_else(|error| panic!("{at} {survives:?}: {error}"));
            // Later commits are kept as well.
            driver.commit(40).unwrap();
            driver.commit(600).unwrap();
            let written = driver.written.len() as u64;
            driver.open(written).unwrap();
        }
    }
}

/// Cuts the power again during the repair.
#[test]
fn a_second_power_cut_loses_no_synced_commit() {
    let mut healthy = Driver::new();
    healthy.run(&workload()).unwrap();
    for at in (1..=healthy.disk.operations()).step_by(3) {
        for second in 1.. {
            let mut driver = Driver::new();
            driver.disk.plan(Some(Plan { at, what: Fault::PowerOff }));
            assert!(driver.run(&workload()).is_err());
            driver.disk.lose_power(Survives::Chance(at));
            driver.disk.plan(Some(Plan { at: second, what: Fault::PowerOff }));
            let synced = driver.synced;
            let repaired = driver.open(synced).is_ok();
            driver.disk.lose_power(Survives::Chance(second));
            driver.open(if repaired { driver.synced } else { synced }).unwrap();
            if repaired {
                break;
            }
        }
    }
}

/// Each operation fails, and the program reopens the log: everything accepted is there, and
/// survives a power cut from then on.
#[test]
fn failed_operations_lose_no_accepted_commit() {
    let mut healthy = Driver::new();
    healthy.run(&workload()).unwrap();
    for at in 1..=healthy.disk.operations() {
        for what in [Fault::Error, Fault::Torn, Fault::Full] {
            let mut driver = Driver::new();
            driver.disk.plan(Some(Plan { at, what }));
            assert!(driver.run(&workload()).is_err());
            driver.disk.plan(None);
            let written = driver.written.len() as u64;
            driver.open(written).unwrap_or_else(|error| panic!("{at} {what:?}: {error}"));
            driver.disk.lose_power(Survives::Nothing);
            driver.open(driver.synced).unwrap_or_else(|error| panic!("{at} {what:?}: {error}"));
        }
    }
}

/// The number of random histories; `PROCSTATE_CASES` makes a long run.
fn cases(default: u64) -> u64 {
    std::env::var("PROCSTATE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Repeated power cuts, with work between them.
#[test]
fn no_abandoned_commit_comes_back() {
    for seed in 0..cases(400) {
        let mut rng = Rng::with_seed(seed);
        let mut driver = Driver::new();
        for _ in 0..12 {
            driver.open(driver.synced).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            driver.disk.plan(Some(Plan { at: rng.u64(1..60), what: Fault::PowerOff }));
            while driver.step(random_step(&mut rng)).is_ok() {}
            driver.disk.lose_power(Survives::Chance(rng.u64(..)));
        }
    }
}

fn random_step(rng: &mut Rng) -> Step {
    match rng.u32(0..21) {
        // Mostly one size, so that abandoned frames could join new ones.
        0..12 => Step::Commit(168),
        12 => Step::Commit(rng.usize(0..3000)),
        13 => Step::Commit(rng.usize(0..30_000)),
        14 => Step::Together([168, rng.usize(0..3000), 168, rng.usize(0..12_000)]),
        15..17 => Step::Sync,
        17 => Step::Mark,
        18 => Step::Release,
        19 => Step::Kill,
        _ => Step::Close,
    }
}

/// After the store was closed every flipped bit, truncation and missing file is an error, or
/// harmless.
#[test]
fn damage_is_never_silent() {
    let mut closed = Driver::new();
    closed.run(&workload()).unwrap();
    closed.close().unwrap();
    let names = closed.disk.list(Path::new("/s/wal")).unwrap();
    let (mut errors, mut tries) = (0, 0);
    let mut check = |what: String, damage: &dyn Fn(&Driver)| {
        let mut driver = closed.copy();
        damage(&driver);
        let written = driver.written.len() as u64;
        tries += 1;
        if let Err(error) = driver.open(written) {
            assert!(error.is_corrupt(), "{what}: {error}");
            errors += 1;
        }
    };
    for name in &names {
        let path = Path::new("/s/wal").join(name);
        for at in (0..SEGMENT_BYTES as usize).step_by(13) {
            check(format!("{name}: {at} flipped"), &|driver| {
                driver.disk.change(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            });
        }
        for length in (0..SEGMENT_BYTES as usize).step_by(512) {
            check(format!("{name} cut to {length}"), &|driver| {
                driver.disk.change(&path, |bytes| bytes.truncate(length));
            });
        }
        check(format!("{name} missing"), &|driver| driver.disk.remove(&path).unwrap());
    }
    assert!(errors > 500, "only {errors} of {tries} were noticed: the test hits nothing");
}

/// A frame that a faulty disk brings back, or misplaces, is not accepted.
#[test]
fn a_misplaced_page_has_no_valid_frames() {
    let mut driver = Driver::with_commits(60, 504);
    driver.close().unwrap();
    let names = driver.disk.list(Path::new("/s/wal")).unwrap();
    let disk = driver.disk.clone();
    let page = |name: &str, at: u64| {
        let file: Arc<dyn DiskFile> = disk.open(&Path::new("/s/wal").join(name)).unwrap();
        let mut page = vec![0; 1024];
        file.read_at(&mut page, at).unwrap();
        page
    };
    let from = page(&names[1], 5120);
    for (name, at) in [(&names[1], 4096_usize), (&names[1], 6144), (&names[2], 5120)] {
        let path = Path::new("/s/wal").join(name);
        let sound = page(name, at as u64);
        driver.disk.change(&path, |bytes| bytes[at..at + 1024].copy_from_slice(&from));
        assert!(driver.open(60).unwrap_err().is_corrupt(), "{name} {at}");
        driver.disk.change(&path, |bytes| bytes[at..at + 1024].copy_from_slice(&sound));
        driver.open(60).unwrap();
    }
}

#[test]
fn an_error_names_the_place_and_what_is_lost() {
    let mut driver = Driver::with_commits(5, 64);
    driver.close().unwrap();
    driver.disk.change(Path::new("/s/wal/000000.wal"), |bytes| bytes[4096 + 200] ^= 1);
    let text = driver.open(5).unwrap_err().to_string();
    assert!(text.starts_with("the log is damaged: /s/wal/000000.wal at byte 4248: there is no intact frame. It held commits from 2 on, at least to 5"), "{text}");
}

/// Damage to commits that the index has is harmless, and reported.
#[test]
fn damage_to_known_commits_is_harmless() {
    let mut driver = Driver::with_commits(5, 64);
    driver.close().unwrap();
    driver.disk.change(Path::new("/s/wal/000000.wal"), |bytes| bytes[4096 + 200] ^= 1);
    driver.known = 3;
    driver.open(5).unwrap();
    let directory: SegmentDirectory = files(&driver.disk).load().unwrap();
    let found = scan(&directory, 3).unwrap().unwrap();
    let [harmless] = &found.harmless[..] else { panic!("{found:?}") };
    assert_eq!(harmless.to_string(), "/s/wal/000000.wal at byte 4248: commit 2 cannot be read");
}

/// Data removed at damage is no longer part of the log.
#[test]
fn a_log_truncated_at_damage_continues() {
    let mut cuts = 0;
    for (missing, known) in (1..6).flat_map(|missing| [0, 3, 20].map(|known| (missing, known))) {
        let mut driver = Driver::with_commits(40, 700);
        driver.sync().unwrap();
        driver.log().mark(FrameKind::Mark, 40).unwrap();
        let files = files(&driver.disk);
        let names = driver.disk.list(Path::new("/s/wal")).unwrap();
        driver.disk.remove(&Path::new("/s/wal").join(&names[missing])).unwrap();
        let directory = files.load().unwrap();
        let Err(error) = scan(&directory, known) else { continue };
        assert!(error.is_corrupt());
        let Some(found) = scan_up_to_damage(&directory, known) else { continue };
        cuts += 1;
        repair(&directory, STORE, &found).unwrap();
        let again = scan(&files.load().unwrap(), known)
            .unwrap_or_else(|error| panic!("{missing} {known} {found:?}: {error}"));
        assert_eq!(again.unwrap().end, found.end);
    }
    assert!(cuts > 5, "{cuts}");
}

/// Found by the fuzz target `log`: the beginning of a commit is damaged, and so is the header of the
/// segment that has the rest of it, which alone identifies that segment.
#[test]
fn a_log_truncated_before_a_segment_without_header_continues() {
    let mut driver = Driver::with_commits(1, 3000);
    for _ in 0..40 {
        // Each frame records the commits before it as synced.
        driver.sync().unwrap();
        driver.commit(3000).unwrap();
    }
    let directory = files(&driver.disk).load().unwrap();
    let mut cuts = 0;
    for ((segment, stored), (_, headless)) in directory.iter().zip(directory.iter().skip(1)) {
        let bytes = directory.read(stored).unwrap();
        let mut frames = Frames::of(&bytes, segment);
        let Some((first, _)) = frames.from(PAGE).find(|(_, frame)| frame.head.kind == FrameKind::First)
        else {
            continue;
        };
        let disk = driver.disk.copy();
        disk.change(&directory.path(stored.slot), |bytes| bytes[first] ^= 1);
        disk.change(&directory.path(headless.slot), |bytes| bytes[20] ^= 1);
        let load = || files(&disk).load().unwrap();
        let cut = scan_up_to_damage(&load(), 0).unwrap();
        repair(&load(), STORE, &cut).unwrap();
        let again = scan(&load(), 0).unwrap_or_else(|error| panic!("{cut:?}: {error}"));
        assert_eq!(again.unwrap().end, cut.end);
        cuts += 1;
    }
    assert!(cuts > 5, "{cuts}");
}

/// The log cannot continue in the middle of a commit that the index has.
#[test]
fn a_log_is_not_truncated_before_known_commits() {
    let mut driver = Driver::with_commits(3, 64);
    driver.commit(50_000).unwrap();
    driver.sync().unwrap();
    let directory = files(&driver.disk).load().unwrap();
    let has_frames =
        |(id, stored): &(u64, StoredSegment)| directory.first_frame(*id, *stored).unwrap().is_some();
    let (_, newest) = directory.iter().rev().find(has_frames).unwrap();
    driver.disk.remove(&directory.path(newest.slot)).unwrap();
    let directory = files(&driver.disk).load().unwrap();
    assert!(scan(&directory, 4).unwrap_err().is_corrupt());
    assert_eq!(scan_up_to_damage(&directory, 4), None);
    assert_eq!(scan_up_to_damage(&directory, 2).unwrap().last_seq, 3);
}

/// Found by the fuzz target `log`: a known commit is damaged, and the end of the next one, which
/// leads past the damage, was never written. The log was truncated after the damage, and then did
/// not open.
#[test]
fn a_log_is_not_truncated_after_damage_without_a_continuation() {
    let driver = Driver::with_commits(4, 1000);
    let load = || files(&driver.disk).load().unwrap();
    let segments: Vec<_> = load().iter().map(|(_, stored)| load().path(stored.slot)).collect();
    // The third commit of the first segment, in which the fourth begins.
    driver.disk.change(&segments[0], |bytes| bytes[PAGE + 2 * 1072 + 500] ^= 1);
    driver.disk.change(&segments[1], |bytes| bytes[PAGE..].fill(0));
    let error = scan(&load(), 3).unwrap_err();
    assert!(matches!(error.failure(), Failure::LogDamaged { first: 3, last: 3, .. }), "{error}");
    assert_eq!(scan_up_to_damage(&load(), 3), None);
}

/// Regression test (found by random failures): a segment with room for the frame that names the next
/// segment, but not also for an epoch frame, seemed to lead into a log of another history.
#[test]
fn an_opening_without_room_for_its_epoch_continues_in_the_next_segment() {
    for bytes in (3800..4096).step_by(8) {
        let mut driver = Driver::with_commits(1, bytes);
        driver.open(1).unwrap();
        driver.commit(10).unwrap();
        driver.log = None;
        let end = scan(&files(&driver.disk).load().unwrap(), 0).unwrap().unwrap();
        assert_eq!(end.harmless, [], "after a commit of {bytes} bytes");
        assert!(end.last().epoch.is_some(), "after a commit of {bytes} bytes");
    }
}
