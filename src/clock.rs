//! Where times come from.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// The one source of time of a store.
///
/// Wall time is what records carry and what schedules go by. It may jump, so
/// whether an owner is alive is judged by monotonic time alone.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall time.
    fn now(&self) -> Timestamp;

    /// The time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// How long a thread that wants to wait until `remaining` has passed on this
    /// clock may sleep before it asks [`monotonic`](Clock::monotonic) again. A
    /// clock that does not follow real time answers with a short time.
    fn longest_sleep(&self, remaining: Duration) -> Duration {
        remaining
    }
}

/// The clock of the machine.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time counts from now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock for tests: it stands still until it is told to move.
///
/// Clones share one time.
///
/// ```
/// use procstate::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new("2026-11-23T12:00:00Z".parse()?);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-11-23T12:01:30Z");
/// assert_eq!(clock.monotonic(), Duration::from_secs(90));
/// # Ok::<(), jiff::Error>(())
/// ```
///
/// ```
/// use jiff::SignedDuration;
/// use procstate::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new("2026-11-23T12:00:00Z".parse()?);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().to_string(), "2026-11-23T12:01:00Z");
/// // Somebody sets the wall clock back; no time passes.
/// let before = clock.monotonic();
/// clock.jump(SignedDuration::from_hours(-1));
/// assert_eq!(clock.now().to_string(), "2026-11-23T11:01:00Z");
/// assert_eq!(clock.monotonic(), before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    time: Arc<Mutex<ManualTime>>,
}

#[derive(Debug)]
struct ManualTime {
    wall: Timestamp,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that shows `wall`.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        Self { time: Arc::new(Mutex::new(ManualTime { wall, monotonic: Duration::ZERO })) }
    }

    /// Lets time pass: wall time and monotonic time.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time.lock();
        time.monotonic = time.monotonic.saturating_add(by);
        time.wall = shifted(time.wall, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }

    /// Sets the wall time alone, back or ahead, as an administrator or a time
    /// server would: no time passes.
    pub fn jump(&self, by: SignedDuration) {
        let mut time = self.time.lock();
        time.wall = shifted(time.wall, by);
    }
}

fn shifted(wall: Timestamp, by: SignedDuration) -> Timestamp {
    wall.saturating_add(by).unwrap_or(wall)
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.time.lock().monotonic
    }

    fn longest_sleep(&self, remaining: Duration) -> Duration {
        remaining.min(Duration::from_millis(2))
    }
}
