//! The SYNCED file: records, outside of the log, how far the log is durable.
//!
//! ```text
//! slot    "PSTATSYN" format (u32, 1) zero (u32) counter (u64) id of the store (16 bytes)
//!         seq (u64) epoch (u64) opening (u64) crc32 of the slot so far (u32), zeroes up to
//!         512 bytes
//! ```
//! Integers are little endian. The two slots are written in turn: a power cut may tear one, and the
//! other still has the previous value. The slot with the greater counter is current. A slot is
//! written after the log is synced, so it never names more than the log durably has.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use uuid::Uuid;

use super::SYNCED;
use crate::disk::{Disk, DiskFile};
use crate::error::{Result, reason};
use crate::model::limits::SEQ_MAX;
use crate::record::{Epoch, Position};

const MAGIC: &[u8; 8] = b"PSTATSYN";
const FORMAT: u32 = 1;
const CHECKED: usize = 64;
/// A sector, which drives write atomically.
const SLOT_BYTES: usize = 512;

/// The path and identity of a store's SYNCED file.
#[derive(Debug, Clone)]
pub(crate) struct SyncedFile {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) store: [u8; 16],
}

/// The content of the SYNCED file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// The intact slots of this store.
    slots: Vec<Slot>,
    /// The fault of a file that should be intact.
    wrong: Option<String>,
    is_foreign: bool,
}

impl Synced {
    fn wrong_with(why: String) -> Self {
        Self { wrong: Some(why), ..Self::default() }
    }

    fn newest(&self) -> Option<&Slot> {
        self.slots.iter().max_by_key(|slot| slot.counter)
    }

    /// Returns the commit up to which the log was synced.
    pub(crate) fn position(&self) -> Option<Position> {
        self.newest().map(|slot| slot.position)
    }

    /// Returns the opening that recorded it.
    pub(crate) fn opening(&self) -> Option<Epoch> {
        self.newest()?.opening
    }

    /// Reports whether the file belongs to another store.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Returns the fault of a file that should be intact.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }
}

/// A SYNCED file open for writing.
#[derive(Debug)]
pub(crate) struct SyncedNote {
    file: Arc<dyn DiskFile>,
    store: [u8; 16],
    opening: Epoch,
    /// The counter of the newest slot.
    counter: u64,
    /// The newest slot's position.
    noted: Position,
}

impl SyncedFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// Only I/O errors are returned; damage is part of the result.
    pub(crate) fn read(&self) -> Result<Synced> {
        let bytes = match self.disk.read(&self.folder, SYNCED) {
            Err(error) if error.is_of_the_system() => return Err(error),
            Err(error) => return Ok(Synced::wrong_with(reason(&error))),
            Ok(None) => return Ok(Synced::wrong_with("it is missing".to_owned())),
            Ok(Some(bytes)) => bytes,
        };
        let slots: Vec<Slot> = bytes.chunks(SLOT_BYTES).take(2).filter_map(Slot::decode).collect();
        if let Some(other) = slots.iter().find(|slot| slot.store != self.store) {
            let id = Uuid::from_bytes(other.store);
            let why = format!("it belongs to another store, with the id {id}");
            return Ok(Synced { is_foreign: true, ..Synced::wrong_with(why) });
        }
        if slots.is_empty() {
            return Ok(Synced::wrong_with("both of its slots are damaged".to_owned()));
        }
        Ok(Synced { slots, ..Synced::default() })
    }

    /// Opens the file after it was read as `found`, and durably records that the log is synced up
    /// to `position` and that commits of this `opening` follow.
    ///
    /// A missing or damaged file is replaced.
    pub(crate) fn open(&self, found: &Synced, position: Position, opening: Epoch) -> Result<SyncedNote> {
        let Some(newest) = found.newest() else { return self.create(position, opening) };
        let Slot { counter, position: noted, .. } = *newest;
        let file = self.disk.open(&self.path())?;
        let mut note = SyncedNote { file, store: self.store, opening, counter, noted };
        note.write(position)?;
        // A higher position must not come back when the newer slot is damaged.
        if found.slots.iter().any(|slot| slot.position.seq > position.seq) {
            note.write(position)?;
        }
        Ok(note)
    }

    /// Creates the file anew, replacing any that exists.
    pub(crate) fn create(&self, position: Position, opening: Epoch) -> Result<SyncedNote> {
        let file = self.create_file()?;
        let mut note = SyncedNote { file, store: self.store, opening, counter: 0, noted: position };
        note.write(position)?;
        note.write(position)?;
        self.disk.sync_dir(&self.folder)?;
        Ok(note)
    }

    fn create_file(&self) -> Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(&self.path())?;
        file.write_at(&[0; 2 * SLOT_BYTES], 0)?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(SYNCED)
    }
}

