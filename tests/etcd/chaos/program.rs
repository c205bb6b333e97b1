//! The program that uses the store in etcd: this test program, started again.
//!
//! Three threads: one counts in an item that only this program registers, one claims a process that
//! the other programs claim too and works through its items, and one has a runner.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use procstate::proto::State;
use procstate::{
    Claim, ClaimOptions, Durability, Effect, Error, Instance, Item, Params, Progress, Run, Runner, Status,
    Store, WorkContext, WorkItem,
};

use super::connect;
use super::events::{Event, EventLog, now};

pub const ENDPOINTS: &str = "PROCSTATE_TEST_ETCD_ENDPOINTS";
pub const EVENT_LOG: &str = "PROCSTATE_TEST_ETCD_EVENT_LOG";
pub const NAME: &str = "PROCSTATE_TEST_ETCD_NAME";

pub const COUNTERS: &str = "counters";
pub const CLAIMED: &str = "claimed";
pub const RUNNER: &str = "runner";
pub const ITEMS: [&str; 4] = ["a", "b", "c", "d"];

/// The heartbeat timeout of owners.
pub const TIMEOUT: Duration = Duration::from_secs(3);
const STEPS: usize = 8;
const PACE: Duration = Duration::from_millis(10);
/// The delay after a failed call.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Runs the program if the variables are set; otherwise does nothing.
#[test]
fn program() {
    let (Ok(endpoints), Ok(event_log), Ok(name)) =
        (std::env::var(ENDPOINTS), std::env::var(EVENT_LOG), std::env::var(NAME))
    else {
        return;
    };
    let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
    let event_log = Arc::new(EventLog::open(Path::new(&event_log)));
    let store = persist(&event_log, || connect(&endpoints));
    thread::scope(|scope| {
        scope.spawn(|| count_forever(&store, &name, &event_log));
        scope.spawn(|| claim_forever(&store, &event_log));
        scope.spawn(|| run_forever(&store, &event_log));
    });
}

/// Retries until the attempt succeeds, and records each failure.
fn persist<T>(event_log: &EventLog, mut attempt: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => fail(event_log, &error),
        }
        thread::sleep(RETRY_DELAY);
    }
}

fn fail(event_log: &EventLog, error: &Error) {
    event_log.record(Event::Failed { text: error.to_string() });
}

fn count_forever(store: &Store, name: &str, event_log: &EventLog) {
    let process = store.process(COUNTERS).unwrap();
    let read = || persist(event_log, || process.item(name)).map_or(0, |item| counter(&item));
    let mut n = read();
    event_log.record(Event::Begin { counter: n });
    loop {
        let to = n + 1;
        event_log.record(Event::CountTry { to });
        match process.register(name, Params::new().int("n", to as i64)) {
            Ok(effect) => {
                event_log.record(Event::Counted { to, changed: effect != Effect::Unchanged });
                n = to;
            }
            Err(error) => {
                event_log.record(Event::CountFailed { to, surely: !error.is_uncertain() });
                fail(event_log, &error);
                thread::sleep(RETRY_DELAY);
                n = read();
                event_log.record(Event::Begin { counter: n });
            }
        }
        thread::sleep(PACE);
    }
}

fn counter(item: &Item) -> u64 {
    let params = item.work.as_ref().and_then(|work| work.params.as_ref());
    params.and_then(|params| params.get_int("n")).unwrap_or_default() as u64
}

fn claim_forever(store: &Store, event_log: &EventLog) {
    let process = store.process(CLAIMED).unwrap();
    let options = ClaimOptions::new()
        .force(true)
        .progress_interval(Duration::ZERO)
        .progress_durability(Durability::Synced)
        .heartbeat_timeout(TIMEOUT);
    loop {
        let instance = Instance::new();
        event_log.record(Event::ClaimTry { instance: instance.id().to_owned() });
        match process.claim_with(&instance, &options) {
            Ok(Claim::Won(run)) => work_through(run, event_log),
            Ok(_) => event_log.record(Event::ClaimRefused),
            Err(error) => {
                event_log.record(Event::ClaimFailed { surely: !error.is_uncertain() });
                fail(event_log, &error);
            }
        }
        // Gives the other programs a chance to win.
        thread::sleep(Duration::from_millis(fastrand::u64(10..150)));
    }
}

fn work_through(mut run: Run, event_log: &EventLog) {
    let token = run.token();
    event_log.record(Event::Won { token });
    // The oracle reads from each write of the run which owner made it.
    let before = run.status().stats.get("token").copied().unwrap_or_default();
    run.add_stat("token", token as f64 - before);
    if let Err(error) = do_items(&mut run, event_log) {
        fail(event_log, &error);
        if error.is_conflict() {
            event_log.record(Event::Lost { token });
        }
        event_log.record(Event::FinishTry { token });
        return;
    }
    event_log.record(Event::FinishTry { token });
    match run.finish() {
        Ok(status) => {
            let completed = status.state() == State::Completed;
            event_log.record(Event::Finished { token, steps: steps(&status), completed });
        }
        Err(error) => fail(event_log, &error),
    }
}

fn steps(status: &Status) -> u64 {
    status.stats.get("work.n").copied().unwrap_or_default() as u64
}

fn do_items(run: &mut Run, event_log: &EventLog) -> Result<(), Error> {
    let token = run.token();
    while let Some(work) = run.next_work()? {
        let item = work.name().to_owned();
        if !do_steps(run, work, event_log)? {
            event_log.record(Event::Lost { token });
            return Ok(());
        }
        event_log.record(Event::Done { token, item });
    }
    Ok(())
}

/// Returns false once another program has taken over.
fn do_steps(run: &Run, mut work: WorkItem, event_log: &EventLog) -> Result<bool, Error> {
    let (token, item) = (run.token(), work.name().to_owned());
    for _ in 0..STEPS {
        work.add_stat("n", 1.0);
        event_log.record(Event::StepTry { token, item: item.clone() });
        if run.progress()? == Progress::Conflict {
            return Ok(false);
        }
        event_log.record(Event::Stepped { token, steps: steps(&run.status()) });
        // Takes the time before the check: if the run has not lapsed afterwards, it had not lapsed
        // then.
        let at = now();
        if !run.is_lapsed() {
            event_log.record_at(at, Event::Sure { token });
        }
        thread::sleep(PACE);
    }
    event_log.record(Event::DoneTry { token, item });
    work.finish().map(|()| true)
}

fn run_forever(store: &Store, event_log: &Arc<EventLog>) {
    loop {
        let worker_log = event_log.clone();
        let runner = Runner::builder(store, RUNNER)
            .every(Duration::from_secs(1))
            .heartbeat_timeout(TIMEOUT)
            .worker_fn(move |work: &mut WorkContext| {
                thread::sleep(PACE);
                work.add_stat("n", 1.0);
                let _ = work.progress()?;
                worker_log.record(Event::Ran { item: work.name().to_owned() });
                Ok(())
            });
        match runner.spawn().map(|handle| handle.join()) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) | Err(error) => fail(event_log, &error),
        }
        thread::sleep(RETRY_DELAY);
    }
}
