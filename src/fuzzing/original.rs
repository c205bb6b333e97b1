//! The sound store whose files are damaged, and all that was ever in it. It stays in
//! `fuzz/original`, so that what a fuzzer finds can be found again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Buf;
use tempfile::TempDir;

use super::content::Content;
use crate::engine::wal::Entry;

/// The files of a store, by their path in it, sorted.
pub(super) type Files = Vec<(PathBuf, Vec<u8>)>;

pub(super) struct Original {
    /// As the program left it that was killed.
    pub(super) killed: Files,
    /// As it was closed.
    pub(super) closed: Files,
    pub(super) history: History,
}

impl Original {
    pub(super) fn dir() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/original"))
    }

    pub(super) fn load() -> Self {
        let dir = Self::dir();
        Self {
            killed: files(&dir.join("killed")),
            closed: files(&dir.join("closed")),
            history: History::decode(&fs::read(dir.join("history")).unwrap()),
        }
    }
}

/// An empty folder, in memory where that can be: syncs would only take time.
pub(super) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

pub(super) fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    add_files(folder, folder, &mut found);
    found.sort();
    found
}

fn add_files(folder: &Path, dir: &Path, found: &mut Files) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(folder, &path, found);
        } else if !path.ends_with("LOCK") {
            found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()));
        }
    }
}

/// Every commit that was ever made.
#[derive(Default)]
pub(super) struct History {
    entries: BTreeMap<u64, Vec<u8>>,
}

impl History {
    pub(super) fn add(&mut self, seq: u64, entry: &[u8]) {
        self.entries.insert(seq, entry.to_vec());
    }

    pub(super) fn commit(&self, seq: u64) -> Option<Entry<'_>> {
        Entry::decode(self.entries.get(&seq)?)
    }

    /// What the store held after each commit.
    pub(super) fn states(&self) -> BTreeMap<u64, Content> {
        let mut states = BTreeMap::from([(0, Content::new())]);
        let mut now = Content::new();
        for (seq, entry) in &self.entries {
            for write in Entry::decode(entry).unwrap().writes() {
                let key = write.key.bytes().clone();
                match write.payload {
                    Some(payload) => now.insert(key, (*seq, payload)),
                    None => now.remove(&key),
                };
            }
            states.insert(*seq, now.clone());
        }
        states
    }

    /// Whether no commit is left out: of such a history nobody could say what was never so.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.entries.keys().copied().eq(1..=self.entries.len() as u64)
    }

    #[cfg(test)]
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seq, entry) in &self.entries {
            bytes.extend(seq.to_le_bytes());
            bytes.extend(u32::try_from(entry.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(entry);
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Self {
        let mut history = Self::default();
        while !bytes.is_empty() {
            let (seq, length) = (bytes.get_u64_le(), bytes.get_u32_le());
            let (entry, rest) = bytes.split_at(usize::try_from(length).unwrap());
            history.add(seq, entry);
            bytes = rest;
        }
        history
    }
}
