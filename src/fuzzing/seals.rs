//! Puts right checksums over wrong bytes, after `docs/format.md` and not with the
//! code that is tested.

const PAGE: usize = 4096;
const FRAME_HEAD: usize = 32;
/// Of formats 1 and 2.
const ARCHIVE_HEADS: [usize; 2] = [48, 64];
const BLOCK_HEAD: usize = 12;

/// A file of the log whose header, if it has room for one, and frames, as far as
/// their lengths lead on, are sealed.
pub(super) fn seal_segment(file: &mut [u8]) {
    let Some(header) = file.get_mut(..44) else { return };
    header[..8].copy_from_slice(b"PSTATLOG");
    let crc = crc32fast::hash(&header[..40]);
    header[40..].copy_from_slice(&crc.to_le_bytes());
    let segment = header[32..40].to_vec();
    seal_more(file, 56);
    let mut at = PAGE;
    while let Some(length) = number(file, at + 4)
        && let Some(frame) = file.get_mut(at..at.saturating_add(FRAME_HEAD + length))
    {
        let crc = hash(&[&segment, &(at as u64).to_le_bytes(), &frame[4..]]);
        frame[..4].copy_from_slice(&crc);
        at = (at + FRAME_HEAD + length).next_multiple_of(8);
    }
}

/// The second checksum of a header, which is over all before it.
fn seal_more(file: &mut [u8], at: usize) {
    let Some(header) = file.get_mut(..at + 4) else { return };
    if header[8..12] != 1_u32.to_le_bytes() {
        let crc = crc32fast::hash(&header[..at]);
        header[at..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// An archive whose header, blocks, records and end, as far as their lengths lead on,
/// are sealed.
pub(super) fn seal_archive(file: &mut [u8]) {
    let Some(header) = file.get_mut(..44) else { return };
    header[..8].copy_from_slice(b"PSTATARC");
    let crc = crc32fast::hash(&header[..40]);
    header[40..].copy_from_slice(&crc.to_le_bytes());
    let is_of_format_1 = header[8..12] == 1_u32.to_le_bytes();
    let start = ARCHIVE_HEADS[usize::from(!is_of_format_1)];
    seal_more(file, 56);
    let (mut at, mut contents) = (start, Contents::default());
    for block in 0_u64.. {
        let Some(length) = number(file, at + 4) else { return };
        let end = at.saturating_add(BLOCK_HEAD + length);
        let Some(bytes) = file.get_mut(at..end) else { return };
        match bytes[8] {
            1 => seal_records(&mut bytes[BLOCK_HEAD..], &mut contents),
            2 if length == 16 => bytes[BLOCK_HEAD..].copy_from_slice(&contents.end()),
            _ => {}
        }
        let crc = hash(&[&block.to_le_bytes(), &bytes[4..]]);
        bytes[..4].copy_from_slice(&crc);
        at = end;
    }
}

/// What an archive counts.
#[derive(Default)]
struct Contents {
    records: u64,
    sum: u64,
}

impl Contents {
    fn end(&self) -> [u8; 16] {
        let mut end = [0; 16];
        end[..8].copy_from_slice(&self.records.to_le_bytes());
        end[8..].copy_from_slice(&self.sum.to_le_bytes());
        end
    }
}

fn seal_records(mut body: &mut [u8], contents: &mut Contents) {
    while let Some((&mut [low, high, a, b, c, d], rest)) = body.split_first_chunk_mut() {
        let Ok(length) = usize::try_from(u32::from_le_bytes([a, b, c, d])) else { return };
        let Some((key, rest)) = rest.split_at_mut_checked(u16::from_le_bytes([low, high]).into()) else {
            return;
        };
        let Some((value, rest)) = rest.split_at_mut_checked(length) else { return };
        if value.len() > 4 {
            let crc = hash(&[key, &value[4..]]);
            value[..4].copy_from_slice(&crc);
        }
        let fingerprint = u32::from_le_bytes(hash(&[&(key.len() as u64).to_le_bytes(), key, value]));
        contents.records += 1;
        contents.sum = contents.sum.wrapping_add(fingerprint.into());
        body = rest;
    }
}

/// The text of a manifest with the right checksum behind it.
pub(super) fn seal_manifest(text: &[u8]) -> Vec<u8> {
    let body = text.windows(7).rposition(|found| found == b"\ncrc32 ").map_or(text, |at| &text[..=at]);
    [body, format!("crc32 {:08x}\n", crc32fast::hash(body)).as_bytes()].concat()
}

fn number(file: &[u8], at: usize) -> Option<usize> {
    let bytes = file.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn hash(parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_le_bytes()
}
