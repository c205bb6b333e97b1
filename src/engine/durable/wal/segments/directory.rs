//! The segments found in a log's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frames::Frames;
use super::slot::{Slot, Stock, path_of, slot_of};
use crate::crc::Checksums;
use crate::disk::{Disk, DiskFile};
use crate::engine::durable::wal::format::{FORMAT, Header, Opened, PAGE};
use crate::engine::durable::wal::format::{Frame, Place, frame};
use crate::error::{Failure, Result};
use crate::record::Epoch;

#[derive(Debug, Clone)]
pub(crate) struct SegmentDirectory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Keyed by id, which is log order.
    segments: BTreeMap<u64, StoredSegment>,
    /// Files without a segment.
    free: Vec<Slot>,
}

/// The file of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredSegment {
    pub(crate) slot: Slot,
    pub(crate) bytes: u64,
    /// Whether its header is damaged, and its first frame identified it.
    pub(crate) is_headless: bool,
    /// The epoch in its header.
    pub(crate) epoch: Option<Epoch>,
    /// Whether its file was new, so that everything in it belongs to this segment.
    pub(crate) is_fresh: bool,
}

impl StoredSegment {
    fn of(header: &Header, slot: Slot) -> Self {
        let Header { segment_bytes, epoch, is_fresh, .. } = *header;
        Self { slot, bytes: segment_bytes.into(), is_headless: false, epoch, is_fresh }
    }

    fn without_header(slot: Slot, bytes: u64) -> Self {
        Self { slot, bytes, is_headless: true, epoch: None, is_fresh: false }
    }
}

impl SegmentDirectory {
    pub(crate) fn load(disk: Arc<dyn Disk>, dir: &Path, store: [u8; 16]) -> Result<Self> {
        let mut found = Self { disk, dir: dir.to_owned(), segments: BTreeMap::new(), free: Vec::new() };
        for slot in found.slots()? {
            found.add(slot, store)?;
        }
        found.add_headless(store)?;
        found.free.sort_unstable();
        Ok(found)
    }

    /// Adds segments with one damaged byte in the header, whose frames are still readable.
    fn add_headless(&mut self, store: [u8; 16]) -> Result<()> {
        for slot in std::mem::take(&mut self.free) {
            let page = self.page(slot)?;
            let is_segment = Header::is_nearly_of(&page, store) && self.add_without_header(slot, &page)?;
            if !is_segment {
                self.free.push(slot);
            }
        }
        Ok(())
    }

    /// Returns the readable segments, and the damaged files with the reason.
    ///
    /// Without `store` it accepts segments of any single store.
    pub(crate) fn salvage(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut store: Option<[u8; 16]>,
    ) -> Result<(Self, Vec<(PathBuf, String)>)> {
        let mut found = Self { disk, dir: dir.to_owned(), segments: BTreeMap::new(), free: Vec::new() };
        let mut wrong = Vec::new();
        for slot in found.slots()? {
            let path = found.path(slot);
            let page = match found.page(slot) {
                Ok(page) => page,
                Err(error) if error.is_of_the_system() => return Err(error),
                Err(error) => {
                    wrong.push((path, crate::error::chain(&error)));
                    continue;
                }
            };
            if let Opened::Header(header) = Header::decode(&page) {
                store.get_or_insert(header.store);
            }
            if let Err(error) = found.add(slot, store.unwrap_or_default()) {
                found.prefer(slot, &page)?;
                wrong.push((path, crate::error::chain(&error)));
            } else if found.free.last() == Some(&slot) && page.iter().any(|byte| *byte != 0) {
                found.free.pop();
                let has = found.add_without_header(slot, &page)?;
                let why = if has { "its frames can be read" } else { "nothing in it is part of the log" };
                wrong.push((path, format!("its header is damaged; {why}")));
            }
        }
        Ok((found, wrong))
    }

    /// Keeps the one with more frames of two files with the same segment.
    fn prefer(&mut self, slot: Slot, page: &[u8]) -> Result<()> {
        let Opened::Header(header) = Header::decode(page) else { return Ok(()) };
        let Some(known) = self.get(header.segment) else { return Ok(()) };
        let other = StoredSegment::of(&header, slot);
        let frames =
            |stored| self.read(stored).map(|bytes| Frames::of(&bytes, header.segment).from(PAGE).count());
        if frames(other)? > frames(known)? {
            self.segments.insert(header.segment, other);
        }
        Ok(())
    }

    /// Returns the numbers of all files, in order.
    fn slots(&self) -> Result<Vec<Slot>> {
        let mut slots: Vec<Slot> =
            self.disk.list(&self.dir)?.iter().filter_map(|name| slot_of(name)).collect();
        slots.sort_unstable();
        Ok(slots)
    }

    /// Adds a segment with a damaged header, if its first frame identifies it.
    fn add_without_header(&mut self, slot: Slot, page: &[u8]) -> Result<bool> {
        let stored = StoredSegment::without_header(slot, self.file(slot)?.len()?);
        let bytes = self.read(stored)?;
        let mut checksums = Checksums::of(&bytes);
        let is_one = |segment: &u64| {
            let place = Place { segment: *segment, offset: PAGE as u64 };
            !self.segments.contains_key(segment) && frame::open_in(&mut checksums, PAGE, place).is_some()
        };
        let found = Header::damaged_ids(page).into_iter().find(is_one);
        Ok(found.is_some_and(|segment| self.segments.insert(segment, stored).is_none()))
    }

    fn page(&self, slot: Slot) -> Result<Vec<u8>> {
        let mut page = vec![0; PAGE];
        let read = self.file(slot)?.read_at(&mut page, 0)?;
        page.truncate(read);
        Ok(page)
    }

