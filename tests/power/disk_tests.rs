//! Tests that the disk keeps what it must keep, and may lose the rest.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::can_mount;
use super::disk::{Disk, ROOT, SECTOR, Survival};
use super::mount::{Mounted, Power};

const MIXED: [Survival; 3] =
    [Survival::Cached { keep: 0.5 }, Survival::Any { keep: 0.5 }, Survival::Torn { keep: 0.5 }];

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn content(disk: &mut Disk, file: &str) -> Option<Vec<u8>> {
    let inode = disk.lookup(ROOT, name(file)).ok()?;
    Some(disk.read(inode, 0, usize::MAX / 2).unwrap().to_owned())
}

/// Returns the content of a file after each of many cuts.
fn after_cuts(disk: &Disk, survival: Survival, file: &str) -> Vec<Option<Vec<u8>>> {
    let mut random = fastrand::Rng::with_seed(5);
    (0..1000).map(|_| content(&mut disk.after_power_cut(survival, &mut random), file)).collect()
}

/// Creates a disk with a durable file of `sectors` sectors of `byte`.
fn disk_with_file(sectors: u64, byte: u8) -> (Disk, u64) {
    let mut disk = Disk::new();
    let inode = disk.create(ROOT, name("f")).unwrap();
    disk.write(inode, 0, &vec![byte; (sectors * SECTOR) as usize]).unwrap();
    disk.sync(inode).unwrap();
    disk.sync(ROOT).unwrap();
    (disk, inode)
}

#[test]
fn synced_data_always_survives() {
    let (mut disk, inode) = disk_with_file(4, b'a');
    disk.write(inode, 100, b"newer").unwrap();
    disk.sync(inode).unwrap();
    let expected = content(&mut disk, "f");
    disk.write(inode, SECTOR * 4, b"more").unwrap();
    for survival in MIXED.into_iter().chain([Survival::Nothing, Survival::Everything]) {
        for found in after_cuts(&disk, survival, "f") {
            assert_eq!(found.unwrap()[..SECTOR as usize * 4], expected.as_ref().unwrap()[..], "{survival:?}");
        }
    }
}

#[test]
fn unsynced_sectors_survive_independently() {
    let (mut disk, inode) = disk_with_file(4, b'a');
    disk.write(inode, 0, &[b'b'; 4 * SECTOR as usize]).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0].as_ref().unwrap()[..], [b'a'; 2048]);
    assert_eq!(after_cuts(&disk, Survival::Everything, "f")[0].as_ref().unwrap()[..], [b'b'; 2048]);
    for survival in [Survival::Cached { keep: 0.5 }, Survival::Any { keep: 0.5 }] {
        let mut seen = std::collections::BTreeSet::new();
        for found in after_cuts(&disk, survival, "f") {
            let found = found.unwrap();
            let sectors = found.chunks(SECTOR as usize);
            assert!(
                sectors.clone().all(|sector| sector.iter().all(|byte| *byte == sector[0])),
                "{survival:?}"
            );
            seen.insert(sectors.map(|sector| sector[0]).collect::<Vec<u8>>());
        }
        assert_eq!(seen.len(), 16, "{survival:?}: all combinations of 4 sectors");
    }
    let is_torn = |found: &Option<Vec<u8>>| {
        found
            .as_ref()
            .unwrap()
            .chunks(SECTOR as usize)
            .any(|sector| sector.iter().any(|byte| *byte != sector[0]))
    };
    assert!(after_cuts(&disk, Survival::Torn { keep: 0.5 }, "f").iter().any(is_torn));
}

/// A page cache holds one content per sector.
#[test]
fn a_cached_sector_keeps_the_order_of_writes() {
    let (mut disk, inode) = disk_with_file(1, b'-');
    disk.write(inode, 0, b"1").unwrap();
    disk.write(inode, 1, b"2").unwrap();
    let starts = |survival| {
        let found = after_cuts(&disk, survival, "f").into_iter();
        found.map(|found| found.unwrap()[..2].to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(starts(Survival::Cached { keep: 0.5 }), [b"--", b"1-", b"12"].map(|s| s.to_vec()).into());
    assert_eq!(starts(Survival::Any { keep: 0.5 }), [b"--", b"1-", b"12", b"-2"].map(|s| s.to_vec()).into());
}

#[test]
fn lengths_survive_either_way() {
    let (mut disk, inode) = disk_with_file(1, b'a');
    disk.write(inode, 600, b"end").unwrap();
    disk.set_length(inode, 10).unwrap();
    for survival in MIXED {
        let lengths: std::collections::BTreeSet<usize> =
            after_cuts(&disk, survival, "f").into_iter().map(|found| found.unwrap().len()).collect();
        assert_eq!(lengths, [10, 512, 603].into(), "{survival:?}");
    }
    disk.sync(inode).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0].as_deref(), Some(&[b'a'; 10][..]));
    // Truncated data does not come back.
    disk.set_length(inode, 20).unwrap();
    assert_eq!(content(&mut disk, "f").unwrap()[10..], [0; 10]);
}

