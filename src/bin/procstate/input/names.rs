//! Maps file names to work names.
//!
//! Names in a store are UTF-8; Linux file names are arbitrary bytes. A file name that is not UTF-8
//! becomes `%bytes:` and its bytes. Each `%`, and each byte that is not UTF-8, is written as `%`
//! and two upper-case hexadecimal digits: the file `caf\xE9` is the work `%bytes:caf%E9`. A file
//! name that already has this form is encoded in the same way, so that the mapping is one-to-one.
//! All other names are unchanged.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const MARK: &str = "%bytes:";

/// Returns the work name for a file name.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(name) if decode(name).is_none() => name.to_owned(),
        _ => encode(bytes),
    }
}

/// Returns the work name for user input, which is a file name, or a work name as the tool prints
/// it.
///
/// A file name of the encoded form itself is not expected there.
pub(crate) fn from_words(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| encode(bytes), str::to_owned)
}

/// Like [`from_words`], for an argument.
pub(crate) fn from_argument(argument: &OsStr) -> String {
    from_words(argument.as_bytes())
}

/// Returns the file name for a work name.
pub(crate) fn to_os_string(name: &str) -> OsString {
    OsString::from_vec(decode(name).unwrap_or_else(|| name.as_bytes().to_vec()))
}

fn encode(bytes: &[u8]) -> String {
    let mut name = MARK.to_owned();
    for chunk in bytes.utf8_chunks() {
        name.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// Decodes a name of the form above; `None` for all others.
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
    fn file_names_of_the_encoded_form_are_distinct() {
        let name = from_bytes(b"%bytes:caf%E9");
        assert_eq!(name, "%bytes:%25bytes:caf%25E9");
        assert_eq!(back(&name), b"%bytes:caf%E9");
        // User input means the work.
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