impl SyncedNote {
    /// The length of the file in bytes.
    pub(crate) const BYTES: u64 = 2 * SLOT_BYTES as u64;

    /// Returns the recorded position.
    pub(crate) fn noted(&self) -> Position {
        self.noted
    }

    /// Durably records that the log is synced up to `position`.
    ///
    /// After an error the other slot still has the previous position.
    pub(crate) fn write(&mut self, position: Position) -> Result<()> {
        let counter = self.counter.wrapping_add(1);
        let slot = Slot { counter, store: self.store, position, opening: Some(self.opening) };
        let at = if counter.is_multiple_of(2) { 0 } else { SLOT_BYTES as u64 };
        self.file.write_at(&slot.encode(), at)?;
        self.file.sync()?;
        self.counter = counter;
        self.noted = position;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    counter: u64,
    store: [u8; 16],
    position: Position,
    /// The opening that wrote the slot.
    opening: Option<Epoch>,
}

impl Slot {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(FORMAT);
        bytes.put_u32_le(0);
        bytes.put_u64_le(self.counter);
        bytes.put_slice(&self.store);
        bytes.put_u64_le(self.position.seq);
        bytes.put_u64_le(Epoch::stored(self.position.epoch));
        bytes.put_u64_le(Epoch::stored(self.opening));
        bytes.put_u32_le(crc32fast::hash(&bytes));
        bytes.resize(SLOT_BYTES, 0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (checked, mut rest) = bytes.split_at_checked(CHECKED)?;
        if rest.try_get_u32_le().ok()? != crc32fast::hash(checked) {
            return None;
        }
        let mut body = checked.strip_prefix(MAGIC)?;
        if body.get_u32_le() != FORMAT || body.get_u32_le() != 0 {
            return None;
        }
        let counter = body.get_u64_le();
        let (store, mut body) = body.split_first_chunk()?;
        let (seq, epoch) = (body.get_u64_le(), Epoch::from_stored(body.get_u64_le()));
        let opening = Epoch::from_stored(body.get_u64_le());
        let position = Position::new(seq, epoch);
        (seq <= SEQ_MAX).then_some(Self { counter, store: *store, position, opening })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::sim::{Fault, Plan, SimDisk, Survives};

    const STORE: [u8; 16] = *b"0123456789abcdef";

    fn file(disk: &SimDisk) -> SyncedFile {
        SyncedFile { disk: Arc::new(disk.clone()), folder: "/s".into(), store: STORE }
    }

    fn at(seq: u64) -> Position {
        Position::new(seq, Epoch::from_stored(9))
    }

    fn own() -> Epoch {
        Epoch::from_stored(11).unwrap()
    }

    fn open(file: &SyncedFile, position: Position) -> SyncedNote {
        file.open(&file.read().unwrap(), position, own()).unwrap()
    }

    fn says(disk: &SimDisk) -> (Option<Position>, Option<Epoch>) {
        let found = file(disk).read().unwrap();
        (found.position(), found.opening())
    }

    fn up_to(seq: u64) -> (Option<Position>, Option<Epoch>) {
        (Some(at(seq)), Some(own()))
    }

    fn bytes(disk: &SimDisk) -> Vec<u8> {
        disk.read(Path::new("/s"), SYNCED).unwrap().unwrap()
    }

    #[test]
    fn golden_bytes() {
        let disk = SimDisk::new();
        open(&file(&disk), at(7));
        let found = bytes(&disk);
        let body = [
            b"PSTATSYN\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x000123456789abcdef".as_slice(),
            b"\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0b\0\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!((found.len(), &found[512..576]), (1024, &body[..]));
        assert_eq!(found[576..580], crc32fast::hash(&body).to_le_bytes());
        assert_eq!(found[580..], [0; 444]);
        assert_eq!((found[16], &found[32..64]), (2, &body[32..]), "the second write goes to the other slot");
    }

    #[test]
    fn falls_back_to_the_previous_slot() {
        let disk = SimDisk::new();
        let mut note = open(&file(&disk), at(1));
        for seq in 2..6 {
            note.write(at(seq)).unwrap();
            assert_eq!(says(&disk), up_to(seq));
            let newest = if note.counter.is_multiple_of(2) { 0 } else { SLOT_BYTES };
            for byte in 0..CHECKED + 4 {
                disk.change(Path::new("/s/SYNCED"), |bytes| bytes[newest + byte] ^= 1);
                let found = file(&disk).read().unwrap();
                // Damage to the id makes it that of another store.
                assert_eq!(found.position().unwrap_or(at(seq - 1)), at(seq - 1), "byte {byte}");
                disk.change(Path::new("/s/SYNCED"), |bytes| bytes[newest + byte] ^= 1);
            }
        }
        for length in 0..600 {
            disk.change(Path::new("/s/SYNCED"), |bytes| bytes.truncate(1100 - length));
            let found = file(&disk).read().unwrap();
            assert!(found.position().is_none_or(|found| found.seq <= 5), "{length}: {found:?}");
        }
        disk.remove(Path::new("/s/SYNCED")).unwrap();
        assert_eq!(file(&disk).read().unwrap().wrong().unwrap(), "it is missing");
    }

    #[test]
    fn the_file_of_another_store_is_refused() {
        let disk = SimDisk::new();
        let other = SyncedFile { store: [7; 16], ..file(&disk) };
        open(&other, at(3));
        let found = file(&disk).read().unwrap();
        assert!(found.wrong().unwrap().contains("belongs to another store"), "{found:?}");
        open(&file(&disk), at(2));
        assert_eq!(says(&disk), up_to(2));
    }

    /// A slot that is higher because the user cut the log must not come back with damage.
    #[test]
    fn lowering_the_position_overwrites_both_slots() {
        let disk = SimDisk::new();
        let mut note = open(&file(&disk), at(1));
        note.write(at(8)).unwrap();
        note.write(at(9)).unwrap();
        open(&file(&disk), at(4));
        for slot in [0, SLOT_BYTES] {
            disk.change(Path::new("/s/SYNCED"), |bytes| bytes[slot] ^= 1);
            assert_eq!(says(&disk), up_to(4));
            disk.change(Path::new("/s/SYNCED"), |bytes| bytes[slot] ^= 1);
        }
    }

    /// Under any fault the file has the last recorded position or the one being recorded.
    #[test]
    fn no_power_cut_and_no_failure_loses_both_slots() {
        for at_operation in 1..12 {
            for what in [Fault::PowerOff, Fault::Error, Fault::Torn, Fault::Full] {
                for survives in [Survives::Nothing, Survives::Everything, Survives::Chance(at_operation)] {
                    let disk = SimDisk::new();
                    let mut note = open(&file(&disk), at(1));
                    disk.plan(Some(Plan { at: at_operation, what }));
                    let noted = (2..6).take_while(|seq| note.write(at(*seq)).is_ok()).last().unwrap_or(1);
                    // A writer that failed tries again.
                    if what != Fault::PowerOff && noted < 5 {
                        note.write(at(noted + 1)).unwrap();
                    }
                    disk.lose_power(survives);
                    let found = file(&disk).read().unwrap().position().unwrap().seq;
                    assert!((noted..=noted + 1).contains(&found), "{at_operation} {what:?} {survives:?}");
                }
            }
        }
    }
}
