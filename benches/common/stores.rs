//! Stores that are ready. Each is built by a program of its own: what that leaves in the
//! heap (a million small free pieces) would slow down every allocation of what is
//! measured.

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

/// With less log than this no snapshot is due.
const SNAPSHOT_LOG_BYTES_MIN: u64 = 64 << 20;

/// What a killed program had written last, and only to the log.
const UPDATES_BEFORE_KILL: usize = 100_000;

/// How the program ends that builds a store.
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

/// What this program was started for by another benchmark; `None` in the first one.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The folder that it was given.
pub fn role_folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("comes with a role").into()
}

/// How many items the store there has, or is to have.
pub fn role_items() -> usize {
    std::env::var(ITEMS).expect("comes with a role").parse().unwrap()
}

/// This program once more, to do something else with the folder of a store.
pub fn in_role(role: &str, folder: &Path, items: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env(FOLDER, folder).env(ITEMS, items.to_string());
    command
}

/// The folder of a store with so many items.
pub fn build(items: usize, end: End) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = in_role(end.role(), folder.path(), items).stdout(Stdio::piped()).spawn().unwrap();
    // A byte when it is ready, or nothing when it ends.
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

/// Builds a store if that is what this program was started for.
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

/// Waits for the snapshot that a large import makes due.
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

/// A store to make calls on.
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

    /// One with `count` processes, each with one item.
    pub fn with_processes(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for n in 0..count {
            store.import(sample::process(&format!("process-{n}"), 1), ImportMode::New).unwrap();
        }
        Self { store, _folder: Some(folder) }
    }

    /// An update of each process.
    pub fn updates(&self, durability: Durability) -> Vec<Ready> {
        let names = self.store.processes().unwrap();
        let update = |name| calls::update(&self.store.process(name).unwrap(), durability);
        names.iter().map(|name| update(name)).collect()
    }

    pub fn process(&self) -> ProcessHandle {
        self.store.process(sample::PROCESS).unwrap()
    }
}
