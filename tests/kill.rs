//! Kills a program with SIGKILL at random moments: the reopened store has everything acknowledged,
//! and nothing is torn.
//!
//! The victim is this test program itself. It prints each acknowledgement; its output is the
//! oracle. Its store is so small that checkpoints and snapshots are always in progress, and
//! sometimes its index is deleted before it starts, so that rebuilding is killed too. Long run:
//! `PROCSTATE_KILLS=10000 cargo test --release --test kill`.

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{any_verify, check, eager, from_env, small};
use procstate::{Claim, Instance, Origin, Params, Run, Store, WorkItem};

const FOLDER: &str = "PROCSTATE_TEST_VICTIM";

/// The threads that register work, whose commits share writes and syncs.
const REGISTRARS: usize = 4;

/// The number of items per thread.
const NAMES: u64 = 3;

/// The last acknowledged value of each promise.
type Acknowledged = BTreeMap<String, u64>;

#[test]
fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = small().verify(any_verify()).open(folder).unwrap();
    let process = store.process("p").unwrap();
    process.register("hot", Params::new()).unwrap();
    std::thread::scope(|scope| {
        for registrar in 0..REGISTRARS {
            let store = &store;
            scope.spawn(move || register_for_ever(store, registrar));
        }
        scope.spawn(|| run_for_ever(&store));
    });
}

fn register_for_ever(store: &Store, registrar: usize) {
    let process = store.process("p").unwrap();
    let whole = process.snapshot().unwrap();
    let own = format!("w{registrar}-");
    let of_own = whole.active_work.iter().filter(|(name, _)| name.starts_with(&own));
    let first = of_own.filter_map(|(_, work)| work.params.as_ref()?.get_int("n")).max();
    for n in first.unwrap_or(0) + 1.. {
        let name = format!("{own}{}", n as u64 % NAMES);
        process
            .register(&name, Params::new().int("n", n).string("pad", "x".repeat(n as usize % 9000)))
            .unwrap();
        acknowledge(&name, n as u64);
    }
}

fn run_for_ever(store: &Store) {
    let process = store.process("p").unwrap();
    loop {
        let Claim::Won(mut run) = process.claim_with(&Instance::new(), &eager()).unwrap() else {
            panic!("no other instance holds the process")
        };
        acknowledge("claim", run.token());
        // A resumed run may have completed it; items that it did not begin come first.
        let Some(mut work) = hot(&mut run) else {
            run.finish().unwrap();
            continue;
        };
        for _ in 0..20 {
            work.add_stat("n", 1.0);
            let _ = work.progress().unwrap();
            acknowledge("progress", run.status().stats["work.n"] as u64);
        }
        drop(work);
        while run.next_work().unwrap().is_some() {}
        let status = run.finish().unwrap();
        acknowledge("finish", status.stats["work.n"] as u64);
    }
}

fn hot(run: &mut Run) -> Option<WorkItem> {
    std::iter::from_fn(|| run.next_work().unwrap()).find(|work| work.name() == "hot")
}

/// One write per line: what is printed was acknowledged.
fn acknowledge(what: &str, n: u64) {
    std::io::stdout().write_all(format!("\n@{what} {n}\n").as_bytes()).unwrap();
}

/// When a victim is killed.
#[derive(Debug)]
enum Moment {
    /// After this long from the start: during creation or opening of the store, or later.
    After(Duration),
    /// This long after that many acknowledgements.
    Told(usize, Duration),
}

/// Starts the victim and kills it; returns its acknowledgements.
fn kill_at(folder: &Path, moment: &Moment) -> Acknowledged {
    let mut victim = common::victim(FOLDER, folder).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = victim.stdout.take().unwrap();
    let lines = AtomicUsize::new(0);
    let text = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(stdout, &lines));
        let delay = match moment {
            Moment::After(delay) => *delay,
            Moment::Told(count, delay) => {
                let give_up = Instant::now() + Duration::from_secs(20);
                while lines.load(Ordering::Relaxed) < *count && Instant::now() < give_up {
                    std::thread::sleep(Duration::from_micros(200));
                }
                *delay
            }
        };
        std::thread::sleep(delay);
        if victim.try_wait().unwrap().is_some() {
            panic!("the victim ended by itself: {}", stderr_of(victim));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        reader.join().unwrap()
    });
    acknowledged(&text)
}

/// Reads the whole output, counting lines.
fn read_all(mut input: impl Read, lines: &AtomicUsize) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match input.read(&mut buffer).unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            length => {
                text.extend_from_slice(&buffer[..length]);
                lines.fetch_add(
                    buffer[..length].iter().filter(|&&byte| byte == b'@').count(),
                    Ordering::Relaxed,
                );
            }
        }
    }
}

