//! Keys of records.
//!
//! ```text
//! key      = KEYSPACE name TERMINATOR tag [detail]
//! KEYSPACE = 01                    (00 is for an engine's own records)
//! name     = the process name, each 00 in it written as 00 FF
//! TERMINATOR = 00
//! tag      = 10 owner | 20 settings | 30 status | 40 totals
//!          | 50 active | 60 cleanup | 70 dropped | 80 history
//! detail   = the work name as it is (active, cleanup, dropped)
//!          | start seconds (i64, sign flipped) nanos (u32) run (u64), big endian (history)
//! ```
//!
//! Tags are below FF, so that a terminator is never mistaken for an escaped 00: the records of a
//! process form one range, each list is one range within it, and processes sort by the bytes of
//! their names.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::List;

/// The first byte of every key.
pub(crate) const KEYSPACE: u8 = 0x01;
const NUL: u8 = 0x00;
const ESCAPE: u8 = 0xFF;

/// The kind of a record.
///
/// The number is the key's tag, and also stored in the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Owner = 0x10,
    Settings = 0x20,
    Status = 0x30,
    Totals = 0x40,
    Active = 0x50,
    Cleanup = 0x60,
    Dropped = 0x70,
    History = 0x80,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Owner,
        Self::Settings,
        Self::Status,
        Self::Totals,
        Self::Active,
        Self::Cleanup,
        Self::Dropped,
        Self::History,
    ];

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    pub(crate) fn tag(self) -> u8 {
        self as u8
    }
}

impl From<List> for Kind {
    fn from(list: List) -> Self {
        match list {
            List::Active => Self::Active,
            List::Cleanup => Self::Cleanup,
            List::Dropped => Self::Dropped,
        }
    }
}

/// The encoded key of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    bytes: Bytes,
    kind: Kind,
}

/// A borrowed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef<'a> {
    bytes: &'a [u8],
    kind: Kind,
}

/// A decoded key: the process, and the record within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) process: String,
    pub(crate) slot: Slot,
}

/// The record within a process. `N` is the name of a work item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot<N = String> {
    Owner,
    Settings,
    Status,
    Totals,
    Item(List, N),
    History { seconds: i64, nanos: u32, run: u64 },
}

impl Key {
    pub(crate) fn owner(process: &str) -> Self {
        Self::build(process, Kind::Owner, &[])
    }

    pub(crate) fn settings(process: &str) -> Self {
        Self::build(process, Kind::Settings, &[])
    }

    pub(crate) fn status(process: &str) -> Self {
        Self::build(process, Kind::Status, &[])
    }

    pub(crate) fn totals(process: &str) -> Self {
        Self::build(process, Kind::Totals, &[])
    }

    pub(crate) fn item(process: &str, list: List, work: &str) -> Self {
        Self::build(process, list.into(), work.as_bytes())
    }

    /// The record of the run that started at this time.
    ///
    /// Runs sort by start; the run number distinguishes runs with the same start.
    pub(crate) fn history(process: &str, seconds: i64, nanos: u32, run: u64) -> Self {
        let mut detail = [0; 20];
        let mut rest = detail.as_mut_slice();
        rest.put_u64(seconds.cast_unsigned() ^ (1 << 63));
        rest.put_u32(nanos);
        rest.put_u64(run);
        Self::build(process, Kind::History, &detail)
    }

    fn build(process: &str, kind: Kind, detail: &[u8]) -> Self {
        let mut bytes = process_prefix(process, detail.len());
        bytes.put_u8(kind.tag());
        bytes.put_slice(detail);
        Self { bytes: bytes.freeze(), kind }
    }

    /// Parses a key read from a file; `None` if it is not a key.
    pub(crate) fn from_bytes(bytes: Bytes) -> Option<Self> {
        let kind = KeyRef::parse(&bytes)?.kind;
        Some(Self { bytes, kind })
    }

    /// Returns the key whose [`KeyRef::bytes`] were copied.
    pub(super) fn of_copy(bytes: Bytes, kind: Kind) -> Self {
        Self { bytes, kind }
    }

    pub(crate) fn borrow(&self) -> KeyRef<'_> {
        KeyRef { bytes: &self.bytes, kind: self.kind }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn address(&self) -> Option<Address> {
        self.borrow().address()
    }

    /// Describes the record for messages.
    pub(crate) fn describe(&self) -> String {
        self.borrow().describe()
    }
}

impl<'a> KeyRef<'a> {
    /// Parses a key read from a file; `None` if it is not a key.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (_, kind, detail) = split(bytes)?;
        parse_slot(kind, detail)?;
        Some(Self { bytes, kind })
    }

    pub(crate) fn kind(self) -> Kind {
        self.kind
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn slot(self) -> Option<Slot<&'a str>> {
        let (_, kind, detail) = split(self.bytes)?;
        parse_slot(kind, detail)
    }

    pub(crate) fn address(self) -> Option<Address> {
        let (name, kind, detail) = split(self.bytes)?;
        Some(Address { process: unescape(name)?, slot: parse_slot(kind, detail)?.to_owned() })
    }

    /// Describes the record for messages.
    pub(crate) fn describe(self) -> String {
        match self.address() {
            Some(address) => address.describe(),
            None => format!("a record under a key that does not parse ({:02x?})", self.bytes),
        }
    }

    pub(crate) fn to_key(self) -> Key {
        Key::of_copy(Bytes::copy_from_slice(self.bytes), self.kind)
    }
}

impl Slot<&str> {
    fn to_owned(&self) -> Slot {
        match *self {
            Self::Owner => Slot::Owner,
            Self::Settings => Slot::Settings,
            Self::Status => Slot::Status,
            Self::Totals => Slot::Totals,
            Self::Item(list, name) => Slot::Item(list, name.to_owned()),
            Self::History { seconds, nanos, run } => Slot::History { seconds, nanos, run },
        }
    }
}

