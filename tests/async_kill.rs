//! Kills an async runner with SIGKILL at random moments and restarts it: every item is processed,
//! and at most those that were in progress are repeated.
//!
//! The victim is this test program itself; its output is the oracle.
//! Long run: `PROCSTATE_KILLS=200 cargo test --features tokio --test async_kill`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use common::{check, from_env, small};
use procstate::proto::State;
use procstate::tokio::AsyncRunner;
use procstate::{Durability, Outcome, Params};

const FOLDER: &str = "PROCSTATE_TEST_ASYNC_VICTIM";
const ITEMS: usize = 300;
const CONCURRENCY: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = small().open(&folder).unwrap();
    let durability = if folder.ends_with("synced") { Durability::Synced } else { Durability::Buffered };
    let runner = AsyncRunner::builder(&store, "p")
        .concurrency(CONCURRENCY)
        .progress_durability(durability)
        .progress_interval(Duration::from_millis(5))
        .worker_fn(|work| async move {
            say(&format!("begin {}", work.name()));
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..4000))).await;
            work.add_stat("done", 1.0);
            say(&format!("done {}", work.name()));
            Ok(())
        });
    let outcome = runner.build().unwrap().run_now().await.unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    say("finished all");
    std::future::pending::<()>().await;
}

/// One write per line, so that a printed line has happened.
fn say(what: &str) {
    std::io::stdout().write_all(format!("\n@{what}\n").as_bytes()).unwrap();
}

/// The output of a victim before it was killed.
#[derive(Default)]
struct Told {
    begun: BTreeSet<String>,
    done: BTreeSet<String>,
    finished: bool,
}

/// Starts the victim, and kills it shortly after this many lines.
fn kill_after(folder: &Path, lines: usize, delay: Duration) -> Told {
    let mut victim = common::victim(FOLDER, folder).spawn().unwrap();
    let stdout = BufReader::new(victim.stdout.take().unwrap());
    let mut told = Told::default();
    let mut said = stdout.lines().map(Result::unwrap).filter_map(|line| {
        let (what, name) = line.strip_prefix('@')?.split_once(' ')?;
        Some((what.to_owned(), name.to_owned()))
    });
    let note = |told: &mut Told, (what, name): (String, String)| match what.as_str() {
        "begin" => assert!(told.begun.insert(name), "begun twice in one run of the program"),
        "done" => drop(told.done.insert(name)),
        _ => told.finished = true,
    };
    while !told.finished && told.begun.len() + told.done.len() < lines {
        note(&mut told, said.next().expect("the victim ended by itself"));
    }
    std::thread::sleep(delay);
    victim.kill().unwrap();
    victim.wait().unwrap();
    said.for_each(|line| note(&mut told, line));
    told
}

/// Returns the items stored as completed, and whether the run has ended.
fn completed(folder: &Path, context: &str) -> (BTreeSet<String>, bool) {
    let store = small().open(folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&store);
    let whole = store.process("p").unwrap().snapshot().unwrap();
    let is_done = |work: &procstate::Work| {
        work.status.as_ref().is_some_and(|status| status.state() == State::Completed)
    };
    let done: BTreeSet<String> =
        whole.active_work.into_iter().filter(|(_, work)| is_done(work)).map(|(name, _)| name).collect();
    let status = whole.process_status.unwrap_or_default();
    let counted = status.stats.get("workItems").copied().unwrap_or_default();
    assert_eq!(counted as usize, done.len(), "{context}: one commit writes both");
    store.close().unwrap();
    (done, status.finish_time.is_some())
}

#[test]
fn kills_lose_nothing_and_repeat_only_items_in_progress() {
    let kills = from_env("PROCSTATE_KILLS").unwrap_or(5);
    let seed = from_env("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut killed, mut folders) = (0, 0);
    while killed < kills {
        folders += 1;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(if folders % 3 == 0 { "synced" } else { "buffered" });
        let store = small().open(&folder).unwrap();
        let items = (0..ITEMS).map(|n| (format!("w{n:03}"), Params::new()));
        store.process("p").unwrap().register_all(items).unwrap();
        store.close().unwrap();
        let (mut done, mut stored) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let lines = random.usize(0..400);
            let context = format!("PROCSTATE_SEED={seed}, kill {killed}, after {lines} lines");
            let told = kill_after(&folder, lines, Duration::from_micros(random.u64(0..3000)));
            let again: Vec<_> = told.begun.intersection(&stored).collect();
            assert!(again.is_empty(), "{context}: was stored as done, and done again: {again:?}");
            done.extend(told.done);
            let has_ended;
            (stored, has_ended) = completed(&folder, &context);
            assert!(has_ended || !told.finished, "{context}: the end of the run was lost");
            assert!(stored.is_subset(&done), "{context}: stored as done, and never was");
            let in_hand = done.difference(&stored).count();
            assert!(in_hand <= CONCURRENCY, "{context}: {in_hand} items are to be done twice");
            if has_ended {
                assert_eq!(stored.len(), ITEMS, "{context}: lost");
                break;
            }
            killed += 1;
        }
    }
    eprintln!("{killed} kills in {folders} stores");
}
