//! Names of files as names of work.
//!
//! A name in a store is UTF-8; on Linux the name of a file is any bytes. One that is not
//! UTF-8 is written as `%bytes:` and then the bytes, of which those that are not UTF-8, and
//! each `%`, are `%` and two upper-case hexadecimal digits: the file `caf\xE9` is the work
//! `%bytes:caf%E9`. A name that looks like that already is written in the same way, so that
//! each name stands for one file and no two files have the same one. Every other name is
//! the file's own.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const MARK: &str = "%bytes:";

/// The name of the work for a file.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(name) if decode(name).is_none() => name.to_owned(),
        _ => encode(bytes),
    }
}

/// The name that a person gives, or a list for people: that of a file, or the name of work
/// as the tool prints it. Nobody means a file whose own name looks like that.
pub(crate) fn from_words(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| encode(bytes), str::to_owned)
}

/// As [`from_words`], of an argument.
pub(crate) fn from_argument(argument: &OsStr) -> String {
    from_words(argument.as_bytes())
}

/// The file that work is named for.
pub(crate) fn to_os_string(name: &str) -> OsString {
    OsString::from_vec(decode(name).unwrap_or_else(|| name.as_bytes().to_vec()))
}

fn encode(bytes: &[u8]) -> String {
    let mut name = MARK.to_owned();
    for chunk in bytes.utf8_chunks() {
        name.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a text does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// The bytes that a name stands for which looks like the form above; `None` for any other.
fn decode(name: &str) -> Option<Vec<u8>> {
    let mut parts = name.strip_prefix(MARK)?.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    let mut has_escape = false;
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
        has_escape = true;
    }
    has_escape.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(name: &str) -> Vec<u8> {
        to_os_string(name).into_vec()
    }

    #[test]
    fn a_name_that_is_not_utf8_can_be_read() {
        assert_eq!(from_bytes(b"a/caf\xE9 100%.jpg"), "%bytes:a/caf%E9 100%25.jpg");
        assert_eq!(back("%bytes:a/caf%E9 100%25.jpg"), b"a/caf\xE9 100%.jpg");
    }

    #[test]
    fn usual_names_stay() {
        for name in
            ["", "a b", "100%", "%41", "%bytes", "%bytes:", "%bytes:a", "%bytes:%e9", "%bytes:%E", "\0"]
        {
            assert_eq!(from_bytes(name.as_bytes()), name);
            assert_eq!(back(name), name.as_bytes(), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_is_named_like_the_form_is_told_apart() {
        let name = from_bytes(b"%bytes:caf%E9");
        assert_eq!(name, "%bytes:%25bytes:caf%25E9");
        assert_eq!(back(&name), b"%bytes:caf%E9");
        // A person means the work.
        assert_eq!(from_words(b"%bytes:caf%E9"), "%bytes:caf%E9");
        assert_eq!(from_words(b"caf\xE9"), "%bytes:caf%E9");
    }

    proptest! {
        #[test]
        fn each_file_has_one_name_and_comes_back(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "(%bytes:){0,3}[a%0-9A-Fé]{0,8}".prop_map(String::into_bytes),
            ],
            cut in 0..9_usize,
        ) {
            let bytes = &bytes[..bytes.len().saturating_sub(cut % (bytes.len() + 1))];
            let name = from_bytes(bytes);
            prop_assert_eq!(back(&name), bytes);
            if let Ok(text) = std::str::from_utf8(bytes) {
                prop_assert!(name == text || decode(text).is_some());
            }
        }
    }
}
