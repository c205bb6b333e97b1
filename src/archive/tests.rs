use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::format::{BLOCK_HEAD_LEN, HEADER_LEN, HEADER_LEN_1};
use super::*;
use crate::disk::Disk;
use crate::disk::sim::{Fault, Plan, SimDisk, Survives};
use crate::error::Result;

const STORE: [u8; 16] = *b"0123456789abcdef";

fn upto() -> Position {
    Position::new(7, Epoch::from_stored(9))
}

fn path() -> &'static Path {
    Path::new("/s/snapshots/7.archive")
}

fn records(count: usize, bytes: usize) -> Vec<(Bytes, Bytes)> {
    (0..count).map(|n| (format!("key {n:06}").into(), Bytes::from(vec![n as u8; bytes + n % 7]))).collect()
}

fn write(disk: &SimDisk, records: &[(Bytes, Bytes)]) -> Result<Summary> {
    let mut writer = Writer::create(Arc::new(disk.clone()), Target::new(path()), STORE, upto())?;
    for (key, value) in records {
        writer.add(key, value)?;
    }
    writer.finish()
}

fn read_back(disk: &SimDisk) -> Result<(Summary, Vec<(Bytes, Bytes)>)> {
    let mut reader = Reader::open(disk, path())?;
    let found = reader.by_ref().collect::<Result<_>>()?;
    Ok((reader.summary(), found))
}

#[test]
fn reads_what_was_written() {
    for (count, bytes) in [(0, 0), (1, 0), (3, 10), (5000, 300), (5, 1 << 20)] {
        let disk = SimDisk::new();
        let records = records(count, bytes);
        let written = write(&disk, &records).unwrap();
        let (found, read) = read_back(&disk).unwrap();
        assert!(read == records, "{count} of {bytes}");
        assert_eq!(found, written);
        assert_eq!((found.seq, found.store, found.records), (7, STORE, count as u64));
    }
}

#[test]
fn golden_bytes() {
    let disk = SimDisk::new();
    write(&disk, &[(Bytes::from_static(b"k"), Bytes::from_static(b"vv"))]).unwrap();
    let mut bytes = Vec::new();
    disk.change(path(), |content| bytes.clone_from(content));
    let expected = [
        b"PSTATARC\x02\0\0\0\0\0\0\x000123456789abcdef\x07\0\0\0\0\0\0\0".as_slice(),
        &bytes[40..44],
        b"\0\0\0\0\x09\0\0\0\0\0\0\0",
        &bytes[56..60],
        b"\0\0\0\0",
        &bytes[64..68],
        b"\x09\0\0\0\x01\0\0\0\x01\0\x02\0\0\0kvv",
        &bytes[85..89],
        b"\x10\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0",
        &record::fingerprint(b"k", b"vv").to_le_bytes(),
    ];
    assert_eq!(bytes, expected.concat());
    assert_eq!(bytes[40..44], crc32fast::hash(&bytes[..40]).to_le_bytes());
    let of_block = |number: u64, rest: &[u8]| crc32fast::hash(&[&number.to_le_bytes(), rest].concat());
    assert_eq!(bytes[56..60], crc32fast::hash(&bytes[..56]).to_le_bytes());
    assert_eq!(bytes[64..68], of_block(0, &bytes[68..85]).to_le_bytes());
    assert_eq!(bytes[85..89], of_block(1, &bytes[89..]).to_le_bytes());
}

/// The format that earlier versions wrote.
#[test]
fn reads_format_1() {
    let disk = SimDisk::new();
    let records = records(4, 5);
    write(&disk, &records).unwrap();
    disk.change(path(), |bytes| {
        bytes.drain(HEADER_LEN_1..HEADER_LEN);
        bytes[8] = 1;
        let crc = crc32fast::hash(&bytes[..40]);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    });
    let (found, read) = read_back(&disk).unwrap();
    assert_eq!((found.seq, found.epoch), (7, None));
    assert!(read == records);
    // The blocks are found whichever byte of the format number is damaged.
    for damage in [None, Some(8), Some(HEADER_LEN_1 + 20)] {
        disk.change(path(), |bytes| bytes[damage.unwrap_or(20)] ^= 1);
        let mut found = 0;
        browse(&disk, path(), &mut |_, _| found += 1).unwrap();
        assert_eq!(found, 4, "{damage:?}");
        disk.change(path(), |bytes| bytes[damage.unwrap_or(20)] ^= 1);
    }
}

#[test]
fn detects_every_flipped_bit_and_every_truncation() {
    let disk = SimDisk::new();
    write(&disk, &records(4, 5)).unwrap();
    let mut sound = Vec::new();
    disk.change(path(), |content| sound.clone_from(content));
    for at in 0..sound.len() {
        disk.change(path(), |content| {
            content.clone_from(&sound);
            content[at] ^= 1 << (at % 8);
        });
        assert!(read_back(&disk).is_err(), "byte {at}");
        disk.change(path(), |content| *content = sound[..at].to_vec());
        assert!(read_back(&disk).unwrap_err().is_corrupt(), "cut at {at}");
    }
    disk.change(path(), |content| *content = [&sound[..], &[0]].concat());
    assert!(read_back(&disk).unwrap_err().to_string().contains("there is data after its end"));
}

#[test]
fn detects_swapped_blocks() {
    let disk = SimDisk::new();
    // Two records per block, so that all blocks have the same length.
    let half = vec![(Bytes::from_static(b"k"), Bytes::from(vec![1; 200_000])); 6];
    write(&disk, &half).unwrap();
    let block = BLOCK_HEAD_LEN + 2 * (6 + 1 + 200_000);
    disk.change(path(), |content| {
        let first = content[HEADER_LEN..HEADER_LEN + block].to_vec();
        content[HEADER_LEN + block..HEADER_LEN + 2 * block].copy_from_slice(&first);
    });
    assert!(read_back(&disk).is_err());
}

/// Under any fault, a file under the final name is complete, and it exists once `finish` has
/// returned.
#[test]
fn is_complete_or_absent() {
    let healthy = SimDisk::new();
    write(&healthy, &records(3000, 300)).unwrap();
    for at in 1..=healthy.operations() + 1 {
        for survives in
            [Survives::Nothing, Survives::Everything, Survives::Chance(at), Survives::Chance(at + 99)]
        {
            let disk = SimDisk::new();
            disk.plan(Some(Plan { at, what: Fault::PowerOff }));
            let answered = write(&disk, &records(3000, 300)).is_ok();
            disk.lose_power(survives);
            if answered || disk.open(path()).is_ok() {
                assert_eq!(read_back(&disk).unwrap().0.records, 3000, "{at} {survives:?}");
            }
        }
    }
}
