//! The primitives in unit tests, and the exploration of thread interleavings.
//!
//! Within [`explore`] the threads are shuttle's: one runs at a time, and a scheduler picks the next
//! one before each operation of this module. Locks are still the real ones: a thread that does not
//! get a lock yields until it does. Outside of an exploration these are the primitives of
//! production.
//!
//! An exploration may choose any sequentially consistent interleaving of these operations. It does
//! not show the effects of weaker memory orderings.

use std::cell::Cell;
use std::sync::atomic::{self, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

pub(crate) use super::waiters::Wake;

/// Schedules per exploration and kind, by default.
const SCHEDULES: usize = 300;

/// A thread with more steps than this waits for an event that never comes.
const STEPS_MAX: usize = 50_000;

/// The number of preemptions in a schedule that otherwise lets threads run as long as they can.
const INTERRUPTIONS: usize = 3;

const STACK_BYTES: usize = 1 << 20;

/// Calls `test` repeatedly, each time under another schedule of the threads that it spawns with
/// `shuttle::thread`.
///
/// Half of the schedules switch threads at random, the others rarely, at random moments.
///
/// A failure prints its schedule for `shuttle::replay`; `PROCSTATE_SEED` repeats them all.
pub(crate) fn explore(test: impl Fn() + Copy + Send + Sync + 'static) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let schedules = number("PROCSTATE_SCHEDULES").map_or(SCHEDULES, |schedules| schedules as usize);
    println!("PROCSTATE_SEED={seed} PROCSTATE_SCHEDULES={schedules}");
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    IS_EXPLORING.set(true);
    Runner::new(RandomScheduler::new_from_seed(seed, schedules), config.clone()).run(test);
    Runner::new(PctScheduler::new_from_seed(seed, INTERRUPTIONS, schedules), config).run(test);
    IS_EXPLORING.set(false);
}

thread_local! {
    /// Whether this thread is running an exploration.
    static IS_EXPLORING: Cell<bool> = const { Cell::new(false) };
}

fn is_explored() -> bool {
    IS_EXPLORING.get() && shuttle::current::try_get_current_task().is_some()
}

/// Lets the scheduler switch threads here.
pub(crate) fn point() {
    if is_explored() {
        // Despite its name, this takes no time.
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// Yields until another thread has made progress.
pub(crate) fn yield_now() {
    if is_explored() { shuttle::thread::yield_now() } else { std::thread::yield_now() }
}

pub(crate) fn spin_loop() {
    if is_explored() { shuttle::thread::yield_now() } else { std::hint::spin_loop() }
}

/// In an exploration every step takes a microsecond.
pub(crate) fn now() -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    if !is_explored() {
        return Instant::now();
    }
    *ORIGIN + Duration::from_micros(shuttle::current::context_switches() as u64)
}

/// Acquires a lock, or waits for a wake.
///
/// An exploration polls, because blocking would stop all threads.
fn acquire<G>(try_lock: impl Fn() -> Option<G>, lock: impl FnOnce() -> G) -> G {
    if !is_explored() {
        return lock();
    }
    point();
    loop {
        if let Some(guard) = try_lock() {
            return guard;
        }
        yield_now();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        acquire(|| self.0.try_lock(), || self.0.lock())
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        point();
        self.0.try_lock()
    }

    pub(crate) fn is_locked(&self) -> bool {
        point();
        self.0.is_locked()
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        acquire(|| self.0.try_read(), || self.0.read())
    }

    pub(crate) fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        acquire(|| self.0.try_read_recursive(), || self.0.read_recursive())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        acquire(|| self.0.try_write(), || self.0.write())
    }
}

macro_rules! atomics {
    ($($name:ident, $value:ty, [$($update:ident),*];)*) => {$(
        #[derive(Debug, Default)]
        pub(crate) struct $name(atomic::$name);

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                point();
                self.0.load(ordering)
            }

            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                point();
                self.0.store(value, ordering);
            }

            $(
                pub(crate) fn $update(&self, value: $value, ordering: Ordering) -> $value {
                    point();
                    self.0.$update(value, ordering)
                }
            )*
        }
    )*};
}

atomics! {
    AtomicBool, bool, [swap];
    AtomicU64, u64, [fetch_max];
    AtomicUsize, usize, [fetch_add];
}

/// [`super::waiters::Waiters`]. An exploration polls its state and does not use its condition
/// variable.
#[derive(Debug, Default)]
pub(crate) struct Waiters(super::waiters::Waiters);

impl Waiters {
    pub(crate) fn wait(&self) -> Wake {
        acquire(|| self.0.try_wait(), || self.0.wait())
    }

    pub(crate) fn wake_all(&self) {
        point();
        self.0.wake_all();
    }

    pub(crate) fn wake_one(&self) {
        point();
        self.0.wake_one();
    }
}

/// A place for a thread of an exploration to sleep until it is woken.
#[derive(Debug)]
struct Parker(Unparker);

#[derive(Debug, Clone)]
struct Unparker {
    is_woken: Arc<atomic::AtomicBool>,
    thread: shuttle::thread::Thread,
}

impl Parker {
    fn new() -> Self {
        Self(Unparker { is_woken: Arc::default(), thread: shuttle::thread::current() })
    }

    fn park(&self) {
        while !self.take_wake() {
            shuttle::thread::park();
        }
    }

    /// Reports whether it was woken since the last call.
    fn take_wake(&self) -> bool {
        point();
        self.0.is_woken.swap(false, Ordering::SeqCst)
    }
}

impl Unparker {
    fn unpark(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar {
    real: parking_lot::Condvar,
    /// The threads that wait in an exploration.
    waiting: parking_lot::Mutex<Vec<Unparker>>,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if !is_explored() {
            return self.real.wait(guard);
        }
        self.wait_explored(guard, Parker::park);
    }

    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) {
        if !is_explored() {
            self.real.wait_until(guard, deadline);
            return;
        }
        self.wait_explored(guard, |parker| {
            while !parker.take_wake() && now() < deadline {
                yield_now();
            }
        });
    }

    pub(crate) fn notify_all(&self) {
        point();
        self.real.notify_all();
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.iter().for_each(Unparker::unpark);
    }

    fn wait_explored<T>(&self, guard: &mut MutexGuard<'_, T>, wait: impl FnOnce(&Parker)) {
        let parker = Parker::new();
        self.waiting.lock().push(parker.0.clone());
        let mutex = MutexGuard::mutex(guard);
        MutexGuard::unlocked(guard, || {
            wait(&parker);
            // No other thread takes the lock between this check and the end of `unlocked`.
            while mutex.is_locked() {
                yield_now();
            }
        });
    }
}
