//! Writes an archive under a temporary name, and renames it once all of it is durable.

use std::sync::Arc;

use bytes::BufMut;

use super::format::{BLOCK_BYTES, BLOCK_HEAD_LEN, END, FORMAT, HEADER_LEN, MAGIC, RECORDS, checksum};
use super::{Summary, Target};
use crate::disk::{Disk, DiskFile};
use crate::error::Result;
use crate::record::{Epoch, Position};

#[derive(Debug)]
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    target: Target,
    is_finished: bool,
    summary: Summary,
    blocks: u64,
    /// The current block, starting with space for its header.
    block: Vec<u8>,
}

impl Writer {
    /// Starts an archive of all commits up to `upto`.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        target: Target,
        store: [u8; 16],
        upto: Position,
    ) -> Result<Self> {
        let file = disk.create(target.draft())?;
        let Position { seq, epoch } = upto;
        let summary = Summary { store, seq, epoch, records: 0, sum: 0, bytes: 0 };
        let mut writer =
            Self { disk, file, target, is_finished: false, summary, blocks: 0, block: Vec::new() };
        writer.write(&header(store, upto))?;
        writer.begin_block();
        Ok(writer)
    }

    /// Adds a record.
    ///
    /// Keys must ascend.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.summary.add(key, value);
        // The limits on keys and values are far lower.
        self.block.put_u16_le(u16::try_from(key.len()).unwrap_or(u16::MAX));
        self.block.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.block.put_slice(key);
        self.block.put_slice(value);
        if self.block.len() >= BLOCK_BYTES { self.end_block(RECORDS) } else { Ok(()) }
    }

    /// Completes the archive and renames it to its final name.
    pub(crate) fn finish(mut self) -> Result<Summary> {
        if self.block.len() > BLOCK_HEAD_LEN {
            self.end_block(RECORDS)?;
        }
        self.block.put_u64_le(self.summary.records);
        self.block.put_u64_le(self.summary.sum);
        self.end_block(END)?;
        self.file.sync()?;
        let path = self.target.path();
        self.disk.rename(self.target.draft(), path)?;
        self.is_finished = true;
        path.parent().map_or(Ok(()), |dir| self.disk.sync_dir(dir))?;
        Ok(self.summary)
    }

    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(BLOCK_HEAD_LEN, 0);
    }

    fn end_block(&mut self, kind: u8) -> Result<()> {
        let length = u32::try_from(self.block.len() - BLOCK_HEAD_LEN).unwrap_or(u32::MAX);
        if let Some(head) = self.block.first_chunk_mut::<BLOCK_HEAD_LEN>() {
            let mut rest = head.as_mut_slice();
            rest.put_u32_le(0);
            rest.put_u32_le(length);
            rest.put_u8(kind);
        }
        let crc = checksum(self.blocks, self.block.get(4..).unwrap_or_default());
        if let Some(slot) = self.block.first_chunk_mut() {
            *slot = crc.to_le_bytes();
        }
        let block = std::mem::take(&mut self.block);
        self.write(&block)?;
        self.block = block;
        self.blocks += 1;
        self.begin_block();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, self.summary.bytes)?;
        self.summary.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            // A failed draft is useless, and may be what fills the disk.
            let _ = self.disk.remove(self.target.draft());
        }
    }
}

fn header(store: [u8; 16], upto: Position) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.put_slice(MAGIC);
    header.put_u32_le(FORMAT);
    header.put_u32_le(0);
    header.put_slice(&store);
    header.put_u64_le(upto.seq);
    header.put_u32_le(crc32fast::hash(&header));
    header.put_u32_le(0);
    header.put_u64_le(Epoch::stored(upto.epoch));
    header.put_u32_le(crc32fast::hash(&header));
    header.put_u32_le(0);
    header
}
