//! What bytes of a fuzzer do to the files of a store.
//!
//! ```text
//! edit   = op (u8, modulo 6) file (u8) offset (u24, big endian) argument
//! op     = 0 write   argument: length (u8) bytes
//!        | 1 flip    argument: bit (u8)
//!        | 2 zero    argument: length (u16)
//!        | 3 copy    argument: from file (u8) from offset (u24) length (u16)
//!        | 4 cut     at the offset
//!        | 5 delete  the file
//! ```
//! Files are counted in the order of their paths, and numbers that are too large
//! begin again at 0, so that every input is some damage.

use std::path::PathBuf;

use bytes::Buf;

use super::original::Files;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    file: usize,
    offset: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Write(Vec<u8>),
    Flip(u8),
    Zero(usize),
    Copy { file: usize, offset: usize, length: usize },
    Cut,
    Delete,
}

/// No more than this many edits.
const EDITS_MAX: usize = 32;

/// The edits that `bytes` say.
pub(super) fn edits(mut bytes: &[u8]) -> Vec<Edit> {
    std::iter::from_fn(|| edit(&mut bytes)).take(EDITS_MAX).collect()
}

fn edit(bytes: &mut &[u8]) -> Option<Edit> {
    let op = bytes.try_get_u8().ok()?;
    let file = bytes.try_get_u8().ok()?.into();
    let offset = offset(bytes)?;
    let what = match op % 6 {
        0 => {
            let length = usize::from(bytes.try_get_u8().ok()?).min(bytes.len());
            What::Write(bytes.copy_to_bytes(length).into())
        }
        1 => What::Flip(bytes.try_get_u8().ok()? % 8),
        2 => What::Zero(bytes.try_get_u16().ok()?.into()),
        3 => What::Copy {
            file: bytes.try_get_u8().ok()?.into(),
            offset: self::offset(bytes)?,
            length: bytes.try_get_u16().ok()?.into(),
        },
        4 => What::Cut,
        _ => What::Delete,
    };
    Some(Edit { file, offset, what })
}

fn offset(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(bytes.try_get_uint(3).ok()?).ok()
}

/// Damages `files`.
pub(super) fn apply(edits: &[Edit], files: &mut Files) {
    let mut broken: Vec<(PathBuf, Option<Vec<u8>>)> =
        std::mem::take(files).into_iter().map(|(path, bytes)| (path, Some(bytes))).collect();
    let count = broken.len();
    let part = |files: &[(PathBuf, Option<Vec<u8>>)], file: usize, offset: usize, length: usize| {
        let bytes = files[file % count].1.as_deref().unwrap_or_default();
        let from = offset % (bytes.len() + 1);
        bytes[from..bytes.len().min(from + length)].to_vec()
    };
    for Edit { file, offset, what } in edits {
        let new = match what {
            What::Copy { file, offset, length } => part(&broken, *file, *offset, *length),
            What::Write(bytes) => bytes.clone(),
            What::Zero(length) => vec![0; part(&broken, *file, *offset, *length).len()],
            What::Flip(bit) => {
                part(&broken, *file, *offset, 1).into_iter().map(|byte| byte ^ (1 << bit)).collect()
            }
            What::Cut | What::Delete => Vec::new(),
        };
        let slot = &mut broken[file % count].1;
        let Some(bytes) = slot else { continue };
        let at = offset % (bytes.len() + 1);
        match what {
            What::Delete => *slot = None,
            What::Cut => bytes.truncate(at),
            _ => {
                let end = at + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[at..end].copy_from_slice(&new);
            }
        }
    }
    *files = broken.into_iter().filter_map(|(path, bytes)| Some((path, bytes?))).collect();
}
