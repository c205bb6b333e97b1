//! Prepared stores. Each is built by a separate program, because the heap that it leaves (a million
//! small free blocks) would slow down every measured allocation.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use procstate::{Durability, ImportMode, ProcessHandle, Store, StoreBuilder};
use tempfile::TempDir;

use super::calls::{self, Hot, Ready};
use super::sample;

const ROLE: &str = "PROCSTATE_BENCH_ROLE";
const FOLDER: &str = "PROCSTATE_BENCH_FOLDER";
const ITEMS: &str = "PROCSTATE_BENCH_ITEMS";

/// The amount of log below which no snapshot is due.
const SNAPSHOT_LOG_BYTES_MIN: u64 = 64 << 20;

/// The last updates of a killed program, which are only in the log.
const UPDATES_BEFORE_KILL: usize = 100_000;

/// How the program that builds a store ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Close,
    /// By SIGKILL.
    Kill,
}

impl End {
    fn role(self) -> &'static str {
        match self {
            Self::Close => "build and close",
            Self::Kill => "build and be killed",
        }
    }
}

/// Returns the purpose for which another benchmark started this program; `None` in the first one.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Returns the folder given to it.
pub fn role_folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("comes with a role").into()
}

/// Returns the number of items that the store has or will have.
pub fn role_items() -> usize {
    std::env::var(ITEMS).expect("comes with a role").parse().unwrap()
}

/// Returns a command that starts this program in another role for a store's folder.
pub fn in_role(role: &str, folder: &Path, items: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env(FOLDER, folder).env(ITEMS, items.to_string());
    command
}

/// Builds a store with this many items; returns its folder.
pub fn build(items: usize, end: End) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = in_role(end.role(), folder.path(), items).stdout(Stdio::piped()).spawn().unwrap();
    // One byte when it is ready, or nothing when it ends.
    let mut ready = [0];
    let said = builder.stdout.as_mut().unwrap().read(&mut ready).unwrap();
    if end == End::Kill {
        assert_eq!(said, 1, "the builder failed");
        builder.kill().unwrap();
    }
    let status = builder.wait().unwrap();
    assert!(end == End::Kill || status.success(), "the builder failed");
    folder
}

/// Builds a store if this program was started for that.
pub fn build_if_told() -> bool {
    let role = role();
    let told = [End::Close, End::Kill].into_iter().find(|end| role.as_deref() == Some(end.role()));
    let Some(end) = told else { return false };
    let store = Store::open(role_folder()).unwrap();
    sample::fill(&store, role_items());
    settle(&store);
    match end {
        End::Close => store.close().unwrap(),
        End::Kill => await_kill(&store),
    }
    true
}

/// Waits for the snapshot that is due after a large import.
pub fn settle(store: &Store) {
    loop {
        let stats = store.stats().unwrap();
        if stats.log_bytes < stats.snapshot_bytes.max(SNAPSHOT_LOG_BYTES_MIN) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn await_kill(store: &Store) {
    let process = store.process(sample::PROCESS).unwrap();
    let mut hot = Hot::claim(&process, Durability::Buffered);
    (0..UPDATES_BEFORE_KILL).for_each(|_| hot.update());
    let mut stdout = std::io::stdout();
    stdout.write_all(b"r").and_then(|()| stdout.flush()).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// A store for calls.
pub struct Opened {
    pub store: Store,
    _folder: Option<TempDir>,
}

impl Opened {
    pub fn on_disk(items: usize) -> Self {
        Self::with(items, Store::builder())
    }

    pub fn with(items: usize, builder: StoreBuilder) -> Self {
        let folder = build(items, End::Close);
        Self { store: builder.open(folder.path()).unwrap(), _folder: Some(folder) }
    }

    pub fn in_memory(items: usize) -> Self {
        let store = Store::in_memory();
        sample::fill(&store, items);
        Self { store, _folder: None }
    }

    /// Creates a store with `count` processes of one item each.
    pub fn with_processes(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for n in 0..count {
            store.import(sample::process(&format!("process-{n}"), 1), ImportMode::New).unwrap();
        }
        Self { store, _folder: Some(folder) }
    }

    /// Returns an update of each process.
    pub fn updates(&self, durability: Durability) -> Vec<Ready> {
        let names = self.store.processes().unwrap();
        let update = |name| calls::update(&self.store.process(name).unwrap(), durability);
        names.iter().map(|name| update(name)).collect()
    }

    pub fn process(&self) -> ProcessHandle {
        self.store.process(sample::PROCESS).unwrap()
    }
}