impl Address {
    pub(crate) fn describe(&self) -> String {
        let process = &self.process;
        match &self.slot {
            Slot::Owner => format!("the owner record of process {process:?}"),
            Slot::Settings => format!("the settings of process {process:?}"),
            Slot::Status => format!("the status of process {process:?}"),
            Slot::Totals => format!("the totals of process {process:?}"),
            Slot::Item(List::Active, work) => format!("active work {work:?} of process {process:?}"),
            Slot::Item(List::Cleanup, work) => format!("cleanup work {work:?} of process {process:?}"),
            Slot::Item(List::Dropped, work) => format!("dropped work {work:?} of process {process:?}"),
            Slot::History { .. } => format!("a past run of process {process:?}"),
        }
    }
}

/// A range of keys, from `start` up to but not including `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) start: Bytes,
    pub(crate) end: Bytes,
}

impl KeyRange {
    /// All records of all processes.
    pub(crate) fn all() -> Self {
        Self { start: Bytes::from_static(&[KEYSPACE]), end: Bytes::from_static(&[KEYSPACE + 1]) }
    }

    /// All records of one process, its owner record first.
    pub(crate) fn process(process: &str) -> Self {
        let start = process_prefix(process, 0);
        let mut end = start.clone();
        end.put_u8(ESCAPE);
        Self { start: start.freeze(), end: end.freeze() }
    }

    /// The records of one kind in one process.
    pub(crate) fn kind(process: &str, kind: Kind) -> Self {
        Self::names(process, kind, "")
    }

    /// The records of one kind whose work names begin with `prefix`.
    pub(crate) fn names(process: &str, kind: Kind, prefix: &str) -> Self {
        let start = Key::build(process, kind, prefix.as_bytes()).bytes;
        let mut end = BytesMut::from(&start[..]);
        // Neither a tag nor a byte of UTF-8 is FF.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start, end: end.freeze() }
    }

    /// Everything after the last record of a process.
    pub(crate) fn after_process(process: &str) -> Self {
        Self { start: Self::process(process).end, end: Self::all().end }
    }

    /// Everything from the first process whose name is `name` or sorts after it.
    pub(crate) fn from_process(name: &str) -> Self {
        Self { start: Self::process(name).start, end: Self::all().end }
    }

    /// The part of this range from `key` on.
    pub(crate) fn from(mut self, key: &Key) -> Self {
        self.start = key.bytes.clone().max(self.start);
        self
    }

    /// The part of this range that is also in `other`.
    pub(crate) fn within(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// The part of this range after `key`.
    pub(crate) fn after(mut self, key: &Key) -> Self {
        self.start = just_after(key).max(self.start);
        self
    }

    /// The part of this range up to and including `key`.
    pub(crate) fn up_to(mut self, key: &Key) -> Self {
        self.end = just_after(key).min(self.end);
        self
    }

    #[cfg(test)]
    fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && key < self.end
    }
}

/// Returns the immediate successor of `key`.
fn just_after(key: &Key) -> Bytes {
    let mut bytes = BytesMut::with_capacity(key.bytes.len() + 1);
    bytes.put_slice(&key.bytes);
    bytes.put_u8(NUL);
    bytes.freeze()
}

/// Returns `KEYSPACE name TERMINATOR` with capacity for a tag and `more` bytes.
fn process_prefix(process: &str, more: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(process.len() + more + 3);
    bytes.put_u8(KEYSPACE);
    for byte in process.bytes() {
        bytes.put_u8(byte);
        if byte == NUL {
            bytes.put_u8(ESCAPE);
        }
    }
    bytes.put_u8(NUL);
    bytes
}

/// Splits a key into the escaped name, the kind and the detail.
fn split(key: &[u8]) -> Option<(&[u8], Kind, &[u8])> {
    let (&KEYSPACE, rest) = key.split_first()? else { return None };
    let mut from = 0;
    loop {
        let nul = from + rest.get(from..)?.iter().position(|&byte| byte == NUL)?;
        let &tag = rest.get(nul + 1)?;
        if tag != ESCAPE {
            return Some((rest.get(..nul)?, Kind::from_tag(tag)?, rest.get(nul + 2..)?));
        }
        from = nul + 2;
    }
}

fn unescape(name: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(byte);
        if byte == NUL {
            rest.next().filter(|&&escape| escape == ESCAPE)?;
        }
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

fn parse_slot(kind: Kind, detail: &[u8]) -> Option<Slot<&str>> {
    let item = |list| {
        let work = std::str::from_utf8(detail).ok()?;
        (!work.is_empty()).then_some(Slot::Item(list, work))
    };
    let alone = |slot| detail.is_empty().then_some(slot);
    match kind {
        Kind::Owner => alone(Slot::Owner),
        Kind::Settings => alone(Slot::Settings),
        Kind::Status => alone(Slot::Status),
        Kind::Totals => alone(Slot::Totals),
        Kind::Active => item(List::Active),
        Kind::Cleanup => item(List::Cleanup),
        Kind::Dropped => item(List::Dropped),
        Kind::History => {
            let detail: &[u8; 20] = detail.try_into().ok()?;
            let (seconds, rest) = detail.split_first_chunk()?;
            let (nanos, rest) = rest.split_first_chunk()?;
            let run = rest.first_chunk()?;
            Some(Slot::History {
                seconds: (u64::from_be_bytes(*seconds) ^ (1 << 63)).cast_signed(),
                nanos: u32::from_be_bytes(*nanos),
                run: u64::from_be_bytes(*run),
            })
        }
    }
}

#[cfg(test)]
mod tests;
