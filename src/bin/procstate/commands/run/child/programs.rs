//! Finds the programs that a command has started in /proc.
//!
//! Most are in the process group of the command. A program that has left the group still has the
//! command's token in its environment.

use std::fs;

use rustix::process::{self, Pid, PidfdFlags, Signal};

/// The environment variable that identifies the run of a program.
pub(super) const VARIABLE: &str = "PROCSTATE_TOKEN";

/// Identifies the programs of one command, or of all commands.
pub(super) struct Family {
    /// Process groups.
    pub(super) groups: Vec<i32>,
    /// The start of the token.
    pub(super) token: String,
}

impl Family {
    /// Returns the live members.
    pub(super) fn members(&self) -> Vec<Pid> {
        let Ok(programs) = fs::read_dir("/proc") else { return Vec::new() };
        programs
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Pid::from_raw)
            .filter(|pid| self.has(*pid))
            .collect()
    }

    /// Sends `signal` to all members, and wakes up stopped ones.
    pub(super) fn signal(&self, signal: Signal) {
        for group in self.groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            // One call also reaches programs that are being forked.
            let _ = process::kill_process_group(group, signal);
            let _ = process::kill_process_group(group, Signal::CONT);
        }
        for pid in self.members() {
            // The descriptor guarantees that the id still belongs to this program.
            let Ok(program) = process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
            if self.has(pid) {
                let _ = process::pidfd_send_signal(&program, signal);
                let _ = process::pidfd_send_signal(&program, Signal::CONT);
            }
        }
    }

    fn has(&self, pid: Pid) -> bool {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let Some(stat) = fs::read(format!("{folder}/stat")).ok().and_then(|stat| Stat::parse(&stat)) else {
            return false;
        };
        if stat.is_dead() {
            return false;
        }
        if self.groups.contains(&stat.group) {
            return true;
        }
        // The environment of another user's program is unreadable, and it could not be signalled.
        let environment = fs::read(format!("{folder}/environ")).unwrap_or_default();
        let token = format!("{VARIABLE}={}", self.token);
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(token.as_bytes()))
    }
}

/// The fields of /proc/PID/stat.
pub(super) struct Stat {
    state: u8,
    pub(super) parent: i32,
    group: i32,
}

impl Stat {
    pub(super) fn parse(stat: &[u8]) -> Option<Self> {
        // The program name is in parentheses, and may contain anything.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        Some(Self { state, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }

    /// Reports whether it has ended, even if its parent has not waited for it yet.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_anything() {
        let stat = Stat::parse(b"71 (a) Z 1 (b)) S 7 70 5 0").unwrap();
        assert_eq!((stat.state, stat.parent, stat.group), (b'S', 7, 70));
        assert!(Stat::parse(b"71 (a").is_none());
        assert!(Stat::parse(b"").is_none());
    }

    #[test]
    fn found_by_group_or_by_token() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env(VARIABLE, "ours.7.")
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let group = i32::try_from(child.id()).unwrap();
        let family =
            |groups: &[i32], token: &str| Family { groups: groups.to_vec(), token: token.to_owned() };
        // The variable is set once the child has executed the program.
        while !family(&[], "ours.").members().contains(&pid) {
            std::thread::yield_now();
        }
        assert!(family(&[group], "none.").members().contains(&pid));
        assert!(!family(&[], "ours.8.").members().contains(&pid));
        family(&[], "ours.7.").signal(Signal::KILL);
        child.wait().unwrap();
        assert!(family(&[group], "ours.").members().is_empty());
    }
}
