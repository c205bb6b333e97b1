//! What a store takes over millions of updates: latency while checkpoints and
//! snapshots run, disk and memory, and how long opening takes.
//!
//!     cargo bench --bench endurance             2,000,000 updates, 2 minutes
//!     PROCSTATE_UPDATES=10000000 cargo bench --bench endurance
//!
//! It is no criterion benchmark, since what matters here are extremes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use procstate::proto::Work;
use procstate::{Claim, ClaimOptions, ImportMode, Instance, Params, Process, Run, Store};

const MIB: f64 = 1024.0 * 1024.0;
const HOT_ITEMS: usize = 100;

/// Set where this program is only to build a store, and how it is to end.
const BUILD: &str = "PROCSTATE_BENCH_BUILD";
const BUILD_ITEMS: &str = "PROCSTATE_BENCH_BUILD_ITEMS";
const BUILD_END: &str = "PROCSTATE_BENCH_BUILD_END";

fn claim(store: &Store) -> Run {
    let options = ClaimOptions::new().force(true).progress_interval(Duration::ZERO);
    match store.process("p").unwrap().claim_with(&Instance::new(), &options).unwrap() {
        Claim::Won(run) => run,
        other => panic!("nobody else is here: {other:?}"),
    }
}

fn process(items: usize) -> Process {
    let params = Params::new().int("keysPerAccount", 8).string("region", "eu");
    let work = Work { params: Some(params), ..Work::default() };
    Process {
        process_name: "p".to_owned(),
        active_work: (0..items).map(|n| (format!("project-{n:07}"), work.clone())).collect(),
        ..Process::default()
    }
}

/// Bytes of all files in a folder, as the file system counts them.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Resident memory of this program.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Times of calls, in buckets of a sixteenth of a power of two.
struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    fn new() -> Self {
        Self { buckets: vec![0; 64 * 16], count: 0, max: Duration::ZERO }
    }

    fn add(&mut self, time: Duration) {
        let nanos = (time.as_nanos() as u64).max(16);
        let power = nanos.ilog2();
        let sixteenth = (nanos >> (power - 4)) & 15;
        self.buckets[(power * 16) as usize + sixteenth as usize] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.count as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let bucket = bucket.unwrap() as u64;
        Duration::from_nanos((16 + bucket % 16) << (bucket / 16 - 4))
    }
}

fn updates(count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.import(process(HOT_ITEMS), ImportMode::New).unwrap();
    let (stop, disk_max) = (AtomicBool::new(false), AtomicU64::new(0));
    println!("{count} updates over {HOT_ITEMS} items (one run, one thread, Buffered)");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                disk_max.fetch_max(disk_bytes(folder.path()), Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut times = Histogram::new();
        let began = Instant::now();
        for tenth in 1..=10 {
            update(&store, count / 10, &mut times);
            println!("  after {tenth}0 %: memory {:6.1} MiB", memory_bytes() as f64 / MIB);
        }
        let took = began.elapsed();
        stop.store(true, Ordering::Release);
        println!("  {:.0} updates a second", times.count as f64 / took.as_secs_f64());
        for percent in [50.0, 99.0, 99.9, 99.99] {
            println!("  {percent:>5} % within {:?}", times.percentile(percent));
        }
        let ratio = times.percentile(99.9).as_secs_f64() / times.percentile(50.0).as_secs_f64();
        println!("  longest {:?}; 99.9 % over median {ratio:.1} x", times.max);
    });
    let stats = store.stats().unwrap();
    println!(
        "  checkpoints {} (last {:?}), snapshots {} (last {:?}), log written {:.0} MiB",
        stats.checkpoints,
        stats.checkpoint_time,
        stats.snapshots,
        stats.snapshot_time,
        stats.log_written_bytes as f64 / MIB
    );
    let log = (stats.log_segments * (4 << 20) + stats.log_free_bytes) as f64;
    store.close().unwrap();
    let closed = disk_bytes(folder.path()) as f64;
    println!(
        "  disk: at most {:.1} MiB, after close {:.1} MiB, of which the log {:.1} MiB",
        disk_max.into_inner() as f64 / MIB,
        closed / MIB,
        log / MIB
    );
}

fn update(store: &Store, count: u64, times: &mut Histogram) {
    let mut run = claim(store);
    let mut done = 0;
    while done < count {
        let mut work = match run.next_work().unwrap() {
            Some(work) => work,
            None => {
                run.finish().unwrap();
                run = claim(store);
                run.next_work().unwrap().unwrap()
            }
        };
        for _ in 0..1000.min(count - done) {
            work.add_stat("keysRemoved", 1.0);
            let began = Instant::now();
            let _ = run.progress().unwrap();
            times.add(began.elapsed());
            done += 1;
        }
        drop(work);
    }
    run.hand_back().unwrap();
}

fn openings(items: usize) {
    println!("opening a store of {items} items, after a close, SIGKILL, the loss of its index");
    for end in ["close", "kill", "loss"] {
        let folder = tempfile::tempdir().unwrap();
        let mut build = Command::new(std::env::current_exe().unwrap())
            .env(BUILD, folder.path())
            .env(BUILD_ITEMS, items.to_string())
            .env(BUILD_END, end)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if end == "kill" {
            let mut line = [0; 1];
            std::io::Read::read_exact(build.stdout.as_mut().unwrap(), &mut line).unwrap();
            build.kill().unwrap();
        }
        build.wait().unwrap();
        if end == "loss" {
            std::fs::remove_dir_all(folder.path().join("index")).unwrap();
        }
        for verify in [true, false] {
            let began = Instant::now();
            let store = Store::builder().verify(verify).open(folder.path()).unwrap();
            let took = began.elapsed();
            let report = store.open_report().clone();
            println!(
                "  after {end} {} the check: {took:6.2?}, {} commits replayed; memory {:.0} MiB, disk {:.0} MiB",
                if verify { "with" } else { "without" },
                report.replayed,
                memory_bytes() as f64 / MIB,
                disk_bytes(folder.path()) as f64 / MIB
            );
        }
    }
}

/// Builds a store for [`openings`]: some of it is only in the log at the end.
fn build(folder: &Path) {
    let items: usize = std::env::var(BUILD_ITEMS).unwrap().parse().unwrap();
    let store = Store::open(folder).unwrap();
    let began = Instant::now();
    store.import(process(items), ImportMode::New).unwrap();
    eprintln!("  imported in {:?}", began.elapsed());
    update(&store, 100_000, &mut Histogram::new());
    if std::env::var(BUILD_END).unwrap() != "kill" {
        let began = Instant::now();
        store.close().unwrap();
        eprintln!("  closed in {:?}", began.elapsed());
        return;
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(600));
}

fn main() {
    if let Some(folder) = std::env::var_os(BUILD) {
        return build(folder.as_ref());
    }
    let is_test = std::env::args().any(|argument| argument == "--test");
    let count = std::env::var("PROCSTATE_UPDATES").ok().and_then(|n| n.parse().ok());
    let (count, items) = if is_test { (20_000, 1000) } else { (count.unwrap_or(2_000_000), 1_000_000) };
    updates(count);
    openings(items);
}
