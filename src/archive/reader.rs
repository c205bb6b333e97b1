//! Reading an archive, block by block.

use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{
    BLOCK_HEAD_LEN, BODY_BYTES_MAX, END, FORMAT, HEADER_CHECKED, HEADER_LEN, MAGIC, RECORDS, Summary,
    checksum,
};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Failure, Result};

/// Called with each key and value, in order.
pub(crate) type Visitor<'a> = dyn FnMut(Bytes, Bytes) -> Result<()> + 'a;

/// Reads an archive to its end. Only when it answers are the visited records known
/// to be all of them.
pub(crate) fn read(disk: &dyn Disk, path: &Path, visit: &mut Visitor<'_>) -> Result<Summary> {
    let mut reader = Reader { file: disk.open(path)?, path, at: 0, blocks: 0 };
    let stated = reader.header()?;
    let mut found = stated;
    let end = loop {
        let (kind, body) = reader.block()?;
        match kind {
            RECORDS => reader.records(body, &mut |key, value| {
                found.add(&key, &value);
                visit(key, value)
            })?,
            END => break body,
            _ => return Err(reader.damaged("a block is of no known kind")),
        }
    };
    let mut end = end;
    let (Ok(records), Ok(sum)) = (end.try_get_u64_le(), end.try_get_u64_le()) else {
        return Err(reader.damaged("its end is cut short"));
    };
    if (records, sum) != (found.records, found.sum) || !end.is_empty() {
        return Err(reader.damaged("its records are not those that its end counts"));
    }
    if reader.file.len()? != reader.at {
        return Err(reader.damaged("something follows its end"));
    }
    found.bytes = reader.at;
    Ok(found)
}

struct Reader<'a> {
    file: Arc<dyn DiskFile>,
    path: &'a Path,
    at: u64,
    blocks: u64,
}

impl Reader<'_> {
    fn header(&mut self) -> Result<Summary> {
        let header = self.take(HEADER_LEN)?;
        let (body, mut rest) = header.split_at_checked(HEADER_CHECKED).unwrap_or_default();
        let Some(mut body) = body.strip_prefix(MAGIC) else {
            return Err(self.damaged("it does not begin as an archive does"));
        };
        let crc = rest.get_u32_le();
        if crc != crc32fast::hash(header.get(..HEADER_CHECKED).unwrap_or_default()) {
            return Err(self.damaged("the checksum of its header does not match"));
        }
        let format = body.get_u32_le();
        if format != FORMAT {
            let (path, found) = (self.path.to_owned(), format);
            return Err(Failure::NewerFormat { path, found, supported: FORMAT }.into());
        }
        body.advance(4);
        let mut store = [0; 16];
        body.copy_to_slice(&mut store);
        Ok(Summary { store, seq: body.get_u64_le(), records: 0, sum: 0, bytes: 0 })
    }

    fn block(&mut self) -> Result<(u8, Bytes)> {
        let head = self.take(BLOCK_HEAD_LEN)?;
        let mut fields = &head[..];
        let (crc, length, kind) = (fields.get_u32_le(), fields.get_u32_le(), fields.get_u8());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > BODY_BYTES_MAX {
            return Err(self.damaged("the length of a block is absurd"));
        }
        let body = self.take(length)?;
        let checked = [head.get(4..).unwrap_or_default(), &body].concat();
        if crc != checksum(self.blocks, &checked) {
            return Err(self.damaged("the checksum of a block does not match"));
        }
        self.blocks += 1;
        Ok((kind, body))
    }

    fn records(&self, mut body: Bytes, visit: &mut Visitor<'_>) -> Result<()> {
        while !body.is_empty() {
            let lengths = (body.try_get_u16_le(), body.try_get_u32_le());
            let (Ok(key), Ok(value)) = lengths else { return Err(self.damaged("a record is cut short")) };
            let (key, value) = (usize::from(key), usize::try_from(value).unwrap_or(usize::MAX));
            if body.len() < key.saturating_add(value) {
                return Err(self.damaged("a record is cut short"));
            }
            let key = body.split_to(key);
            let value = body.split_to(value);
            visit(key, value)?;
        }
        Ok(())
    }

    /// The next bytes of the file.
    fn take(&mut self, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        if self.file.read_at(&mut bytes, self.at)? < length {
            return Err(self.damaged("it is cut short"));
        }
        self.at += length as u64;
        Ok(bytes.into())
    }

    fn damaged(&self, why: &str) -> Error {
        let place = format!("archive {}", self.path.display());
        Failure::Corrupt { place, why: format!("{why} (before byte {})", self.at) }.into()
    }
}
