//! Why there is a log in front of sled: the results of a program that keeps each update as a
//! transaction of sled 0.34.7, and nothing else.
//!
//!     cargo bench --bench sled_alone            20 seconds

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::table::mib;
use common::{is_test, resources};

const VICTIM: &str = "PROCSTATE_BENCH_VICTIM";
const HOT_RECORDS: u64 = 100;

/// An update: a counter, and a record of 200 bytes that contains it.
fn update(db: &sled::Db, n: u64) {
    let mut value = [7; 200];
    value[..8].copy_from_slice(&n.to_be_bytes());
    let written: sled::transaction::TransactionResult<()> = db.transaction(|tree| {
        tree.insert(format!("item-{:03}", n % HOT_RECORDS).as_bytes(), &value[..])?;
        tree.insert("count", &n.to_be_bytes()[..])?;
        Ok(())
    });
    written.unwrap();
}

fn count(db: &sled::Db) -> u64 {
    db.get("count").unwrap().map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
}

/// Updates until it is killed, and prints its progress every tenth of a second.
fn victim(folder: &Path) {
    let db = sled::open(folder).unwrap();
    let mut said = Instant::now();
    for n in 1.. {
        update(&db, n);
        if said.elapsed() > Duration::from_millis(100) {
            said = Instant::now();
            println!("{n} {}", resources::memory_bytes());
        }
    }
}

fn killed_after(seconds: f64) {
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .env(VICTIM, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let began = Instant::now();
    let (mut acknowledged, mut memory) = (0, 0);
    while began.elapsed().as_secs_f64() < seconds {
        let line = lines.next().unwrap().unwrap();
        let (count, bytes) = line.split_once(' ').unwrap();
        (acknowledged, memory) = (count.parse::<u64>().unwrap(), bytes.parse::<u64>().unwrap());
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    let db = sled::open(folder.path()).unwrap();
    let lost = 100.0 * (1.0 - count(&db) as f64 / acknowledged as f64);
    println!(
        "killed after {seconds} s: {acknowledged} updates acknowledged, {} found, {lost:.0} % lost; memory {}",
        count(&db),
        mib(memory)
    );
}

fn growth(updates: u64) {
    let folder = tempfile::tempdir().unwrap();
    let db = sled::open(folder.path()).unwrap();
    let began = Instant::now();
    (1..=updates).for_each(|n| update(&db, n));
    let each = began.elapsed() / updates as u32;
    let began = Instant::now();
    db.flush().unwrap();
    let flush = began.elapsed();
    println!(
        "{updates} updates of {HOT_RECORDS} records: {each:.1?} each, then {flush:.1?} for a flush; {} on disk",
        mib(db.size_on_disk().unwrap())
    );
}

fn main() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        return victim(folder.as_ref());
    }
    killed_after(if is_test() { 0.5 } else { 5.0 });
    growth(if is_test() { 2000 } else { 200_000 });
}
