//! A full disk is a clear error at any moment: acknowledged data stays readable, and the store can
//! be closed, and reopened once there is space.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{Mount, check, eager, ignored};
use procstate::{Claim, Durability, Error, Instance, Params, Store};

const DISK_BYTES: usize = 48 << 20;

/// The space left to an open store, in bytes, which runs out during different operations.
const LEFT: [u64; 7] = [0, 40 << 10, 200 << 10, 700 << 10, 2 << 20, 5 << 20, 9 << 20];

/// A small disk.
struct SmallDisk {
    mount: Mount,
    _image: Option<tempfile::TempDir>,
}

impl SmallDisk {
    fn tmpfs() -> Option<Self> {
        let size = format!("size={DISK_BYTES}");
        let mount = Mount::new(&["-t", "tmpfs", "-o", &size, "procstate"])?;
        Some(Self { mount, _image: None })
    }

    /// Creates an ext4 file system on a file.
    fn ext4() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(DISK_BYTES as u64).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image).output();
        match made {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("mkfs.ext4: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                ignored(&format!("this test needs mkfs.ext4 ({error})"));
                return None;
            }
        }
        let mount = Mount::new(&["-o", "loop", &image.to_string_lossy()])?;
        Some(Self { mount, _image: Some(folder) })
    }

    fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Fills the disk up to `left` bytes.
    fn fill(&self, left: u64) -> Ballast {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        let mut length = 0;
        for step in [1 << 20, 4096] {
            let zeroes = vec![0; step];
            while file.write_all(&zeroes).is_ok() {
                length += step as u64;
            }
            // Counts what a failed write has written.
            file.set_len(length).unwrap();
        }
        file.set_len(length.saturating_sub(left)).unwrap();
        file.sync_all().unwrap();
        Ballast { path }
    }
}

/// The file that fills a disk.
struct Ballast {
    path: PathBuf,
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The last acknowledged length of each item's parameter.
type Acknowledged = BTreeMap<String, usize>;

/// Writes until the disk is full, and records acknowledged writes.
type Writer = fn(&Store, &mut Acknowledged) -> Error;

fn register_until_full(store: &Store, acknowledged: &mut Acknowledged) -> Error {
    let process = store.process("p").unwrap();
    for n in 0..100_000 {
        let (name, length) = (format!("w{}", n % 150), 30_000 + n % 60_000);
        match process.register(&name, Params::new().string("s", "x".repeat(length))) {
            Ok(_) => drop(acknowledged.insert(name, length)),
            Err(error) => return error,
        }
    }
    panic!("the disk is never full");
}

/// Alternates buffered registrations and progress.
fn make_progress_until_full(store: &Store, acknowledged: &mut Acknowledged) -> Error {
    let process = store.process("p").unwrap().with_durability(Durability::Buffered);
    let mut write = || -> procstate::Result<()> {
        process.register("w0", Params::new().string("s", String::new()))?;
        acknowledged.insert("w0".to_owned(), 0);
        let Claim::Won(mut run) = process.claim_with(&Instance::new(), &eager())? else {
            panic!("no other instance holds the process")
        };
        let work = run.next_work()?.unwrap();
        for n in 0..2_000_000 {
            let _ = work.progress()?;
            if n % 5 == 0 {
                let (name, length) = (format!("v{}", n % 2000), 30_000 + n);
                process.register(&name, Params::new().string("s", "x".repeat(length % 60_000)))?;
                acknowledged.insert(name, length % 60_000);
            }
        }
        panic!("the disk is never full");
    };
    // Dropping the run tries to finish it, which fails.
    write().unwrap_err()
}

/// Checks that everything acknowledged is there; a failed write may be there too.
fn assert_whole(store: &Store, acknowledged: &Acknowledged, context: &str) {
    let process = store.process("p").unwrap();
    if acknowledged.is_empty() && !process.exists().unwrap() {
        return;
    }
    let whole = process.snapshot().unwrap();
    let mut others = 0;
    for (name, length) in acknowledged {
        let work = whole.active_work.get(name).unwrap_or_else(|| panic!("{context}: {name} is gone"));
        let found = work.params.as_ref().and_then(|params| params.get_string("s")).map(str::len);
        others += usize::from(found != Some(*length));
    }
    assert!(others <= 1, "{context}: {others} items are not as they were acknowledged");
    check(store);
}

fn assert_clear(error: &Error, context: &str) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    assert!(text.contains("No space left"), "{context}: {text}");
}

