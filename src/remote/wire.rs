//! Converts between the messages of the protocol and their types.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use crate::engine::wal::{Found, Spot};
use crate::engine::{Batch, Commit, Expect, Stats, Write, Written};
use crate::error::{Error, Result};
use crate::model::limits::COMMIT_BYTES_MAX;
use crate::proto::engine::frame::What;
use crate::proto::engine::{self as wire, Frame};
use crate::record::{Key, KeyRange, Record, RecordRef};

/// The maximum length of a frame: a log entry holds a whole commit.
const FRAME_BYTES_MAX: usize = 2 * COMMIT_BYTES_MAX;

pub(super) fn key(bytes: Bytes) -> Result<Key> {
    Key::from_bytes(bytes).ok_or_else(|| Error::argument("a malformed key"))
}

pub(super) fn record(record: Record) -> wire::Record {
    wire::Record { key: record.key.bytes().clone(), version: record.version, payload: record.payload }
}

pub(super) fn record_ref(record: RecordRef<'_>) -> wire::Record {
    wire::Record {
        key: Bytes::copy_from_slice(record.key.bytes()),
        version: record.version,
        payload: Bytes::copy_from_slice(record.payload),
    }
}

pub(super) fn to_record(record: wire::Record) -> Result<Record> {
    Ok(Record { key: key(record.key)?, version: record.version, payload: record.payload })
}

pub(super) fn range(start: Bytes, end: Bytes) -> KeyRange {
    KeyRange { start, end }
}

pub(super) fn commit(batch: Batch, synced: bool) -> wire::Commit {
    let precondition = |key: Key, expect| {
        let version = match expect {
            Expect::Absent => 0,
            Expect::Version(version) => version,
        };
        wire::Precondition { key: key.bytes().clone(), version }
    };
    let write = |write| match write {
        Write::Put { key, payload } => wire::Write { key: key.bytes().clone(), payload: Some(payload) },
        Write::Delete { key } => wire::Write { key: key.bytes().clone(), payload: None },
    };
    wire::Commit {
        preconditions: batch.preconditions.into_iter().map(|p| precondition(p.key, p.expect)).collect(),
        writes: batch.writes.into_iter().map(write).collect(),
        synced,
    }
}

pub(super) fn to_batch(commit: wire::Commit) -> Result<Batch> {
    let mut batch = Batch::with_capacity(commit.preconditions.len(), commit.writes.len());
    for wire::Precondition { key: bytes, version } in commit.preconditions {
        // No record has the version 0.
        batch = batch.expect(key(bytes)?, Expect::unchanged((version > 0).then_some(version)));
    }
    for wire::Write { key: bytes, payload } in commit.writes {
        let key = key(bytes)?;
        batch = match payload {
            Some(payload) => batch.put(key, payload),
            None => batch.delete(key),
        };
    }
    Ok(batch)
}

pub(super) fn announced(commit: &Commit) -> wire::Announced {
    let writes = commit.keys.iter().map(|(key, written)| wire::Announcement {
        key: key.bytes().clone(),
        deleted: *written == Written::Deleted,
    });
    wire::Announced { seq: commit.seq, writes: writes.collect() }
}

pub(super) fn to_announced(announced: wire::Announced) -> Result<Commit> {
    let written = |deleted| if deleted { Written::Deleted } else { Written::Put };
    let keys = announced
        .writes
        .into_iter()
        .map(|wire::Announcement { key: bytes, deleted }| Ok((key(bytes)?, written(deleted))));
    Ok(Commit { seq: announced.seq, keys: keys.collect::<Result<_>>()? })
}

pub(super) fn found(found: Found<'_>) -> What {
    let entry = |seq, entry: &[u8], at: Spot, is_begun| {
        let path = at.path.to_string_lossy().into_owned();
        let entry = Bytes::copy_from_slice(entry);
        What::Entry(wire::LogEntry { seq, entry, is_begun, path, offset: at.offset })
    };
    match found {
        Found::Commit { seq, entry: bytes, at } => entry(seq, bytes, at, false),
        Found::Begun { seq, entry: bytes, at } => entry(seq, bytes, at, true),
        Found::Gap { at: Spot { path, offset }, after, until } => {
            What::Gap(wire::LogGap { path: path.to_string_lossy().into_owned(), offset, after, until })
        }
    }
}

