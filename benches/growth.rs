//! How the costs of a store grow with the number of its items: disk and memory at rest, opening,
//! and the bytes written per update.
//!
//!     cargo bench --bench growth                1,000 to 100,000 items, 2 minutes
//!     PROCSTATE_ITEMS=10000000 PROCSTATE_UPDATES=8000000 cargo bench --bench growth
//!
//! `PROCSTATE_ITEMS` is the number of items of the largest of three stores, `PROCSTATE_UPDATES` the
//! number of updates of each kind. A store of 10,000,000 items takes 5 GiB in `TMPDIR`, twice.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::calls::{self, Call, Hot};
use common::stores::{self, End};
use common::table::{self, digits};
use common::{is_test, resources, sample};
use procstate::{Durability, Store};
use tempfile::TempDir;

const OPEN_CHECKED: &str = "open";
const OPEN_UNCHECKED: &str = "open unchecked";

/// The number of updates of an item before the next one.
const UPDATES_OF_ITEM: u64 = 1000;

/// The time limit of each kind of update.
const WRITING_TIME_MAX: Duration = Duration::from_secs(60);

fn main() {
    common::main(|| match stores::role().as_deref() {
        Some(OPEN_CHECKED) => open_here(true),
        Some(OPEN_UNCHECKED) => open_here(false),
        _ => measure(),
    });
}

/// A store of some size.
struct Grown {
    items: usize,
    closed: TempDir,
    killed: TempDir,
}

fn measure() {
    let most = common::setting("PROCSTATE_ITEMS").unwrap_or(100_000) as usize;
    let sizes = if is_test() { vec![1000] } else { vec![most / 100, most / 10, most] };
    println!("{}", resources::machine());
    let build = |items| Grown {
        items,
        closed: stores::build(items, End::Close),
        killed: stores::build(items, End::Kill),
    };
    let stores: Vec<Grown> = sizes.into_iter().map(build).collect();
    at_rest(&stores);
    opening(&stores);
    writing(&stores);
}

fn at_rest(stores: &[Grown]) {
    table::head(&[
        "items",
        "index, bytes an item",
        "snapshot, bytes an item",
        "log files",
        "disk in all",
        "memory, opened",
        "memory, at most while opened",
    ]);
    for Grown { items, closed, .. } in stores {
        let bytes = |name| resources::disk_bytes(&closed.path().join(name));
        let an_item = |bytes: u64| digits(bytes as f64 / *items as f64);
        let opened = open(closed.path(), *items, OPEN_CHECKED, End::Close);
        table::row(&[
            table::count(*items as u64),
            an_item(bytes("index")),
            an_item(bytes("snapshots")),
            table::mib(bytes("wal")),
            table::mib(resources::disk_bytes(closed.path())),
            table::mib(opened.memory),
            table::mib(opened.memory_max),
        ]);
    }
}

fn opening(stores: &[Grown]) {
    table::head(&[
        "items",
        "opened after close",
        "unchecked",
        "after SIGKILL",
        "unchecked",
        "replayed",
        "after the loss of the index",
        "memory at most then",
    ]);
    for Grown { items, closed, killed } in stores {
        let [close, close_unchecked] =
            [OPEN_CHECKED, OPEN_UNCHECKED].map(|role| open(closed.path(), *items, role, End::Close));
        let [kill, kill_unchecked] =
            [OPEN_CHECKED, OPEN_UNCHECKED].map(|role| open(killed.path(), *items, role, End::Kill));
        std::fs::remove_dir_all(closed.path().join("index")).unwrap();
        let loss = open(closed.path(), *items, OPEN_CHECKED, End::Close);
        table::row(&[
            table::count(*items as u64),
            table::time(close.took),
            table::time(close_unchecked.took),
            table::time(kill.took),
            table::time(kill_unchecked.took),
            table::count(kill.replayed),
            table::time(loss.took),
            table::mib(loss.memory_max),
        ]);
    }
}

/// The resources with which a separate program opened a store.
struct OpenedThere {
    took: Duration,
    replayed: u64,
    memory: u64,
    memory_max: u64,
}

