//! Counts what calls take: bytes, writes, syncs, allocations, instructions. Unlike times these are
//! reproducible on any machine.
//!
//!     cargo bench --bench counts                1 minute
//!
//! Counts cover the calling thread: means of 50 calls (medians for allocations). Syncs need
//! `strace` and instructions `valgrind`; without them their columns are empty. The clock stands
//! still, and nothing is synced or checkpointed in the background, so that the numbers repeat.
//! Where a call reads many index records, the last digits depend on sled's layout.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use allocation_counter::AllocationInfo;
use common::calls::{Call, Ready};
use common::sample;
use common::stores::{self, End};
use common::{is_test, resources, table};
use procstate::{ManualClock, Store};

const COUNT: &str = "count";

/// Returns the number of calls to count.
fn calls(call: Call) -> u64 {
    match call {
        Call::ReadItems | Call::ReadProcess | Call::RegisterThousand => 2,
        _ => 50,
    }
}

/// Returns the calls to count for this number of items.
fn called(items: usize) -> impl Iterator<Item = Call> {
    // A million items take minutes under valgrind, and a hundred times as much as 10,000.
    Call::ALL
        .into_iter()
        .filter(move |call| items <= 10_000 || !matches!(call, Call::ReadItems | Call::ReadProcess))
}

/// The number of calls before the counted ones, for one-time work.
const WARM_CALLS: u64 = 2;

fn main() {
    common::main(|| {
        if stores::role().as_deref() == Some(COUNT) {
            return count_here();
        }
        table::head(&[
            "call",
            "items",
            "bytes logged",
            "writes",
            "bytes written",
            "syncs",
            "allocations",
            "bytes allocated",
            "instructions, about",
        ]);
        let sizes: &[usize] = if is_test() { &[100] } else { &[100, 10_000, 1_000_000] };
        sizes.iter().for_each(|items| report(*items));
    });
}

/// The totals of the calls, and the allocations of one.
#[derive(Debug, Default)]
struct Counts {
    logged: u64,
    writes: u64,
    written: u64,
    allocations: u64,
    allocated: u64,
    syncs: Option<u64>,
    instructions: Option<u64>,
}

fn report(items: usize) {
    let (folder, copy) = (stores::build(items, End::Close), tempfile::tempdir().unwrap());
    Store::copy_files(folder.path(), copy.path()).unwrap();
    let mut counts = counted(folder.path(), items);
    for (call, instructions) in called(items).zip(instructions(copy.path(), items)) {
        counts.entry(call.name().to_owned()).or_default().instructions = Some(instructions);
    }
    for call in called(items) {
        let counts = &counts[call.name()];
        let mean = |sum| table::exact(sum, calls(call));
        table::row(&[
            call.name().to_owned(),
            table::count(items as u64),
            mean(counts.logged),
            mean(counts.writes),
            mean(counts.written),
            counts.syncs.map(mean).unwrap_or_default(),
            table::count(counts.allocations),
            table::count(counts.allocated),
            counts.instructions.map(|sum| table::about(sum, calls(call))).unwrap_or_default(),
        ]);
    }
}

/// Makes the calls on the store in the given folder, and prints their counts.
fn count_here() {
    let clock = ManualClock::new("2026-11-25T12:00:00.987654321Z".parse().unwrap());
    let store = Store::builder().clock(clock).sync_interval(Duration::from_secs(3600)).verify(false);
    let store = store.open(stores::role_folder()).unwrap();
    let process = store.process(sample::PROCESS).unwrap();
    for call in called(stores::role_items()) {
        let mut ready = call.on(&process);
        (0..WARM_CALLS).for_each(|_| ready());
        let logged = store.stats().unwrap().log_written_bytes;
        println!("begin {}", call.name());
        let (writes, written) = (resources::writes_here(), resources::written_bytes_here());
        let (allocations, allocated) = measured_calls(calls(call), &mut ready);
        let (writes, written) =
            (resources::writes_here() - writes, resources::written_bytes_here() - written);
        println!("end");
        let logged = store.stats().unwrap().log_written_bytes - logged;
        println!("{logged} {writes} {written} {allocations} {allocated} {}", call.name());
    }
}