pub(super) fn to_entry(entry: &wire::LogEntry) -> Found<'_> {
    let at = Spot { path: Arc::new(entry.path.clone().into()), offset: entry.offset };
    let (seq, is_begun) = (entry.seq, entry.is_begun);
    let entry = &entry.entry;
    if is_begun { Found::Begun { seq, entry, at } } else { Found::Commit { seq, entry, at } }
}

pub(super) fn to_gap(gap: wire::LogGap) -> Found<'static> {
    let at = Spot { path: Arc::new(gap.path.into()), offset: gap.offset };
    Found::Gap { at, after: gap.after, until: gap.until }
}

pub(super) fn stats(stats: &Stats) -> wire::Stats {
    wire::Stats {
        engine: stats.engine.to_owned(),
        records: stats.records,
        disk_bytes: stats.disk_bytes,
        last_seq: stats.last_seq,
        synced_seq: stats.synced_seq,
        log_segments: stats.log_segments,
        log_bytes: stats.log_bytes,
        log_free_bytes: stats.log_free_bytes,
        log_written_bytes: stats.log_written_bytes,
        memtable_records: stats.memtable_records,
        memtable_bytes: stats.memtable_bytes,
        checkpoint_seq: stats.checkpoint_seq,
        checkpoints: stats.checkpoints,
        checkpoint_time: Some(duration(stats.checkpoint_time)),
        snapshot_seq: stats.snapshot_seq,
        snapshot_bytes: stats.snapshot_bytes,
        snapshots: stats.snapshots,
        snapshot_time: Some(duration(stats.snapshot_time)),
        index_records: stats.index_records,
        index_bytes: stats.index_bytes,
    }
}

pub(super) fn to_stats(stats: wire::Stats) -> Stats {
    /// The names of known engines.
    const ENGINES: [&str; 2] = ["durable", "memory"];
    Stats {
        engine: ENGINES.into_iter().find(|name| *name == stats.engine).unwrap_or("other"),
        records: stats.records,
        disk_bytes: stats.disk_bytes,
        last_seq: stats.last_seq,
        synced_seq: stats.synced_seq,
        log_segments: stats.log_segments,
        log_bytes: stats.log_bytes,
        log_free_bytes: stats.log_free_bytes,
        log_written_bytes: stats.log_written_bytes,
        memtable_records: stats.memtable_records,
        memtable_bytes: stats.memtable_bytes,
        checkpoint_seq: stats.checkpoint_seq,
        checkpoints: stats.checkpoints,
        checkpoint_time: to_duration(stats.checkpoint_time),
        snapshot_seq: stats.snapshot_seq,
        snapshot_bytes: stats.snapshot_bytes,
        snapshots: stats.snapshots,
        snapshot_time: to_duration(stats.snapshot_time),
        index_records: stats.index_records,
        index_bytes: stats.index_bytes,
        ..Stats::default()
    }
}

/// Converts a duration, saturating at the longest one.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

pub(super) fn to_duration(duration: Option<prost_types::Duration>) -> Duration {
    duration.and_then(|duration| duration.try_into().ok()).unwrap_or_default()
}

/// Encodes a frame with its length.
pub(super) fn encode(what: Option<What>) -> Vec<u8> {
    Frame { what }.encode_length_delimited_to_vec()
}

/// Extracts frames from received data.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete frame; `None` if more data is needed.
    ///
    /// Heartbeats are skipped.
    pub(super) fn next(&mut self) -> Result<Option<What>, String> {
        loop {
            let mut rest = &self.buffer[..];
            let length = match prost::decode_length_delimiter(&mut rest) {
                Ok(length) if length > FRAME_BYTES_MAX => return Err("a frame is too long".to_owned()),
                Ok(length) => length,
                // A length takes at most ten bytes.
                Err(_) if self.buffer.len() < 10 => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            if rest.len() < length {
                return Ok(None);
            }
            let head = self.buffer.len() - rest.len();
            self.buffer.advance(head);
            let frame = self.buffer.split_to(length).freeze();
            if let Some(what) = Frame::decode(frame).map_err(|error| error.to_string())?.what {
                return Ok(Some(what));
            }
        }
    }
}
