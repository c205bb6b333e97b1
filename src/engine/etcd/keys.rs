//! The keys and values of a store in etcd.
//!
//! ```text
//! key    = prefix record's key           (begins with 01)
//!        | prefix 00 "store"             the identity of the store
//!        | prefix 00 "slot/" ...         a commit in flight, see `slots`
//!        | prefix 00 "pending"           a large commit that has to be carried out, see `large`
//!        | prefix 00 "staged/" ...       its parts
//! value  = the record's envelope; its version is 0 if the mod revision determines it
//! store  = format (u32, 1) origin (u64) id (16 bytes) crc32 over the key and the rest (u32)
//! ```
//! Integers are little endian. A sequence number is a mod revision, counted from the one that
//! created `store`, which has the number `origin`: 0 for a new store, and the last commit of the
//! archive for a restored one. A record with an earlier revision came from the archive, and its
//! envelope contains its version.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::{Error, Failure, Result};
use crate::proto::etcd::mvccpb::KeyValue;
use crate::record::{self, Key, KeyRange, Record};

const FORMAT: u32 = 1;
const OWN: u8 = 0;

/// Builds and parses the keys of one store.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Bytes,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: Bytes::copy_from_slice(prefix.as_bytes()) }
    }

    pub(super) fn record(&self, key: &[u8]) -> Bytes {
        self.join(&[key])
    }

    /// Returns the key of an entry other than a record.
    pub(super) fn own(&self, name: &str) -> Bytes {
        self.join(&[&[OWN], name.as_bytes()])
    }

    /// Returns the range of the other entries whose name begins with `name`; the end is exclusive.
    pub(super) fn own_range(&self, name: &str) -> (Bytes, Bytes) {
        let start = self.own(name);
        let mut end = BytesMut::from(&start[..]);
        // Names are UTF-8, which never contains this byte.
        end.put_u8(0xFF);
        (start, end.freeze())
    }

    pub(super) fn range(&self, range: &KeyRange) -> (Bytes, Bytes) {
        (self.record(&range.start), self.record(&range.end))
    }

    /// Returns the range of all keys with the prefix.
    pub(super) fn everything(&self) -> (Bytes, Bytes) {
        let mut end = BytesMut::from(&self.prefix[..]);
        // Prefixes are UTF-8, which never contains this byte.
        end.put_u8(0xFF);
        (self.prefix.clone(), end.freeze())
    }

    /// Returns the record key in a key of etcd.
    pub(super) fn parse(&self, key: &Bytes) -> Result<Key> {
        let bytes = key.get(self.prefix.len()..).map(|_| key.slice(self.prefix.len()..));
        bytes.and_then(Key::from_bytes).ok_or_else(|| {
            let place = format!("etcd, under {:?}", String::from_utf8_lossy(&self.prefix));
            let why = format!("{} is not the key of a record", key.escape_ascii());
            Failure::Corrupt { place, why }.into()
        })
    }

    fn join(&self, parts: &[&[u8]]) -> Bytes {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(self.prefix.len() + length);
        bytes.put_slice(&self.prefix);
        parts.iter().for_each(|part| bytes.put_slice(part));
        bytes.freeze()
    }
}

/// The identity of a store, and how revisions map to its sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: [u8; 16],
    pub(super) origin: u64,
    /// The revision whose sequence number is the origin.
    begin: i64,
}

impl Identity {
    pub(super) fn new(id: [u8; 16], origin: u64, begin: i64) -> Self {
        Self { id, origin, begin }
    }

    pub(super) fn encode(id: [u8; 16], origin: u64, key: &[u8]) -> Bytes {
        let mut value = BytesMut::new();
        value.put_u32_le(FORMAT);
        value.put_u64_le(origin);
        value.put_slice(&id);
        value.put_u32_le(crc(key, &value));
        value.freeze()
    }

    pub(super) fn decode(kv: &KeyValue, place: &str) -> Result<Self> {
        let damaged = || -> Error {
            let why = "the key that identifies the store is damaged; does another program use this prefix?";
            Failure::Corrupt { place: place.to_owned(), why: why.to_owned() }.into()
        };
        let mut value = &kv.value[..];
        let format = value.try_get_u32_le().map_err(|_| damaged())?;
        if format != FORMAT {
            return Err(Failure::NewerFormat { path: place.into(), found: format, supported: FORMAT }.into());
        }
        let origin = value.try_get_u64_le().map_err(|_| damaged())?;
        let (id, mut rest) = value.split_first_chunk().ok_or_else(damaged)?;
        let checked = kv.value.get(..28).unwrap_or_default();
        if rest.try_get_u32_le() != Ok(crc(&kv.key, checked)) {
            return Err(damaged());
        }
        Ok(Self { id: *id, origin, begin: kv.create_revision })
    }

    pub(super) fn seq(&self, revision: i64) -> u64 {
        self.origin + u64::try_from(revision - self.begin).unwrap_or_default()
    }

    /// Returns the mod revision of a record with this version; `None` if it came from the archive.
    pub(super) fn revision(&self, version: u64) -> Option<i64> {
        let since = version.checked_sub(self.origin).filter(|since| *since > 0)?;
        i64::try_from(since).ok()?.checked_add(self.begin)
    }

    pub(super) fn begin(&self) -> i64 {
        self.begin
    }

    /// Decodes a record.
    pub(super) fn open(&self, keys: &Keys, kv: &KeyValue) -> Result<Record> {
        let key = keys.parse(&kv.key)?;
        let (version, payload) = record::open(&key, kv.value.clone()).map_err(|damage| {
            let why = format!("{damage}. Other records can still be read; restore this one from a backup");
            Failure::Corrupt { place: format!("{}, in etcd", key.describe()), why }
        })?;
        let version = if kv.mod_revision > self.begin { self.seq(kv.mod_revision) } else { version };
        Ok(Record { key, version, payload })
    }
}

fn crc(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let keys = Keys::new("p/");
        assert_eq!(&keys.record(Key::owner("n").bytes())[..], b"p/\x01n\0\x10");
        assert_eq!(&keys.own("store")[..], b"p/\0store");
        let value = Identity::encode([7; 16], 3, b"p/\0store");
        assert_eq!(
            &value[..28],
            b"\x01\0\0\0\x03\0\0\0\0\0\0\0\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07"
        );
        assert_eq!(value[28..], crc32fast::hash(&[b"p/\0store", &value[..28]].concat()).to_le_bytes());
    }

    #[test]
    fn an_identity_can_be_decoded_and_damage_is_detected() {
        let keys = Keys::new("p/");
        let key = keys.own("store");
        let value = Identity::encode([7; 16], 3, &key);
        let kv = KeyValue { key, value, create_revision: 20, ..KeyValue::default() };
        assert_eq!(Identity::decode(&kv, "here").unwrap(), Identity::new([7; 16], 3, 20));
        for byte in 4..kv.value.len() {
            let mut value = kv.value.to_vec();
            value[byte] ^= 1;
            let damaged = KeyValue { value: value.into(), ..kv.clone() };
            assert!(Identity::decode(&damaged, "here").unwrap_err().is_corrupt(), "{byte}");
        }
    }

    #[test]
    fn versions_map_to_revisions_and_back_after_the_origin() {
        let identity = Identity::new([0; 16], 100, 20);
        assert_eq!(identity.seq(20), 100);
        assert_eq!(identity.seq(21), 101);
        assert_eq!(identity.revision(101), Some(21));
        assert_eq!(identity.revision(100), None);
    }
}
