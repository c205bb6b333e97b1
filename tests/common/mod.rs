//! Shared parts of the integration tests: a temporary store for each engine, which is checked when
//! a test ends.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

#[cfg(feature = "etcd")]
pub mod etcd;

use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use procstate::{
    Claim, ClaimOptions, Instance, ManualClock, ProcessHandle, Run, Store, StoreBuilder, Verify,
};
use tempfile::TempDir;

/// The engine of a test store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    Memory,
    Disk,
    #[cfg(feature = "etcd")]
    Etcd,
}

/// Returns options of a store so small that checkpoints and snapshots are always in progress, and
/// copies are cheap.
pub fn small() -> StoreBuilder {
    Store::builder()
        .segment_bytes(16 << 10)
        .memtable_bytes(64 << 10)
        .snapshot_log_bytes(64 << 10)
        .sync_interval(Duration::from_millis(5))
}

/// Returns when a store is verified, at random.
pub fn any_verify() -> Verify {
    if fastrand::bool() { Verify::InBackground } else { Verify::BeforeOpening }
}

/// Options of a separate store on an etcd member that all tests of a program share; `None`,
/// reported as IGNORED, if etcd is not installed.
///
/// Progress is written at once, so that tests can read it.
#[cfg(feature = "etcd")]
pub fn etcd_options() -> Option<procstate::EtcdOptions> {
    etcd::shared().map(|member| options(member, etcd::unused_prefix()))
}

#[cfg(feature = "etcd")]
fn options(cluster: &etcd::Cluster, prefix: String) -> procstate::EtcdOptions {
    procstate::EtcdOptions::new(cluster.endpoints()).prefix(prefix).coalesce(false)
}

/// Options of a store on an etcd member lent to one test at a time.
#[cfg(feature = "etcd")]
pub struct Lent {
    _member: etcd::Lent,
    pub options: procstate::EtcdOptions,
}

#[cfg(feature = "etcd")]
impl Lent {
    pub fn new() -> Option<Self> {
        let member = etcd::Lent::new()?;
        let options = options(&member, member.prefix.clone());
        Some(Self { _member: member, options })
    }
}

/// Creates a store in memory, or in etcd if [`in_etcd_too`] started this program.
pub fn store(builder: StoreBuilder) -> Store {
    #[cfg(feature = "etcd")]
    if std::env::var_os(IN_ETCD).is_some() {
        return builder.connect(etcd_options().unwrap()).unwrap();
    }
    builder.in_memory()
}

#[cfg(feature = "etcd")]
const IN_ETCD: &str = "PROCSTATE_TEST_IN_ETCD";

