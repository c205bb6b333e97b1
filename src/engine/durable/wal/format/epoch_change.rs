//! The frame that marks the continuation of the log by another opening.

use super::frame::Frame;
use crate::record::Epoch;

/// The length of the body.
pub(crate) const BODY: usize = 16;

/// Encodes the body of such a frame: the epoch of the newest commit before it, and that of the
/// commits after it.
pub(crate) fn encode(before: Option<Epoch>, after: Epoch) -> [u8; BODY] {
    let mut body = [0; BODY];
    if let Some((first, second)) = body.split_first_chunk_mut::<8>() {
        *first = Epoch::stored(before).to_le_bytes();
        second.copy_from_slice(&Epoch::stored(Some(after)).to_le_bytes());
    }
    body
}

/// Decodes the two epochs of such a frame.
pub(crate) fn decode(frame: &Frame<'_>) -> (Option<Epoch>, Option<Epoch>) {
    let stored = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes).and_then(Epoch::from_stored);
    let (before, after) = frame.body.split_at_checked(8).unwrap_or_default();
    (stored(before), stored(after))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Head, Kind};
    use super::*;

    #[test]
    fn golden_bytes() {
        let [before, after] = [0x0102, 3].map(Epoch::from_stored);
        let head = Head { kind: Kind::Epoch, seq: 7, synced: 0, part: 0 };
        let body = encode(before, after.unwrap());
        assert_eq!(&body, b"\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0");
        assert_eq!(decode(&Frame { head, body: &body }), (before, after));
        assert_eq!(decode(&Frame { head, body: &encode(None, after.unwrap()) }), (None, after));
        assert_eq!(decode(&Frame { head, body: b"" }), (None, None));
    }
}
