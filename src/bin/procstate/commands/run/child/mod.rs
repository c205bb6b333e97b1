//! A running command: forwards its output, and stops it with everything that it has started.

mod pipes;
mod programs;
mod reaper;
mod supervisor;
pub(crate) mod watchdog;

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{self, Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use pipes::Pipes;
use programs::Family;
pub(super) use reaper::Reaper;
pub(crate) use supervisor::{Stream, Supervisor, Urgency};
use watchdog::Watchdog;
pub(super) use watchdog::memory_file;

/// The polling interval for events without a notification.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The polling interval for the end of stopped programs.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// How long a program may survive SIGKILL, since it may hang in the kernel.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// How long to wait for resources to start a command.
const SHORTAGE_MAX: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exited,
    TimedOut,
    /// It was stopped on request.
    Stopped,
}

/// The time limits of a command.
pub(super) struct Times {
    pub(super) timeout: Option<Duration>,
    pub(super) kill_after: Duration,
}

/// Starts the commands of one run.
///
/// Dropping it ends the watchdog.
pub(super) struct Launcher {
    token: String,
    watchdog: Watchdog,
    reaper: Reaper,
    times: Times,
}

impl Launcher {
    /// # Errors
    ///
    /// If the watchdog cannot be started.
    pub(super) fn new(reaper: Reaper, times: Times) -> io::Result<Self> {
        let token = format!("{}.", uuid::Uuid::now_v7().simple());
        let watchdog = Watchdog::start(&token)?;
        Ok(Self { token, watchdog, reaper, times })
    }

    /// Runs `command`, the `number`-th of this run, to its end.
    ///
    /// The status is `None` if it hangs in the kernel.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) fn run(
        &self,
        command: &mut Command,
        number: u64,
        supervisor: &mut dyn Supervisor,
    ) -> io::Result<(End, Option<ExitStatus>)> {
        use std::os::unix::process::CommandExt;
        let token = format!("{}{number}.", self.token);
        command
            .env(programs::VARIABLE, &token)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Keeps signals of the terminal from stopping it.
            .process_group(0);
        let child = self.spawn(command, supervisor)?;
        let slot = self.watchdog.watch(child.id());
        let ended = Running::new(child, token).supervise(&self.times, supervisor);
        // Before its process id can be reused.
        self.watchdog.unwatch(slot);
        let (end, child) = ended?;
        self.reaper.reap(child).map(|status| (end, status))
    }

    /// Starts a command, retrying while other commands being started exhaust descriptors or process
    /// ids.
    fn spawn(&self, command: &mut Command, supervisor: &mut dyn Supervisor) -> io::Result<Child> {
        let began = Instant::now();
        loop {
            let error = match self.reaper.spawn(command) {
                Err(error) if is_shortage(&error) => error,
                other => return other,
            };
            if began.elapsed() >= SHORTAGE_MAX || supervisor.must_stop() > Urgency::GoOn {
                return Err(error);
            }
            std::thread::sleep(STOP_INTERVAL);
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::AGAIN].contains(&Errno::from_raw_os_error(code))
    })
}

struct Running {
    child: Child,
    /// Becomes readable when the command has ended, on systems with pidfds.
    ended: Option<std::os::fd::OwnedFd>,
    pipes: Pipes,
    family: Family,
}

enum Phase {
    Going,
    Stopping { why: End, kill_at: Instant },
    Killed { why: End, give_up_at: Instant },
}

impl Running {
    fn new(mut child: Child, token: String) -> Self {
        let ended = process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok();
        let groups = i32::try_from(child.id()).into_iter().collect();
        let pipes = Pipes::new(child.stdout.take(), child.stderr.take());
        Self { child, ended, pipes, family: Family { groups, token } }
    }

