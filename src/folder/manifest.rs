//! The manifest: the identity of a store, as lines of text that operators can read.
//!
//! ```text
//! procstate store
//! format 4
//! id 019a2f0e-...
//! index 1234
//! epoch 0123456789abcdef
//! opening 123456789abcdef0
//! found 0123456789abcdef
//! crc32 89abcdef
//! ```
//!
//! `index` is a commit that the index durably holds, as of the last open, close or update, or
//! `none` before there is an index; `epoch` is the epoch of this commit, or `none` if unknown. An
//! index that holds less was rolled back, and a log that ends before it lost commits. `crc32`
//! covers the lines before it. The file is replaced as a whole, never changed in place.
//!
//! A store of format 1 has no log: its index holds everything. In format 2 the commits in the log
//! have no times. In format 3 there are no epochs and no SYNCED file. Opening a store upgrades it
//! to the newest format.

use std::path::Path;

use uuid::Uuid;

use super::layout::MANIFEST;
use crate::disk::Disk;
use crate::error::{Failure, Result};
use crate::model::limits::SEQ_MAX;
use crate::record::{Epoch, Position, Writers};

pub(super) const TEMPORARY: &str = "MANIFEST.new";

const TITLE: &str = "procstate store";
const FORMAT: u32 = 4;
/// The format of stores without a log.
const FORMAT_WITHOUT_LOG: u32 = 1;
/// The last format without epochs and without a SYNCED file.
const FORMAT_WITHOUT_EPOCHS: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The unique id of the store.
    pub(crate) id: String,
    /// A commit that the index durably holds; `None` before there is an index.
    pub(crate) index_seq: Option<u64>,
    /// The epoch of this commit.
    index_epoch: Option<Epoch>,
    /// The openings that can have written the newest commit of the log.
    writers: Writers,
    format: u32,
}

impl Manifest {
    pub(crate) fn new() -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            index_seq: None,
            index_epoch: None,
            writers: Writers::default(),
            format: FORMAT,
        }
    }

    /// Returns the manifest in the newest format, once the index durably holds everything up to
    /// `position` and the log continues with `writers`.
    pub(crate) fn noting(&self, position: Position, writers: Writers) -> Self {
        let Position { seq, epoch } = position;
        Self { id: self.id.clone(), index_seq: Some(seq), index_epoch: epoch, writers, format: FORMAT }
    }

    /// Returns a commit that the index durably holds; `None` before there is an index.
    pub(crate) fn noted(&self) -> Option<Position> {
        Some(Position::new(self.index_seq?, self.index_epoch))
    }

    /// Returns the openings that can have written the newest commit of the log.
    pub(crate) fn writers(&self) -> Writers {
        self.writers
    }

    pub(crate) fn id_bytes(&self) -> Option<[u8; 16]> {
        Uuid::parse_str(&self.id).ok().map(Uuid::into_bytes)
    }

    /// Reports whether the store consists of index and log, and is incomplete without the log.
    pub(crate) fn has_log(&self) -> bool {
        self.format > FORMAT_WITHOUT_LOG
    }

    /// Reports whether some log must exist, which is so once the store was completed.
    pub(crate) fn must_have_log(&self) -> bool {
        self.has_log() && self.index_seq.is_some()
    }

    /// Reports whether the SYNCED file must exist.
    pub(crate) fn must_have_synced(&self) -> bool {
        self.must_have_log() && self.format > FORMAT_WITHOUT_EPOCHS
    }

    /// Reads the manifest in `folder`, if there is one.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Self>> {
        let Some(bytes) = disk.read(folder, MANIFEST)? else { return Ok(None) };
        Self::parse(folder, &String::from_utf8_lossy(&bytes)).map(Some)
    }

    /// Returns the id that a damaged manifest in `folder` shows.
    pub(crate) fn shown_id(disk: &dyn Disk, folder: &Path) -> Option<[u8; 16]> {
        let bytes = disk.read(folder, MANIFEST).ok()??;
        let text = String::from_utf8_lossy(&bytes);
        let id = text.lines().find_map(|line| Uuid::parse_str(line.strip_prefix("id ")?).ok())?;
        Some(id.into_bytes())
    }

    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let temporary = folder.join(TEMPORARY);
        let file = disk.create(&temporary)?;
        file.write_at(self.to_text().as_bytes(), 0)?;
        file.sync()?;
        disk.rename(&temporary, &folder.join(MANIFEST))?;
        disk.sync_dir(folder)
    }

    fn to_text(&self) -> String {
        let index = self.index_seq.map_or("none".to_owned(), |seq| seq.to_string());
        let mut body = format!("{TITLE}\nformat {}\nid {}\nindex {index}\n", self.format, self.id);
        if self.format > FORMAT_WITHOUT_EPOCHS {
            let Writers { own, found } = self.writers;
            for (name, epoch) in [("epoch", self.index_epoch), ("opening", own), ("found", found)] {
                let epoch = epoch.map_or("none".to_owned(), |epoch| epoch.to_string());
                body.push_str(&format!("{name} {epoch}\n"));
            }
        }
        format!("{body}crc32 {}\n", checksum(&body))
    }

    fn parse(folder: &Path, text: &str) -> Result<Self> {
        check_format(folder, text)?;
        Self::parse_body(text).ok_or_else(|| {
            Failure::Corrupt {
                place: folder.join(MANIFEST).display().to_string(),
                why: "its checksum does not match its text. Restore the right file, or run `procstate salvage --output NEWDIR`, which makes a new store without it"
                    .to_owned(),
            }
            .into()
        })
    }

    fn parse_body(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let index_seq = match field("index")? {
            "none" => None,
            seq => Some(seq.parse().ok().filter(|seq| *seq <= SEQ_MAX)?),
        };
        let format = field("format")?.parse().ok()?;
        let epoch = |name: &str| Epoch::from_stored(u64::from_str_radix(field(name)?, 16).ok()?);
        let (index_epoch, writers) =
            (epoch("epoch"), Writers { own: epoch("opening"), found: epoch("found") });
        let manifest = Self { id: field("id")?.to_owned(), index_seq, index_epoch, writers, format };
        // Compares the checksum and every other byte.
        (manifest.to_text() == text).then_some(manifest)
    }
}

