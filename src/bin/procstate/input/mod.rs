//! Reads files and standard input.

pub(super) mod duration;
pub(super) mod json_lines;
pub(super) mod lists;
pub(super) mod names;
pub(super) mod until;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::failure::Failure;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const XZ: &[u8] = b"\xfd7zXZ\0";

/// The content of a file.
#[derive(Debug)]
pub(crate) struct Input {
    /// The name of the file in messages.
    pub(crate) source: String,
    pub(crate) bytes: Vec<u8>,
}

/// Reads a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Input, Failure> {
    let is_stdin = path == Path::new("-");
    let source = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
    let read = if is_stdin {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let bytes = read.map_err(|error| Failure::Failed(format!("could not read {source}: {error}")))?;
    Ok(Input { source, bytes })
}

impl Input {
    /// Refuses compressed or UTF-16 input, which must be converted for `command` first.
    ///
    /// No valid input starts like these.
    pub(crate) fn refuse_foreign(&self, command: &str) -> Result<(), Failure> {
        let Some((form, verb, converter)) = foreign(&self.bytes) else { return Ok(()) };
        let file = if self.source == "<stdin>" { "FILE" } else { &self.source };
        Err(Failure::Failed(format!(
            "{}: this is {form}: {verb} it first, e.g. `{converter} {file} | procstate {command} -`",
            self.source
        )))
    }
}

/// Returns the format, how to convert it, and the program for that.
fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str, &'static str)> {
    let packed = |form, program| Some((form, "decompress", program));
    let utf16 = |program| Some(("UTF-16", "convert", program));
    match bytes {
        _ if bytes.starts_with(GZIP) => packed("gzip", "zcat"),
        _ if bytes.starts_with(ZSTD) => packed("zstd", "zstdcat"),
        _ if bytes.starts_with(XZ) => packed("xz", "xzcat"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => utf16("iconv -f UTF-16 -t UTF-8"),
        // JSON without a byte order mark.
        [b'{' | b'[', 0, ..] => utf16("iconv -f UTF-16LE -t UTF-8"),
        [0, b'{' | b'[', ..] => utf16("iconv -f UTF-16BE -t UTF-8"),
        _ => None,
    }
}