    fn add(&mut self, slot: Slot, store: [u8; 16]) -> Result<()> {
        let header = match Header::decode(&self.page(slot)?) {
            Opened::Header(header) => header,
            Opened::Nothing => {
                self.free.push(slot);
                return Ok(());
            }
            Opened::Newer(found) => {
                return Err(Failure::NewerFormat { path: self.path(slot), found, supported: FORMAT }.into());
            }
        };
        if header.store != store {
            return Err(self.foreign(slot, "it belongs to another store; restore the right file"));
        }
        let stored = StoredSegment::of(&header, slot);
        match self.segments.get(&header.segment) {
            Some(known) => {
                let other = self.path(known.slot);
                let why = format!(
                    "it is the same segment as {}: one of them is an older copy, which does not belong there",
                    other.display()
                );
                Err(self.foreign(slot, &why))
            }
            None => {
                self.segments.insert(header.segment, stored);
                Ok(())
            }
        }
    }

    fn foreign(&self, slot: Slot, why: &str) -> crate::Error {
        Failure::Corrupt { place: self.path(slot).display().to_string(), why: why.to_owned() }.into()
    }

    pub(crate) fn path(&self, slot: Slot) -> PathBuf {
        path_of(&self.dir, slot)
    }

    pub(crate) fn file(&self, slot: Slot) -> Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(slot))
    }

    pub(crate) fn get(&self, segment: u64) -> Option<StoredSegment> {
        self.segments.get(&segment).copied()
    }

    /// The segments, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, StoredSegment)> + '_ {
        self.segments.iter().map(|(id, stored)| (*id, *stored))
    }

    pub(crate) fn after(&self, segment: u64) -> impl Iterator<Item = (u64, StoredSegment)> + '_ {
        self.iter().filter(move |(id, _)| *id > segment)
    }

    /// Returns the directory with only the segments that `is_kept` accepts.
    pub(crate) fn filter(&self, is_kept: impl Fn(u64) -> bool) -> Self {
        let segments = self.iter().filter(|(id, _)| is_kept(*id)).collect();
        Self { segments, ..self.clone() }
    }

    /// Erases the header of a segment, so that it is never read as part of a log again.
    pub(crate) fn erase_header(&self, stored: StoredSegment) -> Result<()> {
        let file = self.file(stored.slot)?;
        file.write_at(&[0; PAGE], 0)?;
        file.sync()
    }

    /// Reads a segment up to the end of its file.
    pub(crate) fn read(&self, stored: StoredSegment) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(stored, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a segment up to the end of its file, in place of the content of `bytes`.
    pub(crate) fn read_into(&self, stored: StoredSegment, bytes: &mut Vec<u8>) -> Result<()> {
        let file = self.file(stored.slot)?;
        let length = file.len()?.min(stored.bytes);
        bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        let read = file.read_at(bytes, 0)?;
        bytes.truncate(read);
        Ok(())
    }

    /// Returns the first readable frame of a segment.
    pub(crate) fn first_frame(&self, segment: u64, stored: StoredSegment) -> Result<Option<frame::Head>> {
        // Most first frames are short. The whole segment is read only for a long one.
        let mut bytes = vec![0; PAGE];
        let read = self.file(stored.slot)?.read_at(&mut bytes, PAGE as u64)?;
        bytes.truncate(read);
        if let Some(first) = frame_at(&bytes, 0, Place { segment, offset: PAGE as u64 }) {
            return Ok(Some(first.head));
        }
        let bytes = self.read(stored)?;
        Ok(Frames::of(&bytes, segment).first_from(PAGE).map(|(_, frame)| frame.head))
    }

    /// Erases the headers of all segments, so that none is read as part of a log again; returns
    /// their files.
    pub(crate) fn erase(&self) -> Result<Vec<Slot>> {
        for stored in self.segments.values() {
            self.erase_header(*stored)?;
        }
        Ok(self.segments.values().map(|stored| stored.slot).collect())
    }

    /// Returns the files that are free if the segments up to `last` are in use.
    pub(crate) fn stock(&self, last: Option<u64>) -> Stock {
        let is_unused = |id: &u64| last.is_none_or(|last| *id > last);
        let unused = self.segments.iter().filter(|(id, _)| is_unused(id)).map(|(_, stored)| stored.slot);
        let next_slot =
            self.segments.values().map(|stored| stored.slot).chain(self.free.iter().copied()).max();
        Stock {
            newest: self.segments.keys().max().copied().unwrap_or(0),
            next_slot: next_slot.map_or(0, |slot| slot + 1),
            free: self.free.iter().copied().chain(unused).collect(),
        }
    }
}

/// Returns the store ids in the headers of the files in a folder.
pub(crate) fn stores_of(disk: &dyn Disk, dir: &Path) -> Result<Vec<[u8; 16]>> {
    let slots: Vec<u32> = disk.list(dir)?.iter().filter_map(|name| slot_of(name)).collect();
    Ok(slots.into_iter().filter_map(|slot| store_of(disk, &path_of(dir, slot))).collect())
}

/// Returns the store id in the header of a file, if there is one.
pub(crate) fn store_of(disk: &dyn Disk, segment: &Path) -> Option<[u8; 16]> {
    let mut page = vec![0; PAGE];
    disk.open(segment).and_then(|file| file.read_at(&mut page, 0)).ok()?;
    match Header::decode(&page) {
        Opened::Header(header) => Some(header.store),
        _ => None,
    }
}

/// Returns the frame at `at` in `bytes`, which is located at `place`.
pub(crate) fn frame_at(bytes: &[u8], at: usize, place: Place) -> Option<Frame<'_>> {
    frame::open(bytes.get(at..)?, place)
}
