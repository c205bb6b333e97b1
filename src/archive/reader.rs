//! Reads an archive record by record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::Summary;
use super::format::{
    BLOCK_HEAD_LEN, BODY_BYTES_MAX, END, FORMAT, FORMAT_1, HEADER_CHECKED, HEADER_LEN, HEADER_LEN_1, MAGIC,
    RECORDS, checksum,
};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Failure, Result};
use crate::model::limits::SEQ_MAX;
use crate::record::Epoch;

/// Iterates over the keys and values of an archive in order.
///
/// They are complete only if the iteration ends without an error.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// The offset of the next block.
    at: u64,
    blocks: u64,
    /// The rest of the current block.
    block: Bytes,
    last_key: Bytes,
    has_ended: bool,
    found: Summary,
}

impl Reader {
    /// Opens the archive at `path` and reads its header.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let found = Summary { store: [0; 16], seq: 0, epoch: None, records: 0, sum: 0, bytes: 0 };
        let (file, path) = (disk.open(path)?, path.to_owned());
        let mut reader = Self {
            file,
            path,
            at: 0,
            blocks: 0,
            block: Bytes::new(),
            last_key: Bytes::new(),
            has_ended: false,
            found,
        };
        reader.header()?;
        Ok(reader)
    }

    /// Returns the summary of what was read so far; position and store id are known from the start.
    pub(crate) fn summary(&self) -> Summary {
        self.found
    }

    /// Reads the rest of the archive.
    pub(crate) fn finish(self) -> Result<Summary> {
        self.finish_unless(&|| false)
    }

    /// Reads the rest of the archive, or a part of it if `stop` returns true.
    pub(crate) fn finish_unless(mut self, stop: &dyn Fn() -> bool) -> Result<Summary> {
        while self.record()?.is_some() {
            if self.found.records.is_multiple_of(1024) && stop() {
                break;
            }
        }
        Ok(self.found)
    }

    fn header(&mut self) -> Result<()> {
        let header = self.take(HEADER_LEN_1)?;
        let (body, mut rest) = header.split_at_checked(HEADER_CHECKED).unwrap_or_default();
        let Some(mut body) = body.strip_prefix(MAGIC) else {
            return Err(self.damaged("it does not start with the signature of an archive"));
        };
        let crc = rest.get_u32_le();
        if crc != crc32fast::hash(header.get(..HEADER_CHECKED).unwrap_or_default()) {
            return Err(self.damaged("the checksum of its header does not match"));
        }
        let format = body.get_u32_le();
        if ![FORMAT_1, FORMAT].contains(&format) {
            let (path, found) = (self.path.clone(), format);
            return Err(Failure::NewerFormat { path, found, supported: FORMAT }.into());
        }
        if rest != [0; HEADER_LEN_1 - HEADER_CHECKED - 4] {
            return Err(self.damaged("the end of its header is not zero"));
        }
        body.advance(4);
        body.copy_to_slice(&mut self.found.store);
        self.found.seq = body.get_u64_le();
        if self.found.seq > SEQ_MAX {
            return Err(self.damaged("its sequence number is invalid"));
        }
        if format == FORMAT { self.epoch(&header) } else { Ok(()) }
    }

    /// Reads the part of the header that follows `header`, the header of format 1.
    fn epoch(&mut self, header: &[u8]) -> Result<()> {
        let header = [header, &self.take(HEADER_LEN - HEADER_LEN_1)?].concat();
        let (body, mut rest) = header.split_at_checked(HEADER_LEN - 8).unwrap_or_default();
        if rest.get_u32_le() != crc32fast::hash(body) {
            return Err(self.damaged("the second checksum of its header does not match"));
        }
        if rest != [0; 4] {
            return Err(self.damaged("the end of its header is not zero"));
        }
        let epoch = body.last_chunk().copied().map(u64::from_le_bytes);
        self.found.epoch = epoch.and_then(Epoch::from_stored);
        Ok(())
    }

    fn record(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        while self.block.is_empty() && !self.has_ended {
            let (kind, body) = self.next_block()?;
            match kind {
                RECORDS => self.block = body,
                END => self.end(body)?,
                _ => return Err(self.damaged("a block has an unknown kind")),
            }
        }
        if self.has_ended {
            return Ok(None);
        }
        let lengths = (self.block.try_get_u16_le(), self.block.try_get_u32_le());
        let (Ok(key), Ok(value)) = lengths else { return Err(self.damaged("a record is cut short")) };
        let (key, value) = (usize::from(key), usize::try_from(value).unwrap_or(usize::MAX));
        if self.block.len() < key.saturating_add(value) {
            return Err(self.damaged("a record is cut short"));
        }
        let key = self.block.split_to(key);
        let value = self.block.split_to(value);
        if key <= self.last_key && self.found.records > 0 {
            return Err(self.damaged("its keys are not in ascending order"));
        }
        self.found.add(&key, &value);
        self.last_key = key.clone();
        Ok(Some((key, value)))
    }

    fn end(&mut self, mut body: Bytes) -> Result<()> {
        let (Ok(records), Ok(sum)) = (body.try_get_u64_le(), body.try_get_u64_le()) else {
            return Err(self.damaged("its end is cut short"));
        };
        if (records, sum) != (self.found.records, self.found.sum) || !body.is_empty() {
            return Err(self.damaged("its records do not match the count and checksum in its end"));
        }
        if self.file.len()? != self.at {
            return Err(self.damaged("there is data after its end"));
        }
        self.found.bytes = self.at;
        self.has_ended = true;
        Ok(())
    }

    fn next_block(&mut self) -> Result<(u8, Bytes)> {
        let head = self.take(BLOCK_HEAD_LEN)?;
        let mut fields = &head[..];
        let (crc, length, kind) = (fields.get_u32_le(), fields.get_u32_le(), fields.get_u8());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > BODY_BYTES_MAX {
            return Err(self.damaged("the length of a block is out of range"));
        }
        let body = self.take(length)?;
        let checked = [head.get(4..).unwrap_or_default(), &body].concat();
        if crc != checksum(self.blocks, &checked) {
            return Err(self.damaged("the checksum of a block does not match"));
        }
        self.blocks += 1;
        Ok((kind, body))
    }

    /// Returns the next bytes of the file.
    fn take(&mut self, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        let read = self.file.read_at(&mut bytes, self.at)?;
        if read < length {
            let place = format!("archive {}", self.path.display());
            let why = format!(
                "{length} bytes should start at byte {}, but the file ends after {read} of them",
                self.at
            );
            return Err(Failure::Corrupt { place, why }.into());
        }
        self.at += length as u64;
        Ok(bytes.into())
    }

    fn damaged(&self, why: &str) -> Error {
        let place = format!("archive {}", self.path.display());
        Failure::Corrupt { place, why: format!("{why} (before byte {})", self.at) }.into()
    }
}

/// Iteration ends after an error.
impl Iterator for Reader {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.record().transpose();
        if matches!(record, Some(Err(_))) {
            self.has_ended = true;
            self.block = Bytes::new();
        }
        record
    }
}
