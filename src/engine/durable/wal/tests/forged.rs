//! Forged frames with a valid checksum.

use super::super::format::{Head, PAGE, Place, frame};
use super::super::segments::frame_at;
use super::super::{FrameKind, repair};
use super::{Driver, STORE, files, scan, scan_up_to_damage};
use crate::disk::sim::SimDisk;

/// Replaces the frame that leads from the oldest segment to the next by another.
///
/// `forge` receives the ids of both segments.
fn forge_next(disk: &SimDisk, forge: impl FnOnce([u64; 2], &mut Head) -> u64) {
    let directory = files(disk).load().unwrap();
    let mut segments = directory.iter();
    let (segment, stored) = segments.next().unwrap();
    let (next, _) = segments.next().unwrap();
    let bytes = directory.read(stored).unwrap();
    let place = |at: usize| Place { segment, offset: at as u64 };
    let mut at = PAGE;
    let mut head = loop {
        let frame = frame_at(&bytes, at, place(at)).unwrap();
        if frame.head.kind == FrameKind::Next {
            break frame.head;
        }
        at += frame.len();
    };
    let next = forge([segment, next], &mut head);
    let mut forged = Vec::new();
    let start = frame::begin(&mut forged);
    forged.extend_from_slice(&next.to_le_bytes());
    frame::seal(&mut forged, start, head, place(at));
    disk.change(&directory.path(stored.slot), |bytes| bytes[at..at + forged.len()].copy_from_slice(&forged));
}

/// Found by the fuzz target `log`: the scan could loop forever, or silently lose what came after.
#[test]
fn a_segment_that_names_an_earlier_one_is_damage() {
    let driver = Driver::with_commits(8, 1000);
    forge_next(&driver.disk, |[own, _], _| own);
    for known in [0, 3] {
        let found = scan(&files(&driver.disk).load().unwrap(), known);
        assert!(found.unwrap_err().to_string().contains("leads to segment"));
    }
}

/// Found by the fuzz target `log`: a forged frame made commits far ahead count as synced, and the
/// log was damaged again after its truncation.
#[test]
fn a_continuation_frame_belongs_to_the_commit_before_it() {
    let driver = Driver::with_commits(8, 1000);
    forge_next(&driver.disk, |[_, next], head| {
        (head.seq, head.synced) = (900, 90);
        next
    });
    let load = || files(&driver.disk).load().unwrap();
    let cut = scan_up_to_damage(&load(), 0).unwrap();
    repair(&load(), STORE, &cut).unwrap();
    assert_eq!(scan(&load(), 0).unwrap().unwrap().last_seq, cut.last_seq);
}

/// Found by the fuzz target `log`: after damage the scan accepted a frame of the nonexistent commit
/// 0 as a continuation, and panicked.
#[test]
fn commit_0_is_not_a_continuation() {
    let driver = Driver::with_commits(4, 500);
    let directory = files(&driver.disk).load().unwrap();
    let (segment, stored) = directory.iter().next().unwrap();
    let bytes = directory.read(stored).unwrap();
    let place = |at: usize| Place { segment, offset: at as u64 };
    let mut commits = Vec::new();
    let mut at = PAGE;
    while let Some(frame) = frame_at(&bytes, at, place(at)) {
        commits.extend((frame.head.kind == FrameKind::Whole).then_some((at, frame)));
        at += frame.len();
    }
    let [(broken, _), (forged, frame), ..] = commits[..] else { panic!("they are in one segment") };
    let mut zero = Vec::new();
    let start = frame::begin(&mut zero);
    zero.extend_from_slice(frame.body);
    frame::seal(&mut zero, start, Head { seq: 0, synced: 0, ..frame.head }, place(forged));
    driver.disk.change(&directory.path(stored.slot), |bytes| {
        bytes[broken + 40] ^= 1;
        bytes[forged..forged + zero.len()].copy_from_slice(&zero);
    });
    let found = scan(&files(&driver.disk).load().unwrap(), 3).unwrap().unwrap();
    assert_eq!(found.last_seq, 4);
}
