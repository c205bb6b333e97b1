//! Taking the exit status of commands; and, as the first program of a container, of
//! all that ends without anybody else to notice.

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{self, Pid, WaitOptions};

use super::programs::Stat;

const INTERVAL: Duration = Duration::from_millis(500);

/// Starts commands, and takes their status.
#[derive(Clone)]
pub(crate) struct Reaper {
    /// The commands that run, if this is the first program of a container.
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
        // Locked until it is known as ours: its status is nobody else's to take.
        let mut children = children.lock();
        let child = command.spawn()?;
        children.insert(child.id());
        Ok(child)
    }

    /// The status of a command that has ended. `None` if it has not.
    pub(super) fn reap(&self, mut child: Child) -> io::Result<Option<ExitStatus>> {
        let status = child.try_wait();
        if let Some(children) = &self.children {
            children.lock().remove(&child.id());
        }
        status
    }
}

/// Takes the status of the dead whose parent is gone, and who are now ours.
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
