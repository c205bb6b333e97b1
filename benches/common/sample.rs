//! The measured state: processes with typical items.

use procstate::proto::{State, Status, Work};
use procstate::{ImportMode, Params, Process, Store};

/// The process of the measured calls.
pub const PROCESS: &str = "p";

/// An import is one commit, which may have 256 MiB.
const PROCESS_ITEMS_MAX: usize = 1_000_000;

pub fn item_name(n: usize) -> String {
    format!("project-{n:07}")
}

pub fn params() -> Params {
    Params::new().int("keysPerAccount", 8).string("region", "eu")
}

pub fn process(name: &str, items: usize) -> Process {
    let status = Status { state: State::New.into(), ..Status::default() };
    let work = Work { params: Some(params()), status: Some(status), ..Work::default() };
    Process {
        process_name: name.to_owned(),
        active_work: (0..items).map(|n| (item_name(n), work.clone())).collect(),
        ..Process::default()
    }
}

/// Fills a store with this many items, up to a million of them in [`PROCESS`] and the rest in
/// others.
pub fn fill(store: &Store, items: usize) {
    for first in (0..items).step_by(PROCESS_ITEMS_MAX) {
        let name =
            if first == 0 { PROCESS.to_owned() } else { format!("{PROCESS}-{}", first / PROCESS_ITEMS_MAX) };
        store.import(process(&name, PROCESS_ITEMS_MAX.min(items - first)), ImportMode::New).unwrap();
    }
}