#[test]
fn a_name_is_durable_with_its_folder_and_not_before() {
    let mut disk = Disk::new();
    let inode = disk.create(ROOT, name("f")).unwrap();
    disk.write(inode, 0, b"content").unwrap();
    disk.sync(inode).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0], None);
    for survival in MIXED {
        let found = after_cuts(&disk, survival, "f");
        assert!(found.contains(&None) && found.contains(&Some(b"content".to_vec())), "{survival:?}");
    }
    disk.sync(ROOT).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0].as_deref(), Some(&b"content"[..]));
    disk.remove(ROOT, name("f")).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0].as_deref(), Some(&b"content"[..]));
    disk.sync(ROOT).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0], None);
}

#[test]
fn a_durable_name_does_not_imply_durable_content() {
    let mut disk = Disk::new();
    let inode = disk.create(ROOT, name("f")).unwrap();
    disk.write(inode, 0, b"content").unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(after_cuts(&disk, Survival::Nothing, "f")[0].as_deref(), Some(&b""[..]));
}

#[test]
fn a_rename_happens_as_a_whole_or_not_at_all() {
    let (mut disk, _) = disk_with_file(1, b'a');
    let newer = disk.create(ROOT, name("new")).unwrap();
    disk.write(newer, 0, b"newer").unwrap();
    disk.sync(newer).unwrap();
    disk.sync(ROOT).unwrap();
    disk.rename(ROOT, name("new"), ROOT, name("f")).unwrap();
    for survival in MIXED {
        let mut random = fastrand::Rng::with_seed(5);
        let mut renamed = 0;
        for _ in 0..100 {
            let mut cut = disk.after_power_cut(survival, &mut random);
            let is_renamed = content(&mut cut, "f").unwrap() == b"newer";
            assert_eq!(content(&mut cut, "new").is_none(), is_renamed, "{survival:?}");
            renamed += u32::from(is_renamed);
        }
        assert!((20..80).contains(&renamed), "{survival:?}: {renamed} of 100");
    }
}

/// Changes arrive as programs make them, and none after the cut.
#[test]
fn the_mounted_disk_supports_file_operations() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let power = Power::new(Disk::new());
    let mounted = Mounted::new(&power, folder.path()).unwrap();
    let path = folder.path().join("a/b");
    fs::create_dir_all(&path).unwrap();
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path.join("f")).unwrap();
    file.write_all(&[7; 3_000_000]).unwrap();
    file.write_all_at(b"within", 1_000_000).unwrap();
    file.set_len(2_000_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 2_000_000);
    file.seek(SeekFrom::Start(999_999)).unwrap();
    let mut found = Vec::new();
    file.read_to_end(&mut found).unwrap();
    assert_eq!((found.len(), &found[..8]), (1_000_001, &b"\x07within\x07"[..]));
    file.sync_data().unwrap();
    fs::write(path.join("old"), "old").unwrap();
    fs::rename(path.join("old"), path.join("new")).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    assert!(fs::remove_dir(&path).is_err(), "it is not empty");
    fs::remove_dir(path.join("empty")).unwrap();
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["f", "new"]);
    fs::remove_file(path.join("f")).unwrap();
    assert!(!path.join("f").exists());
    // It remains usable through open descriptors.
    assert_eq!(file.metadata().unwrap().len(), 2_000_000);
    for folder in [folder.path(), &folder.path().join("a"), &path] {
        File::open(folder).unwrap().sync_all().unwrap();
    }
    power.cut();
    assert_eq!(fs::read(path.join("new")).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    drop(file);
    drop(mounted);
    let (disk, events) = power.take();
    let cut = disk.after_power_cut(Survival::Nothing, &mut fastrand::Rng::new());
    cut.write_to(folder.path()).unwrap();
    assert_eq!(fs::read(path.join("new")).unwrap(), b"", "its name was synced, its content was not");
    assert_eq!(events.iter().filter(|event| event.what == "sync").count(), 4);
}
