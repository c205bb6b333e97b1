//! Collects the exit status of commands, and, as the init program of a container, of orphans.

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{self, Pid, WaitOptions};

use super::programs::Stat;

const INTERVAL: Duration = Duration::from_millis(500);

/// Starts commands and collects their status.
#[derive(Clone)]
pub(crate) struct Reaper {
    /// The running commands, if this is the init program of a container.
    children: Option<Arc<Mutex<HashSet<u32>>>>,
}

impl Reaper {
    pub(crate) fn new() -> Self {
        let is_first = process::getpid() == Pid::INIT;
        let children = is_first.then(Arc::<Mutex<HashSet<u32>>>::default);
        if let Some(children) = children.clone() {
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(INTERVAL);
                    reap_others(&children.lock());
                }
            });
        }
        Self { children }
    }

    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let Some(children) = &self.children else { return command.spawn() };
        // Locked until the command is registered, so that its status is not collected as an
        // orphan's.
        let mut children = children.lock();
        let child = command.spawn()?;
        children.insert(child.id());
        Ok(child)
    }

    /// Returns the status of a command, or `None` if it has not ended.
    pub(super) fn reap(&self, mut child: Child) -> io::Result<Option<ExitStatus>> {
        let status = child.try_wait();
        if let Some(children) = &self.children {
            children.lock().remove(&child.id());
        }
        status
    }
}

/// Collects the status of dead orphans.
fn reap_others(children: &HashSet<u32>) {
    let Ok(programs) = std::fs::read_dir("/proc") else { return };
    for entry in programs.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read(entry.path().join("stat")).ok().and_then(|stat| Stat::parse(&stat));
        let is_ours = stat.is_some_and(|stat| stat.is_dead() && stat.parent == 1);
        if is_ours && !children.contains(&number) {
            let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
            let _ = process::waitpid(pid, WaitOptions::NOHANG);
        }
    }
}