/// Runs every test of this program again with stores in etcd.
#[cfg(feature = "etcd")]
pub fn in_etcd_too(this: &str) {
    if std::env::var_os(IN_ETCD).is_some() || !etcd::is_installed() {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--skip", this]).env(IN_ETCD, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Returns a command that restarts this program's test `victim`, to be killed later.
///
/// The variable `name` tells it the folder of its store. Its output is read.
pub fn victim(name: &str, folder: &Path) -> Command {
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", "victim", "--nocapture"]).env(name, folder).stdout(Stdio::piped());
    victim
}

/// Starts a victim that prints `@NUMBER` on a line of its own for what was acknowledged, and kills it
/// after so many of these lines and this delay. Returns the last number.
pub fn kill_after(name: &str, folder: &Path, lines: usize, delay: Duration) -> usize {
    let mut victim = victim(name, folder).spawn().unwrap();
    let stdout = BufReader::new(victim.stdout.take().unwrap());
    let said = stdout.lines().map(Result::unwrap);
    let mut told = said.filter_map(|line| line.strip_prefix('@')?.parse().ok());
    let acknowledged = told.by_ref().take(lines).last().unwrap_or(0);
    std::thread::sleep(delay);
    assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
    victim.kill().unwrap();
    victim.wait().unwrap();
    told.last().unwrap_or(acknowledged)
}

/// Reads a number from the environment: the length of a run, or the seed to repeat.
pub fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A temporary store.
pub struct TestStore {
    store: Option<Store>,
    folder: Option<TempDir>,
    #[cfg(feature = "etcd")]
    etcd: Option<Lent>,
    reopened: usize,
    pub clock: ManualClock,
}

impl TestStore {
    pub fn new(backing: Backing) -> Self {
        let clock = ManualClock::new("2026-01-01T10:00:00Z".parse().unwrap());
        let folder = (backing == Backing::Disk).then(|| tempfile::tempdir().unwrap());
        let mut test = Self {
            store: None,
            folder,
            #[cfg(feature = "etcd")]
            etcd: (backing == Backing::Etcd).then(|| Lent::new().unwrap()),
            reopened: 0,
            clock,
        };
        test.store = Some(test.open());
        test
    }

    /// Creates a store in etcd; `None`, reported as IGNORED, if etcd is not installed.
    #[cfg(feature = "etcd")]
    pub fn in_etcd() -> Option<Self> {
        etcd::is_installed().then(|| Self::new(Backing::Etcd))
    }

    fn builder(&self) -> StoreBuilder {
        small().clock(self.clock.clone())
    }

    fn open(&self) -> Store {
        #[cfg(feature = "etcd")]
        if let Some(lent) = &self.etcd {
            return self.builder().connect(&lent.options).unwrap();
        }
        match &self.folder {
            None => self.builder().in_memory(),
            Some(folder) => self.builder().open(folder.path().join("state")).unwrap(),
        }
    }

    /// Closes the store and reopens it, as a program restart would, sometimes after deleting its
    /// index.
    ///
    /// A store in memory is kept.
    pub fn reopen(&mut self) {
        #[cfg(feature = "etcd")]
        if self.etcd.is_some() {
            self.store.take().unwrap().close().unwrap();
            self.store = Some(self.open());
            return;
        }
        let Some(folder) = &self.folder else { return };
        self.store.take().unwrap().close().unwrap();
        self.reopened += 1;
        let is_lost = self.reopened.is_multiple_of(3);
        if is_lost {
            std::fs::remove_dir_all(folder.path().join("state/index")).unwrap();
        }
        let store = self.open();
        assert_eq!(store.open_report().rebuilt.is_some(), is_lost);
        self.store = Some(store);
    }

    pub fn is_in_etcd(&self) -> bool {
        #[cfg(feature = "etcd")]
        return self.etcd.is_some();
        #[cfg(not(feature = "etcd"))]
        false
    }

    pub fn is_on_disk(&self) -> bool {
        self.folder.is_some()
    }

    pub fn handle(&self, name: &str) -> ProcessHandle {
        self.process(name).unwrap()
    }

    /// Claims a process that must be free, due or not, without a progress interval.
    pub fn won(&self, name: &str) -> Run {
        won(&self.handle(name))
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub fn eager() -> ClaimOptions {
    ClaimOptions::new().force(true).progress_interval(Duration::ZERO)
}

pub fn won(process: &ProcessHandle) -> Run {
    match process.claim_with(&Instance::new(), &eager()).unwrap() {
        Claim::Won(run) => run,
        other => panic!("the claim was not won: {other:?}"),
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check(self);
        }
    }
}

/// Reads everything, and checks that no work is on two lists.
pub fn check(store: &Store) {
    for name in store.processes().unwrap() {
        let process = store.process(&name).unwrap();
        let whole = process.snapshot().unwrap();
        assert_eq!(whole.process_name, name);
        for work in whole.active_work.keys() {
            assert!(!whole.cleanup_work.contains_key(work), "{work:?} is active and cleanup");
            assert!(!whole.dropped_work.contains_key(work), "{work:?} is active and dropped");
        }
        for work in whole.cleanup_work.keys() {
            assert!(!whole.dropped_work.contains_key(work), "{work:?} is cleanup and dropped");
        }
        process.history().unwrap();
    }
}

/// Copies the files of a store, possibly open, as a kill would leave them.
pub fn copy_as_it_is(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_as_it_is(&path, &target);
        } else if !path.ends_with("LOCK") {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Reports that a test is ignored, bypassing the test harness, which hides the output of passing
/// tests.
pub fn ignored(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nIGNORED: {why}");
}

/// A mount that is removed on drop, even in a panic.
pub struct Mount {
    at: TempDir,
}

impl Mount {
    /// Mounts with `options` on a temporary folder; reports if that is not permitted.
    pub fn new(options: &[&str]) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(options).arg(at.path()).output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self { at }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        ignored(&format!("this test needs the right to mount ({why})"));
        None
    }

    pub fn path(&self) -> &Path {
        self.at.path()
    }

    /// Unmounts it, even if it is in use.
    pub fn detach(&self) {
        let _ = Command::new("umount").arg("-lq").arg(self.at.path()).status();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.detach();
    }
}

/// Defines tests for every engine: each takes a [`TestStore`].
#[macro_export]
macro_rules! on_every_engine {
    ($($(#[$attribute:meta])* fn $name:ident($store:ident: $type:ty) $body:block)*) => {
        $(fn $name($store: $type) $body)*

        mod memory {
            $($(#[$attribute])* #[test] fn $name() {
                super::$name($crate::common::TestStore::new($crate::common::Backing::Memory));
            })*
        }

        mod disk {
            $($(#[$attribute])* #[test] fn $name() {
                super::$name($crate::common::TestStore::new($crate::common::Backing::Disk));
            })*
        }

        #[cfg(feature = "etcd")]
        mod etcd {
            $($(#[$attribute])* #[test] fn $name() {
                if let Some(store) = $crate::common::TestStore::in_etcd() {
                    super::$name(store);
                }
            })*
        }
    };
}

/// Returns a manifest with this format number and a valid checksum.
pub fn of_format(manifest: &str, format: u32) -> String {
    let body: Vec<String> = manifest
        .lines()
        .filter(|line| !line.starts_with("crc32 "))
        .map(|line| if line.starts_with("format ") { format!("format {format}") } else { line.to_owned() })
        .collect();
    let body = body.join("\n") + "\n";
    format!("{body}crc32 {:08x}\n", crc32(body.as_bytes()))
}

/// CRC-32 (IEEE).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
