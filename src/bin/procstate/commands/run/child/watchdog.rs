//! The watchdog: a second program that outlives this one if it is killed, and stops the commands
//! left running.
//!
//! The two share a file of 8-byte entries: the first tells whether the run has ended normally, the
//! others are the process groups of running commands. The watchdog sleeps until this program has
//! ended, and then reads the file. A command that was just being started is not in it yet, but has
//! the token.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{self, Pid, PidfdFlags, Signal};

use super::programs::{Family, VARIABLE};

/// The hidden command of the watchdog.
pub(crate) const COMMAND: &str = "watchdog";

const ENTRY: u64 = 8;

/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(400);
const INTERVAL: Duration = Duration::from_millis(20);
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

pub(super) struct Watchdog {
    table: File,
    slots: Mutex<Slots>,
    program: Child,
}

#[derive(Default)]
struct Slots {
    free: Vec<u64>,
    used: u64,
}

impl Watchdog {
    pub(super) fn start(token: &str) -> io::Result<Self> {
        // Not on a disk, which may be full or read-only.
        let table = memory_file()?;
        table.write_all_at(&0u64.to_le_bytes(), 0)?;
        let program = Command::new("/proc/self/exe")
            .args([COMMAND, token, &std::process::id().to_string()])
            // It must not be mistaken for one of the commands to stop.
            .env_remove(VARIABLE)
            .current_dir("/")
            .stdin(table.try_clone()?)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { table, slots: Mutex::default(), program })
    }

    /// Registers a process group.
    pub(super) fn watch(&self, group: u32) -> u64 {
        let slot = self.slots.lock().take();
        self.write(slot, u64::from(group));
        slot
    }

    pub(super) fn unwatch(&self, slot: u64) {
        self.write(slot, 0);
        self.slots.lock().free.push(slot);
    }

    fn write(&self, slot: u64, value: u64) {
        if let Err(error) = self.table.write_all_at(&value.to_le_bytes(), slot * ENTRY) {
            tracing::debug!(%error, "the watchdog does not know of a command");
        }
    }
}

/// Marks the run as ended normally, so that background programs of its commands keep running.
impl Drop for Watchdog {
    fn drop(&mut self) {
        self.write(0, 1);
        if let Err(error) = self.program.kill().and_then(|()| self.program.wait()) {
            tracing::debug!(%error, "the watchdog was gone already");
        }
    }
}

/// Returns an anonymous file in memory.
pub(crate) fn memory_file() -> io::Result<File> {
    Ok(memfd_create("procstate", MemfdFlags::CLOEXEC)?.into())
}

impl Slots {
    fn take(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used
        })
    }
}

/// Runs the watchdog: waits for the end of the program `parent`, with the table as standard input.
pub(crate) fn watch(token: &str, parent: i32) -> io::Result<()> {
    // Detaches from the terminal, whose signals are not meant for it.
    let _ = process::setsid();
    let table = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    wait_for_end(parent)?;
    if read(&table, 0)? != 0 {
        return Ok(());
    }
    let groups = (1..).map_while(|slot| read(&table, slot).ok());
    let groups = groups.filter(|group| *group != 0).filter_map(|group| i32::try_from(group).ok()).collect();
    stop_all(&Family { groups, token: token.to_owned() });
    Ok(())
}

fn wait_for_end(parent: i32) -> io::Result<()> {
    let Some(parent) = Pid::from_raw(parent) else { return Ok(()) };
    let Ok(program) = process::pidfd_open(parent, PidfdFlags::empty()) else { return Ok(()) };
    // The parent may have ended, and its id been reused, before the descriptor was opened.
    while process::getppid() == Some(parent) {
        match poll(&mut [PollFd::new(&program, PollFlags::IN)], None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read(table: &File, slot: u64) -> io::Result<u64> {
    let mut value = 0u64.to_le_bytes();
    table.read_exact_at(&mut value, slot * ENTRY)?;
    Ok(u64::from_le_bytes(value))
}

fn stop_all(family: &Family) {
    let began = Instant::now();
    family.signal(Signal::TERM);
    // A command that was just being started receives its token a moment later, so the search
    // continues for a while even if no program is left.
    while began.elapsed() < GRACE {
        std::thread::sleep(INTERVAL);
    }
    while began.elapsed() < GIVE_UP_AFTER {
        family.signal(Signal::KILL);
        if family.members().is_empty() {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}
