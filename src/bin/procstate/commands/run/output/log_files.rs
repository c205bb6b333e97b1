//! Keeps the output of each item in separate files.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::commands::run::child::Stream;

/// The string parameter of a process with the path of its logs.
pub(crate) const SETTING: &str = "logs.dir";

/// The maximum length of a file name before it is shortened. File systems allow 255 bytes.
const NAME_MAX: usize = 200;

/// A folder of logs.
pub(crate) struct LogFiles {
    folder: PathBuf,
    bytes_max: Option<u64>,
}

impl LogFiles {
    /// The logs of `process` in `folder`.
    pub(crate) fn new(folder: &Path, process: &str, bytes_max: Option<u64>) -> Self {
        Self { folder: folder.join(file_name(process)), bytes_max }
    }

    /// # Errors
    ///
    /// If the folder cannot be created.
    pub(crate) fn create_folder(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)
    }

    /// Returns the path for one stream of an item, which exists if there was output.
    pub(crate) fn path(&self, work: &str, stream: Stream) -> PathBuf {
        self.folder.join(format!("{}.{}", file_name(work), stream.name()))
    }

    /// Creates the files of an item's attempt, removing those of the last one.
    pub(crate) fn begin(&self, work: &str) -> io::Result<[LogFile; 2]> {
        let begin = |stream| {
            let path = self.path(work, stream);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(LogFile::new(path, self.bytes_max)),
            }
        };
        Ok([begin(Stream::Stdout)?, begin(Stream::Stderr)?])
    }
}

/// Returns a unique name that every file system accepts.
///
/// Bytes other than plain letters, digits, `_`, `-` and non-leading dots become `%` and two
/// hexadecimal digits; a long name is cut and gets a hash of the whole.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for (index, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && index > 0) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    if safe.len() > NAME_MAX {
        safe.truncate(NAME_MAX);
        safe.push_str(&format!("%{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).simple()));
    }
    safe
}

/// The log of one stream of an item.
///
/// With a limit, the first and the last half of that size are kept.
pub(crate) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    /// The remaining bytes that are written directly.
    left: Option<u64>,
    /// The last bytes beyond those, and their maximum number.
    tail: VecDeque<u8>,
    tail_max: usize,
    left_out: u64,
}

impl LogFile {
    fn new(path: PathBuf, bytes_max: Option<u64>) -> Self {
        let tail_max = bytes_max.map_or(0, |max| usize::try_from(max / 2).unwrap_or(usize::MAX));
        let left = bytes_max.map(|max| max - max / 2);
        Self { path, file: None, left, tail: VecDeque::new(), tail_max, left_out: 0 }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = self
            .left
            .map_or(bytes.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
        let (now, later) = bytes.split_at(now);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(u64::try_from(now.len()).unwrap_or(u64::MAX));
        }
        self.tail.extend(later);
        let excess = self.tail.len().saturating_sub(self.tail_max);
        self.left_out += u64::try_from(excess).unwrap_or_default();
        self.tail.drain(..excess);
        self.write_all(now)
    }

    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.left_out > 0 {
            let note = format!("\n[procstate: {} bytes left out]\n", self.left_out);
            self.write_all(note.as_bytes())?;
        }
        let tail: Vec<u8> = self.tail.drain(..).collect();
        self.write_all(&tail)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create_new(&self.path)?),
        };
        file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_different() {
        assert_eq!(file_name("a-b_c.txt"), "a-b_c.txt");
        assert_eq!(file_name("../etc/passwd"), "%2E.%2Fetc%2Fpasswd");
        assert_eq!(file_name("100%"), "100%25");
        assert_eq!(file_name("\u{e4}\0"), "%C3%A4%00");
        let long = |end: &str| file_name(&("/x".repeat(500) + end));
        assert!(long("a").len() < 250 && long("a") != long("b"));
    }

    #[test]
    fn both_ends_of_a_long_output_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (max, text) in [
            (None, "0123456789abcdef"),
            (Some(6), "012\n[procstate: 10 bytes left out]\ndef"),
            (Some(16), "0123456789abcdef"),
            (Some(0), "\n[procstate: 16 bytes left out]\n"),
        ] {
            let logs = LogFiles::new(folder.path(), "p", max);
            logs.create_folder().unwrap();
            let [mut log, _] = logs.begin("w").unwrap();
            ["0", "1234", "", "56789abcd", "ef"]
                .into_iter()
                .for_each(|piece| log.write(piece.as_bytes()).unwrap());
            log.end().unwrap();
            assert_eq!(fs::read_to_string(logs.path("w", Stream::Stdout)).unwrap(), text, "{max:?}");
            assert!(!logs.path("w", Stream::Stderr).exists());
        }
    }
}