/// Opens the store in a separate program, which then ends.
fn open(folder: &Path, items: usize, role: &str, end: End) -> OpenedThere {
    let mut command = stores::in_role(role, folder, items);
    let mut opener = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(opener.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if end == End::Kill {
        opener.kill().unwrap();
    }
    drop(opener.stdin.take());
    opener.wait().unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [nanos, replayed, memory, memory_max] = numbers[..] else { panic!("it said {line:?}") };
    OpenedThere { took: Duration::from_nanos(nanos), replayed, memory, memory_max }
}

/// Opens the store in the given folder, prints its measurements, and closes it when told.
fn open_here(verify: bool) {
    let began = Instant::now();
    let store = Store::builder().verify(verify).open(stores::role_folder()).unwrap();
    let nanos = began.elapsed().as_nanos();
    let replayed = store.open_report().replayed;
    println!("{nanos} {replayed} {} {}", resources::memory_bytes(), resources::memory_bytes_max());
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    store.close().unwrap();
}

fn writing(stores: &[Grown]) {
    table::head(&[
        "items",
        "updates",
        "of",
        "a second",
        "logged, bytes each",
        "checkpoints, bytes each",
        "snapshots, bytes each",
        "all, of what was logged",
        "checkpoints",
        "snapshots",
    ]);
    for Grown { items, closed, .. } in stores {
        let store = Store::open(closed.path()).unwrap();
        for (name, kind) in [
            ("one item, again and again", again_and_again as fn(&Store, usize) -> Box<dyn FnMut()>),
            ("item after item, begun and ended", one_after_another),
            ("an item at random, parameters", at_random),
        ] {
            let mut update = kind(&store, *items);
            write(*items, name, &store, &mut update);
        }
        store.close().unwrap();
    }
}

fn again_and_again(store: &Store, _items: usize) -> Box<dyn FnMut()> {
    let process = store.process(sample::PROCESS).unwrap();
    let mut hot = Some(Hot::claim(&process, Durability::Buffered));
    let mut updates = 0;
    Box::new(move || {
        hot.as_mut().unwrap().update();
        updates += 1;
        if updates % UPDATES_OF_ITEM == 0 {
            hot = hot.take().map(|hot| hot.next(&process));
        }
    })
}

fn one_after_another(store: &Store, _items: usize) -> Box<dyn FnMut()> {
    Call::Item.on(&store.process(sample::PROCESS).unwrap())
}

fn at_random(store: &Store, items: usize) -> Box<dyn FnMut()> {
    let names = store.processes().unwrap();
    let processes = names.iter().map(|name| store.process(name).unwrap());
    let processes: Vec<_> = processes.map(|process| process.with_durability(Durability::Buffered)).collect();
    // Seeded, so that each run writes the same.
    let mut random = fastrand::Rng::with_seed(7);
    let mut n = 0;
    Box::new(move || {
        n += 1;
        let process = &processes[random.usize(..processes.len())];
        calls::reparameterise(process, random.usize(..items / processes.len()), n);
    })
}

/// The bytes written since the store was opened.
struct Written {
    logged: u64,
    /// By the whole program.
    all: u64,
    /// By this thread, which appends to the log, and the one that prepares segments.
    to_log: u64,
    snapshots: u64,
    checkpoints: u64,
}

impl Written {
    fn by(store: &Store) -> Self {
        let stats = store.stats().unwrap();
        Self {
            logged: stats.log_written_bytes,
            all: resources::written_bytes(),
            to_log: resources::written_bytes_here() + resources::written_bytes_of("procstate-sync"),
            snapshots: stats.snapshots,
            checkpoints: stats.checkpoints,
        }
    }
}

fn write(items: usize, name: &str, store: &Store, update: &mut dyn FnMut()) {
    let wanted = if is_test() { 2000 } else { common::setting("PROCSTATE_UPDATES").unwrap_or(1_000_000) };
    let before = Written::by(store);
    let began = Instant::now();
    let mut updates = 0;
    while updates < wanted && (updates % 1000 > 0 || began.elapsed() < WRITING_TIME_MAX) {
        update();
        updates += 1;
    }
    let took = began.elapsed();
    stores::settle(store);
    let after = Written::by(store);
    let logged = after.logged - before.logged;
    let snapshots = (after.snapshots - before.snapshots) * store.stats().unwrap().snapshot_bytes;
    let checkpoints = (after.all - before.all) - (after.to_log - before.to_log) - snapshots;
    let each = |bytes: u64| digits(bytes as f64 / updates as f64);
    table::row(&[
        table::count(items as u64),
        table::count(updates),
        name.to_owned(),
        digits(updates as f64 / took.as_secs_f64()),
        each(logged),
        each(checkpoints),
        each(snapshots),
        format!("{:.2} x", (logged + checkpoints + snapshots) as f64 / logged as f64),
        (after.checkpoints - before.checkpoints).to_string(),
        (after.snapshots - before.snapshots).to_string(),
    ]);
}