/// Reads the format.
///
/// The first two lines and the last one are the same in every format, so that a newer format can be
/// told from damage, which breaks the checksum.
fn check_format(folder: &Path, text: &str) -> Result<()> {
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err(Failure::NotAStore {
            path: folder.to_owned(),
            why: format!("its {MANIFEST} does not begin with {TITLE:?}"),
        }
        .into());
    }
    let format = lines.next().and_then(|line| line.strip_prefix("format ")?.parse::<u32>().ok());
    match format {
        Some(found) if found > FORMAT && is_whole(text) => {
            Err(Failure::NewerFormat { path: folder.to_owned(), found, supported: FORMAT }.into())
        }
        _ => Ok(()),
    }
}

/// Reports whether the last line is the checksum of the lines before it.
fn is_whole(text: &str) -> bool {
    let Some((body, crc)) = text.rsplit_once("crc32 ") else { return false };
    body.ends_with('\n') && crc.strip_suffix('\n') == Some(&checksum(body))
}

fn checksum(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(Path::new("state"), text)
    }

    #[test]
    fn golden_text() {
        let of_format = |format, index_epoch: Option<Epoch>| {
            let own = index_epoch.and_then(|_| Epoch::from_stored(0xdef));
            let writers = Writers { own, found: index_epoch };
            Manifest { id: "x".to_owned(), index_seq: Some(7), index_epoch, writers, format }
        };
        let epoch = Epoch::from_stored(0xabc);
        let noted = "epoch 0000000000000abc\nopening 0000000000000def\nfound 0000000000000abc\n";
        let unknown = "epoch none\nopening none\nfound none\n";
        for (format, epoch, lines, crc) in [
            (1, None, "", "66de418a"),
            (2, None, "", "77a32bf3"),
            (3, None, "", "ce58f01b"),
            (4, epoch, noted, "383fa0ec"),
            (4, None, unknown, "39f0c7f2"),
        ] {
            let manifest = of_format(format, epoch);
            let text = manifest.to_text();
            assert_eq!(
                text,
                format!("procstate store\nformat {format}\nid x\nindex 7\n{lines}crc32 {crc}\n")
            );
            let parsed = parse(&text).unwrap();
            assert_eq!((&parsed, parsed.has_log()), (&manifest, format > 1));
            assert_eq!((parsed.must_have_log(), parsed.must_have_synced()), (format > 1, format > 3));
            assert_eq!(parsed.noting(parsed.noted().unwrap(), parsed.writers()), of_format(4, epoch));
        }
        let fresh = Manifest { index_seq: None, ..of_format(4, None) };
        assert_eq!(parse(&fresh.to_text()).unwrap(), fresh);
        assert!(!fresh.must_have_log() && !fresh.must_have_synced());
    }

    #[test]
    fn every_changed_byte_is_detected() {
        let text = Manifest::new().to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8_lossy(&bytes).into_owned();
            let error = parse(&changed).expect_err(&changed);
            assert!(error.is_corrupt() || at < TITLE.len() + 1, "byte {at}: {error}");
            assert!(parse(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_not_damage() {
        let body = "procstate store\nformat 9\nwhatever comes then\n";
        let error = parse(&format!("{body}crc32 {}\n", checksum(body))).unwrap_err();
        assert!(!error.is_corrupt());
        assert!(error.to_string().contains("has format 9"), "{error}");
        assert!(parse(body).unwrap_err().is_corrupt());
        assert!(parse("procstate store\nformat 1\nid x\n").unwrap_err().is_corrupt());
    }
}
