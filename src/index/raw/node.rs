//! Decodes sled's nodes and the changes to them.
//!
//! ```text
//! node    next (varint) merging child (varint) merging (u8) length of the prefix (u8)
//!         lowest key (bytes) bound above (bytes) data
//! data    0 (u8) count (varint) key (bytes)... value (bytes)...
//! change  0 (u8) key (bytes) value (bytes)
//! bytes   length (varint) and as many bytes
//! ```
//! The keys of a node are stored without their common prefix, which is the start of its lowest key.

use bytes::Buf;

/// The readable part of a node that holds records.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) entries: Vec<(&'a [u8], &'a [u8])>,
}

pub(super) fn leaf(mut body: &[u8]) -> Option<Leaf<'_>> {
    let _next = varint(&mut body)?;
    let _merging_child = varint(&mut body)?;
    let _merging = body.try_get_u8().ok()?;
    let prefix_len = usize::from(body.try_get_u8().ok()?);
    let lowest = bytes(&mut body)?;
    let _bound = bytes(&mut body)?;
    let prefix = lowest.get(..prefix_len)?;
    if body.try_get_u8().ok()? != 0 {
        return None;
    }
    let count = usize::try_from(varint(&mut body)?).ok()?.min(body.len());
    let keys = (0..count).map(|_| bytes(&mut body)).collect::<Option<Vec<_>>>()?;
    let values = std::iter::from_fn(|| bytes(&mut body));
    Some(Leaf { prefix, entries: keys.into_iter().zip(values).collect() })
}

/// Returns the key and the value that a change sets.
pub(super) fn set(mut body: &[u8]) -> Option<(&[u8], &[u8])> {
    if body.try_get_u8().ok()? != 0 {
        return None;
    }
    Some((bytes(&mut body)?, bytes(&mut body)?))
}

fn bytes<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(body)?).ok()?;
    let (bytes, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(bytes)
}

pub(super) fn varint(body: &mut &[u8]) -> Option<u64> {
    let first = body.try_get_u8().ok()?;
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * u64::from(first - 241) + u64::from(body.try_get_u8().ok()?),
        249 => 2288 + u64::from(body.try_get_u16().ok()?),
        250..=255 => body.try_get_uint_le(usize::from(first) - 247).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        let cases: [(&[u8], u64); 7] = [
            (&[240], 240),
            (&[241, 1], 241),
            (&[248, 255], 2287),
            (&[249, 0, 0], 2288),
            (&[249, 255, 255], 67823),
            (&[250, 0xf0, 8, 1], 67824),
            (&[255, 255, 255, 255, 255, 255, 255, 255, 255], u64::MAX),
        ];
        for (mut bytes, number) in cases {
            assert_eq!(varint(&mut bytes), Some(number));
            assert!(bytes.is_empty());
        }
        assert_eq!(varint(&mut [250, 1].as_slice()), None);
    }
}
