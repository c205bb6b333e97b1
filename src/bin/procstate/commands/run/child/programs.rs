//! The programs that a command has started, found in /proc.
//!
//! Most are in the process group of the command. One that left it still carries the
//! token that the command has in its environment.

use std::fs;

use rustix::process::{self, Pid, PidfdFlags, Signal};

/// The variable of the environment that tells whose a program is.
pub(super) const VARIABLE: &str = "PROCSTATE_TOKEN";

/// What the programs of one command, or of all commands, have in common.
pub(super) struct Family {
    /// Process groups.
    pub(super) groups: Vec<i32>,
    /// How the token begins.
    pub(super) token: String,
}

impl Family {
    /// Those that are alive.
    pub(super) fn members(&self) -> Vec<Pid> {
        let Ok(programs) = fs::read_dir("/proc") else { return Vec::new() };
        programs
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Pid::from_raw)
            .filter(|pid| self.has(*pid))
            .collect()
    }

    /// Sends `signal` to all of them. A stopped one is woken up to get it.
    pub(super) fn signal(&self, signal: Signal) {
        for group in self.groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            // One call reaches those too that are being forked right now.
            let _ = process::kill_process_group(group, signal);
            let _ = process::kill_process_group(group, Signal::CONT);
        }
        for pid in self.members() {
            // The descriptor makes sure that the number is still this program's.
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
        // Another user's cannot be read, nor be signalled.
        let environment = fs::read(format!("{folder}/environ")).unwrap_or_default();
        let token = format!("{VARIABLE}={}", self.token);
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(token.as_bytes()))
    }
}

/// What /proc/PID/stat says of a program.
pub(super) struct Stat {
    state: u8,
    pub(super) parent: i32,
    group: i32,
}

impl Stat {
    pub(super) fn parse(stat: &[u8]) -> Option<Self> {
        // The name of the program stands in parentheses, and may hold anything.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        Some(Self { state, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }

    /// It has ended; perhaps nobody has noticed yet.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
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
        // The variable is there once the program has taken the place of this one.
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