    /// Waits for the end of the command, but not for its background programs, unless these are to
    /// be stopped too.
    fn supervise(mut self, times: &Times, supervisor: &mut dyn Supervisor) -> io::Result<(End, Child)> {
        let began = Instant::now();
        let timeout_at = times.timeout.and_then(|timeout| began.checked_add(timeout));
        let mut phase = Phase::Going;
        loop {
            // It stays readable after the end, so background programs are polled for.
            let ended = self.ended.as_ref().filter(|_| matches!(phase, Phase::Going));
            self.pipes.wait(ended, self.time_to_next_look(&phase, timeout_at))?;
            // Checked before the pipes are read, so that all output before the end is seen.
            let has_ended = self.has_ended()?;
            self.pipes.read(has_ended, supervisor)?;
            let (now, urgency) = (Instant::now(), supervisor.must_stop());
            phase = match phase {
                Phase::Going if has_ended => return Ok((End::Exited, self.child)),
                Phase::Going if urgency > Urgency::GoOn => self.stop(End::Stopped, times),
                Phase::Going if timeout_at.is_some_and(|at| now >= at) => self.stop(End::TimedOut, times),
                Phase::Stopping { why, .. } | Phase::Killed { why, .. } if self.is_gone(has_ended) => {
                    return Ok((why, self.child));
                }
                Phase::Stopping { why, kill_at } if now >= kill_at || urgency == Urgency::Kill => {
                    self.family.signal(Signal::KILL);
                    Phase::Killed { why, give_up_at: now + GIVE_UP_AFTER }
                }
                Phase::Killed { why, give_up_at } if now >= give_up_at => return Ok((why, self.child)),
                Phase::Killed { why, give_up_at } => {
                    // Includes programs forked meanwhile.
                    self.family.signal(Signal::KILL);
                    Phase::Killed { why, give_up_at }
                }
                other => other,
            };
        }
    }

    fn stop(&self, why: End, times: &Times) -> Phase {
        self.family.signal(Signal::TERM);
        let now = Instant::now();
        Phase::Stopping { why, kill_at: now.checked_add(times.kill_after).unwrap_or(now + GIVE_UP_AFTER) }
    }

    /// Reports whether the command and everything that it has started have ended.
    fn is_gone(&self, has_ended: bool) -> bool {
        has_ended && self.family.members().is_empty()
    }

    /// Reports whether it has ended, without taking the exit status, which keeps the id of the
    /// process group from being reused.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(process::waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?.is_some())
    }

    fn time_to_next_look(&self, phase: &Phase, timeout_at: Option<Instant>) -> Duration {
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        match phase {
            Phase::Going if self.ended.is_none() => STOP_INTERVAL,
            Phase::Going => timeout_at.map_or(LOOK_INTERVAL, |at| LOOK_INTERVAL.min(until(at))),
            Phase::Stopping { .. } | Phase::Killed { .. } => STOP_INTERVAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    /// Stops the command at once, and counts the calls.
    struct Impatient {
        asked: u32,
    }

    impl Supervisor for Impatient {
        fn output(&mut self, _: Stream, _: &[u8]) {}

        fn must_stop(&mut self) -> Urgency {
            self.asked += 1;
            Urgency::Stop
        }
    }

    #[test]
    fn a_surviving_child_takes_no_processor_time() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "(trap '' TERM; echo; while :; do sleep 0.1; done) & read x; exit 1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        // The child ignores SIGTERM once it has printed a line.
        let stdout = child.stdout.take().unwrap();
        let pipes = Pipes::new(Some(stdout), None);
        pipes.wait(None, Duration::from_secs(30)).unwrap();
        let times = Times { timeout: None, kill_after: Duration::from_millis(500) };
        let mut impatient = Impatient { asked: 0 };
        let running = Running { pipes, ..Running::new(child, "none.".to_owned()) };
        let (end, mut child) = running.supervise(&times, &mut impatient).unwrap();
        child.wait().unwrap();
        assert_eq!(end, End::Stopped);
        // Every 20 ms for half a second.
        assert!(impatient.asked < 50, "{}", impatient.asked);
    }
}
