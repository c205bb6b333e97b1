//! The source of time.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// The one source of time of a store.
///
/// Records carry wall time and schedules follow it. Wall time may jump, so the liveness of an owner
/// is judged by monotonic time alone.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the wall time.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary fixed moment. It never goes back.
    fn monotonic(&self) -> Duration;

    /// Returns how long a thread that waits for `remaining` to pass on this clock may sleep before
    /// it reads [`monotonic`](Clock::monotonic) again.
    ///
    /// A clock that does not follow real time returns a short time.
    fn longest_sleep(&self, remaining: Duration) -> Duration {
        remaining
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Returns a clock whose monotonic time starts at zero now.
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

/// A clock for tests. It stands still until the test moves it.
///
/// Clones share the same time.
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
/// // The wall clock is set back; no time passes.
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
    /// Returns a clock whose wall time is `wall`.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        Self { time: Arc::new(Mutex::new(ManualTime { wall, monotonic: Duration::ZERO })) }
    }

    /// Advances wall time and monotonic time.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time.lock();
        time.monotonic = time.monotonic.saturating_add(by);
        time.wall = shifted(time.wall, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }

    /// Sets the wall time back or ahead, as an administrator or a time server would.
    ///
    /// Monotonic time does not change.
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
