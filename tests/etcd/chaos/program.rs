//! The program whose store is on etcd: this test program, started again.
//!
//! Three things at a time: it counts, in an item that is its own to register; it claims a
//! process that others claim too, and works through it; and it has a runner.

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
use super::told::{Diary, Told, now};

pub const ENDPOINTS: &str = "PROCSTATE_TEST_ETCD_ENDPOINTS";
pub const DIARY: &str = "PROCSTATE_TEST_ETCD_DIARY";
pub const NAME: &str = "PROCSTATE_TEST_ETCD_NAME";

pub const COUNTERS: &str = "counters";
pub const CLAIMED: &str = "claimed";
pub const RUNNER: &str = "runner";
pub const ITEMS: [&str; 4] = ["a", "b", "c", "d"];

/// How long an owner counts as alive.
pub const TIMEOUT: Duration = Duration::from_secs(3);
const STEPS: usize = 8;
const PACE: Duration = Duration::from_millis(10);
/// What a runner and its items may need after a failure.
const PATIENCE: Duration = Duration::from_millis(100);

/// The program itself, where it is asked for.
#[test]
fn program() {
    let (Ok(endpoints), Ok(diary), Ok(name)) =
        (std::env::var(ENDPOINTS), std::env::var(DIARY), std::env::var(NAME))
    else {
        return;
    };
    let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
    let diary = Arc::new(Diary::open(Path::new(&diary)));
    let store = persist(&diary, || connect(&endpoints));
    thread::scope(|scope| {
        scope.spawn(|| count_for_ever(&store, &name, &diary));
        scope.spawn(|| claim_for_ever(&store, &diary));
        scope.spawn(|| run_for_ever(&store, &diary));
    });
}

/// Tries until it works; what fails is told.
fn persist<T>(diary: &Diary, mut attempt: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => fail(diary, &error),
        }
        thread::sleep(PATIENCE);
    }
}

fn fail(diary: &Diary, error: &Error) {
    diary.tell(Told::Failed { text: error.to_string() });
}

fn count_for_ever(store: &Store, name: &str, diary: &Diary) {
    let process = store.process(COUNTERS).unwrap();
    let read = || persist(diary, || process.item(name)).map_or(0, |item| counter(&item));
    let mut n = read();
    diary.tell(Told::Begin { counter: n });
    loop {
        let to = n + 1;
        diary.tell(Told::CountTry { to });
        match process.register(name, Params::new().int("n", to as i64)) {
            Ok(effect) => {
                diary.tell(Told::Counted { to, changed: effect != Effect::Unchanged });
                n = to;
            }
            Err(error) => {
                diary.tell(Told::CountFailed { to, surely: !error.is_uncertain() });
                fail(diary, &error);
                thread::sleep(PATIENCE);
                n = read();
                diary.tell(Told::Begin { counter: n });
            }
        }
        thread::sleep(PACE);
    }
}

fn counter(item: &Item) -> u64 {
    let params = item.work.as_ref().and_then(|work| work.params.as_ref());
    params.and_then(|params| params.get_int("n")).unwrap_or_default() as u64
}

fn claim_for_ever(store: &Store, diary: &Diary) {
    let process = store.process(CLAIMED).unwrap();
    let options = ClaimOptions::new()
        .force(true)
        .progress_interval(Duration::ZERO)
        .progress_durability(Durability::Synced)
        .heartbeat_timeout(TIMEOUT);
    loop {
        let instance = Instance::new();
        diary.tell(Told::ClaimTry { instance: instance.id().to_owned() });
        match process.claim_with(&instance, &options) {
            Ok(Claim::Won(run)) => work_through(run, diary),
            Ok(_) => diary.tell(Told::ClaimRefused),
            Err(error) => {
                diary.tell(Told::ClaimFailed { surely: !error.is_uncertain() });
                fail(diary, &error);
            }
        }
        // Also so that another has a chance.
        thread::sleep(Duration::from_millis(fastrand::u64(10..150)));
    }
}

fn work_through(mut run: Run, diary: &Diary) {
    let token = run.token();
    diary.tell(Told::Won { token });
    // So that each write of the run says under which owner it was made.
    let before = run.status().stats.get("token").copied().unwrap_or_default();
    run.add_stat("token", token as f64 - before);
    if let Err(error) = do_items(&mut run, diary) {
        fail(diary, &error);
        if error.is_conflict() {
            diary.tell(Told::Lost { token });
        }
        diary.tell(Told::FinishTry { token });
        return;
    }
    diary.tell(Told::FinishTry { token });
    match run.finish() {
        Ok(status) => {
            let completed = status.state() == State::Completed;
            diary.tell(Told::Finished { token, steps: steps(&status), completed });
        }
        Err(error) => fail(diary, &error),
    }
}

fn steps(status: &Status) -> u64 {
    status.stats.get("work.n").copied().unwrap_or_default() as u64
}

fn do_items(run: &mut Run, diary: &Diary) -> Result<(), Error> {
    let token = run.token();
    while let Some(work) = run.next_work()? {
        let item = work.name().to_owned();
        if !do_steps(run, work, diary)? {
            diary.tell(Told::Lost { token });
            return Ok(());
        }
        diary.tell(Told::Done { token, item });
    }
    Ok(())
}

/// False once the run is lost.
fn do_steps(run: &Run, mut work: WorkItem, diary: &Diary) -> Result<bool, Error> {
    let (token, item) = (run.token(), work.name().to_owned());
    for _ in 0..STEPS {
        work.add_stat("n", 1.0);
        diary.tell(Told::StepTry { token, item: item.clone() });
        if run.progress()? == Progress::Conflict {
            return Ok(false);
        }
        diary.tell(Told::Stepped { token, steps: steps(&run.status()) });
        // The time comes first: sure after it, it was so at it.
        let at = now();
        if !run.is_lapsed() {
            diary.tell_at(at, Told::Sure { token });
        }
        thread::sleep(PACE);
    }
    diary.tell(Told::DoneTry { token, item });
    work.finish().map(|()| true)
}

fn run_for_ever(store: &Store, diary: &Arc<Diary>) {
    loop {
        let diary_of_worker = diary.clone();
        let runner = Runner::builder(store, RUNNER)
            .every(Duration::from_secs(1))
            .heartbeat_timeout(TIMEOUT)
            .worker_fn(move |work: &mut WorkContext| {
                thread::sleep(PACE);
                work.add_stat("n", 1.0);
                let _ = work.progress()?;
                diary_of_worker.tell(Told::Ran { item: work.name().to_owned() });
                Ok(())
            });
        match runner.spawn().map(|handle| handle.join()) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) | Err(error) => fail(diary, &error),
        }
        thread::sleep(PATIENCE);
    }
}