/// Makes calls; returns the medians of number and size of allocations, since some calls also clean
/// up for sled.
///
/// valgrind starts and stops counting at this function name.
#[inline(never)]
fn measured_calls(count: u64, call: &mut Ready) -> (u64, u64) {
    let each: Vec<AllocationInfo> = (0..count).map(|_| allocation_counter::measure(&mut *call)).collect();
    let median = |of: fn(&AllocationInfo) -> u64| {
        let mut numbers: Vec<u64> = each.iter().map(of).collect();
        numbers.sort_unstable();
        numbers[numbers.len() / 2]
    };
    (median(|info| info.count_total), median(|info| info.bytes_total))
}

/// Returns the output of this program in the role of making the calls, and what strace saw of them.
fn counted(folder: &Path, items: usize) -> HashMap<String, Counts> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let plain = stores::in_role(COUNT, folder, items);
    let traced = is_there("strace").then(|| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "100", "-e", "trace=write,fdatasync,fsync,sync_file_range"]);
        strace.arg("-o").arg(trace.path());
        around(strace, &plain)
    });
    let is_traced = traced.is_some();
    let output = traced.unwrap_or(plain).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the calls failed");
    let mut syncs = syncs(&std::fs::read_to_string(trace.path()).unwrap());
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let parsed = lines.map(|line| {
        let (name, counts) = parse(line);
        let syncs = is_traced.then(|| syncs.remove(&name).unwrap_or(0));
        (name, Counts { syncs, ..counts })
    });
    parsed.collect()
}

fn parse(line: &str) -> (String, Counts) {
    let mut words = line.splitn(6, ' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    let counts = Counts {
        logged: number(),
        writes: number(),
        written: number(),
        allocations: number(),
        allocated: number(),
        ..Counts::default()
    };
    (words.next().unwrap().to_owned(), counts)
}

/// Returns the syncs between `begin` and `end` of each call, by the thread that printed these.
fn syncs(trace: &str) -> HashMap<String, u64> {
    let mut syncs = HashMap::new();
    let mut current: Option<(&str, String)> = None;
    for line in trace.lines() {
        let (thread, line) = line.split_once(' ').unwrap_or_default();
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix("write(1, \"begin ") {
            current = name.split_once("\\n").map(|(name, _)| (thread, name.to_owned()));
        } else if line.starts_with("write(1, \"end") {
            current = None;
        } else if let Some((caller, name)) = &current
            && thread == *caller
            && (line.starts_with("f") || line.starts_with("sync_file_range"))
        {
            *syncs.entry(name.clone()).or_default() += 1;
        }
    }
    syncs
}

/// Returns the instructions of each call in order; none without valgrind.
fn instructions(folder: &Path, items: usize) -> Vec<u64> {
    if is_test() || !is_there("valgrind") {
        return Vec::new();
    }
    let out = tempfile::tempdir().unwrap();
    let mut valgrind = Command::new("valgrind");
    let measured = concat!(module_path!(), "::measured_calls");
    valgrind.args(["-q", "--tool=callgrind"]);
    valgrind.args([format!("--toggle-collect={measured}"), format!("--dump-after={measured}")]);
    valgrind.arg(format!("--callgrind-out-file={}/out", out.path().display()));
    let status = around(valgrind, &stores::in_role(COUNT, folder, items)).stdout(Stdio::null()).status();
    assert!(status.unwrap().success(), "the calls failed under valgrind");
    (1..=called(items).count()).map(|n| total(&out.path().join(format!("out.{n}")))).collect()
}

fn total(dump: &Path) -> u64 {
    let text = std::fs::read_to_string(dump).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    line.unwrap().trim().parse().unwrap()
}

fn is_there(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Returns `tool` with `command` appended to its arguments.
fn around(mut tool: Command, command: &Command) -> Command {
    tool.arg(command.get_program());
    tool.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    tool
}