/// Fills up a store on a disk that has `left` bytes left.
fn fill_up(disk: &SmallDisk, left: u64, write: Writer, context: &str) {
    let folder = disk.path().join("state");
    let store = Store::open(&folder).unwrap();
    let mut acknowledged = Acknowledged::new();
    let ballast = disk.fill(left);
    assert_clear(&write(&store, &mut acknowledged), context);
    assert_whole(&store, &acknowledged, &format!("{context}, still open"));
    store.close().unwrap_or_else(|error| panic!("{context}: closing: {error}"));
    open_on_a_full_disk(&folder, &acknowledged, context);
    drop(ballast);
    let store = Store::open(&folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_whole(&store, &acknowledged, context);
    // It accepts writes again.
    store.process("p").unwrap().register("more", Params::new().string("s", "x".repeat(50_000))).unwrap();
    store.close().unwrap();
    let store = Store::open(&folder).unwrap();
    assert!(store.process("p").unwrap().snapshot().unwrap().active_work.contains_key("more"), "{context}");
    store.close().unwrap();
    fs::remove_dir_all(folder).unwrap();
}

/// Opening on a full disk works or reports the error, and does no harm.
fn open_on_a_full_disk(folder: &Path, acknowledged: &Acknowledged, context: &str) {
    match Store::open(folder) {
        Ok(store) => {
            assert_whole(&store, acknowledged, &format!("{context}, opened while full"));
            let _ = store.close();
        }
        Err(error) => assert_clear(&error, &format!("{context}, opened while full")),
    }
}

/// sled may hang where it should fail; a minute is enough.
fn within_a_minute(disk: SmallDisk, body: impl FnOnce(&SmallDisk) + Send + 'static) {
    let disk = Arc::new(disk);
    let (done, is_done) = mpsc::channel();
    let for_body = disk.clone();
    let thread = std::thread::spawn(move || {
        body(&for_body);
        let _ = done.send(());
    });
    let hangs = matches!(is_done.recv_timeout(Duration::from_secs(60)), Err(mpsc::RecvTimeoutError::Timeout));
    if hangs {
        disk.mount.detach();
        panic!("it hangs");
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn at_every_fill(disk: fn() -> Option<SmallDisk>) {
    let Some(disk) = disk() else { return };
    let writers: [(&str, Writer); 2] =
        [("registering", register_until_full), ("making progress", make_progress_until_full)];
    within_a_minute(disk, move |disk| {
        for left in LEFT {
            for (what, write) in writers {
                fill_up(disk, left, write, &format!("{what} with {left} bytes left"));
            }
        }
    });
}

#[test]
fn a_full_ext4_loses_nothing_acknowledged() {
    at_every_fill(SmallDisk::ext4);
}

#[test]
fn a_full_tmpfs_loses_nothing_acknowledged() {
    at_every_fill(SmallDisk::tmpfs);
}

/// Without space from the start, no store is created.
#[test]
fn a_store_cannot_be_created_on_a_full_disk() {
    let Some(disk) = SmallDisk::ext4() else { return };
    within_a_minute(disk, move |disk| {
        for left in [0, 4 << 10, 12 << 10, 60 << 10] {
            let folder = disk.path().join("state");
            let ballast = disk.fill(left);
            if let Err(error) = Store::open(&folder) {
                assert_clear(&error, &format!("{left} bytes left"));
            }
            drop(ballast);
            Store::open(&folder).unwrap().close().unwrap();
            fs::remove_dir_all(folder).unwrap();
        }
    });
}
