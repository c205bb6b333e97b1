//! Reads a damaged index without sled, for files that sled does not open any more or silently rolls
//! back.
//!
//! sled's file is a log of messages: whole nodes, and changes to them. Most of them are older than
//! the index's content, and some were deleted. So everything found here is a candidate: its
//! envelope shows whether it is a record, and its version which one is newest.

mod message;
mod node;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::chunks::{self, Set};
use super::contents::{self, Contents};
use super::key::{CHUNK, RECORD};
use crate::error::{Error, Result};
use message::{Message, SEGMENT_BYTES};

/// A callback for a key and a presumed value.
pub(crate) type Visitor<'a> = dyn FnMut(Bytes, Bytes) + 'a;

/// Visits everything that looks like a record in the files of the index in `dir`.
///
/// `passed` receives the number of bytes processed since its last call.
pub(crate) fn read(dir: &Path, passed: &dyn Fn(u64), visit: &mut Visitor<'_>) -> Result<()> {
    go_through(dir, passed, visit)?.join_large()
}

/// Returns the id of the store that the index in `dir` belongs to, if its files tell.
pub(crate) fn store_of(dir: &Path) -> Option<[u8; 16]> {
    go_through(dir, &|_| {}, &mut |_, _| {}).ok()?.store
}

fn go_through<'a, 'b>(
    dir: &Path,
    passed: &dyn Fn(u64),
    visit: &'a mut Visitor<'b>,
) -> Result<Reader<'a, 'b>> {
    let log = dir.join("db");
    let blobs = blobs(&dir.join("blobs"))?;
    let files: Vec<_> = std::iter::once(log.clone()).chain(blobs.iter().cloned()).collect();
    let (prefixes, heads, parts) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut reader = Reader { visit, files, prefixes, heads, parts, store: None };
    // A change contains its key without the common prefix of its node, which only a whole node
    // tells.
    for pass in [Pass::Nodes, Pass::Changes] {
        each_segment(&log, &mut |segment, at| {
            message::each(segment, &mut |message| reader.message(pass, &message, LOG, at));
            passed(pass.share(segment.len()));
        })?;
        for (file, blob) in (LOG + 1..).zip(&blobs) {
            let bytes = fs::read(blob).map_err(|error| Error::io("read", blob, error))?;
            if let Some(message) = message::of_blob(&bytes) {
                reader.message(pass, &message, file, 0);
            }
            passed(pass.share(bytes.len()));
        }
    }
    Ok(reader)
}

fn each_segment(log: &Path, visit: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
    let failed = |error| Error::io("read", log, error);
    if !is_readable(log) {
        return Ok(());
    }
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let length = file.metadata().map_err(failed)?.len();
    let mut segment = vec![0; SEGMENT_BYTES];
    for at in (0..length).step_by(SEGMENT_BYTES) {
        let bytes = usize::try_from(length - at).unwrap_or(usize::MAX).min(SEGMENT_BYTES);
        let part = segment.get_mut(..bytes).unwrap_or_default();
        file.read_exact_at(part, at).map_err(failed)?;
        visit(part, at);
    }
    Ok(())
}

/// Lists the files of nodes that were too large for the log.
fn blobs(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |error| Error::io("list the folder", dir, error);
    let entries = fs::read_dir(dir).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
    paths.filter(|path| path.as_ref().map_or(true, |path| is_readable(path))).collect()
}

/// Reports whether a file is regular, or its type unknown; reading a pipe would block.
fn is_readable(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Nodes,
    Changes,
}

impl Pass {
    /// Returns the share of the work on `bytes` bytes that this pass does.
    fn share(self, bytes: usize) -> u64 {
        let half = bytes as u64 / 2;
        if self == Self::Nodes { half } else { bytes as u64 - half }
    }
}

/// The position of the log in the list of files.
const LOG: usize = 0;

/// The location of a part of a large value.
struct Place {
    /// The position in the list of files.
    file: usize,
    at: u64,
    bytes: usize,
    is_sound: bool,
}

struct Reader<'a, 'b> {
    visit: &'a mut Visitor<'b>,
    files: Vec<PathBuf>,
    /// Every prefix that the keys of each node ever had.
    prefixes: HashMap<u64, Vec<Vec<u8>>>,
    heads: HashMap<Set, Vec<Bytes>>,
    /// Keyed by set and part number.
    parts: HashMap<(u64, u32), Place>,
    /// The store id of a contents record.
    store: Option<[u8; 16]>,
}

impl Reader<'_, '_> {
    fn message(&mut self, pass: Pass, message: &Message<'_>, file: usize, segment: u64) {
        let place = |value: &[u8]| Place {
            file,
            at: segment + message.offset_of(value),
            bytes: value.len(),
            is_sound: message.is_sound,
        };
        match pass {
            Pass::Nodes => {
                let Some(leaf) = message.leaf() else { return };
                if message.is_sound {
                    self.note_prefix(message.page, leaf.prefix);
                }
                for (key, value) in leaf.entries {
                    self.entry(&[leaf.prefix, key].concat(), value, place(value));
                }
            }
            Pass::Changes => {
                let Some((key, value)) = message.change() else { return };
                let prefixes = self.prefixes.get(&message.page).cloned().unwrap_or_default();
                for prefix in prefixes {
                    self.entry(&[&prefix, key].concat(), value, place(value));
                }
            }
        }
    }

    fn note_prefix(&mut self, page: u64, prefix: &[u8]) {
        let known = self.prefixes.entry(page).or_default();
        if !known.iter().any(|known| known == prefix) {
            known.push(prefix.to_owned());
        }
    }

    fn entry(&mut self, key: &[u8], value: &[u8], place: Place) {
        match key.split_first() {
            Some((&RECORD, key)) => {
                let key = Bytes::copy_from_slice(key);
                if let Some(set) = Set::of_head(value) {
                    self.heads.entry(set).or_default().push(key);
                } else if let Some(value) = chunks::of_whole(value) {
                    (self.visit)(key, Bytes::copy_from_slice(value));
                }
            }
            Some((&CHUNK, _)) => {
                let Some(part) = chunks::part_of_key(key) else { return };
                if place.is_sound || !self.parts.contains_key(&part) {
                    self.parts.insert(part, place);
                }
            }
            _ if key == contents::KEY => {
                let store = Contents::decode(value).and_then(|contents| contents.store);
                self.store = self.store.or(store);
            }
            _ => {}
        }
    }

    fn join_large(self) -> Result<()> {
        for (set, mut keys) in self.heads {
            let Some(value) = join(set, &self.parts, &self.files)? else { continue };
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                (self.visit)(key, value.clone());
            }
        }
        Ok(())
    }
}

/// Joins a large value, if all its parts were found.
fn join(set: Set, parts: &HashMap<(u64, u32), Place>, files: &[PathBuf]) -> Result<Option<Bytes>> {
    let mut value = BytesMut::new();
    for part in set.parts() {
        let Some(place) = parts.get(&part) else { return Ok(None) };
        let Some(path) = files.get(place.file) else { return Ok(None) };
        let failed = |error| Error::io("read", path, error);
        let mut bytes = vec![0; place.bytes];
        let file = File::open(path).map_err(failed)?;
        file.read_exact_at(&mut bytes, place.at).map_err(failed)?;
        value.extend_from_slice(&bytes);
    }
    Ok((value.len() as u64 == set.length()).then(|| value.freeze()))
}

#[cfg(test)]
mod tests;