fn stderr_of(mut victim: std::process::Child) -> String {
    let mut text = String::new();
    victim.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn acknowledged(text: &str) -> Acknowledged {
    let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let parse = |line: &str| {
        let (what, n) = line.strip_prefix('@')?.split_once(' ')?;
        Some((what.to_owned(), n.parse().ok()?))
    };
    whole_lines.lines().filter_map(parse).collect()
}

/// What the next program found.
struct Found {
    replayed: bool,
    rebuilt: bool,
    has_snapshot: bool,
}

/// Opens the store as the next program would, and checks its promises.
fn inspect(folder: &Path, told: &Acknowledged, context: &str) -> Found {
    let store = small().open(folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&store);
    let process = store.process("p").unwrap();
    let stats = store.stats().unwrap();
    let found = Found {
        replayed: store.open_report().replayed > 0,
        rebuilt: store.open_report().rebuilt.is_some(),
        has_snapshot: stats.snapshot_seq > 0,
    };
    if !process.exists().unwrap() {
        assert!(told.is_empty(), "{context}: {told:?} was acknowledged and nothing is there");
        return found;
    }
    let whole = process.snapshot().unwrap();
    for (name, n) in told.iter().filter(|(name, _)| name.starts_with('w')) {
        let params = whole.active_work[name].params.as_ref().unwrap();
        let found = params.get_int("n").unwrap() as u64;
        assert!(found >= *n, "{context}: {name} is back at {found}, and {n} was acknowledged");
        assert_eq!(params.get_string("pad").unwrap().len() as u64, found % 9000, "{context}: torn");
    }
    let promised = |what: &str| told.get(what).copied().unwrap_or_default();
    if let Some(status) = &whole.process_status {
        let of_run = status.stats.get("work.n").copied().unwrap_or_default();
        let total = whole.aggregate_stats.get("work.n").copied().unwrap_or_default();
        let runs = whole.aggregate_stats.get("runs").copied().unwrap_or_default();
        // A resumed run repeats the rest of its item, and counts both parts.
        assert!(total >= runs * 20.0, "{context}: totals without their run");
        let unfinished = status.finish_time.is_none();
        if unfinished && promised("finish") == 0 {
            assert!(of_run as u64 >= promised("progress"), "{context}: progress was lost");
        }
        // One commit writes the item and the run, so they never differ.
        let item = whole.active_work["hot"].status.as_ref().and_then(|status| status.stats.get("n"));
        if unfinished && of_run > 0.0 {
            assert_eq!(item.copied(), Some(of_run), "{context}: torn");
        }
        let token = match process.claim(&Instance::new()).unwrap() {
            Claim::Won(run) => {
                assert_eq!(matches!(run.origin(), Origin::Resumed { .. }), unfinished, "{context}");
                let token = run.token();
                run.hand_back().unwrap();
                token
            }
            other => panic!("{context}: a dead owner still holds the process: {other:?}"),
        };
        assert!(token > promised("claim"), "{context}: a fencing token came twice");
    }
    store.close().unwrap();
    found
}

#[test]
fn kills_at_any_moment_keep_all_promises() {
    let kills = from_env("PROCSTATE_KILLS").unwrap_or(250);
    let seed = from_env("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let (mut promises, mut replayed, mut rebuilt, mut snapshots) = (0, 0, 0, 0);
    for kill in 0..kills {
        // Sometimes a new store is started, so that creation is killed too.
        if kill % 20 == 0 {
            folder = tempfile::tempdir().unwrap();
        }
        let is_rebuilding = kill % 20 > 10 && kill % 3 == 0;
        if is_rebuilding {
            std::fs::remove_dir_all(folder.path().join("index")).unwrap();
        }
        let moment = if kill % 4 == 0 || is_rebuilding {
            Moment::After(Duration::from_micros(random.u64(0..25_000)))
        } else {
            Moment::Told(random.usize(0..150), Duration::from_micros(random.u64(0..2000)))
        };
        let context = format!("PROCSTATE_SEED={seed}, kill {kill}, {moment:?}");
        let told = kill_at(folder.path(), &moment);
        promises += told.len();
        let found = inspect(folder.path(), &told, &context);
        replayed += u64::from(found.replayed);
        rebuilt += u64::from(found.rebuilt);
        snapshots += u64::from(found.has_snapshot);
    }
    println!(
        "{kills} kills: {replayed} logs replayed, {rebuilt} indexes rebuilt, {snapshots} with a snapshot"
    );
    assert!(promises as u64 > kills, "too few writes were acknowledged: the test proves nothing");
    assert!(
        replayed * 4 > kills && rebuilt * 50 > kills && snapshots * 4 > kills,
        "the test hits too little"
    );
}
