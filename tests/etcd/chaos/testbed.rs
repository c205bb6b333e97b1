//! Three members and three programs, and the faults that a test can inject.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::events::{self, Event};
use super::oracle::EventLogs;
use super::program::{ENDPOINTS, EVENT_LOG, NAME};
use crate::etcd::net::{self, Host};
use crate::etcd::{Cluster, PATIENCE, Program};

pub const MEMBERS: usize = 3;
pub const PROGRAMS: usize = 3;

/// A fault, which lasts until it is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    MemberKilled(usize),
    EveryMemberKilled,
    LeaderStopped(usize),
    ProgramKilled(usize),
    ProgramStopped(usize),
    /// Partitioned from the other members, but not from programs.
    MemberCutOff(usize),
    /// Two members partitioned from each other.
    MembersCutOff(usize, usize),
    /// A program partitioned from all members but one.
    ProgramCutOffExcept(usize, usize),
    /// A program partitioned from all members.
    ProgramCutOff(usize),
}

pub struct Testbed {
    pub cluster: Cluster,
    clients: Vec<Client>,
    /// The network namespaces of the members, if they have any.
    hosts: Vec<Host>,
}

struct Client {
    name: String,
    event_log: PathBuf,
    host: Option<Host>,
    program: Option<Program>,
}

impl Testbed {
    pub fn new(is_networked: bool, folder: &std::path::Path) -> Option<Self> {
        let hosts: Vec<Host> = (1..=MEMBERS).filter(|_| is_networked).map(|n| Host::new(n as u8)).collect();
        let cluster = if is_networked {
            Cluster::start_in(&hosts.iter().collect::<Vec<_>>())?
        } else {
            Cluster::start(MEMBERS)?
        };
        let client = |n: usize| {
            let name = format!("p{n}");
            let host = is_networked.then(|| Host::new(10 + n as u8));
            Client { event_log: folder.join(&name), name, host, program: None }
        };
        Some(Self { cluster, clients: (0..PROGRAMS).map(client).collect(), hosts })
    }

    pub fn start_programs(&mut self) {
        (0..PROGRAMS).for_each(|n| self.start_program(n));
    }

    fn start_program(&mut self, n: usize) {
        let endpoints = self.cluster.endpoints().join(",");
        let client = &mut self.clients[n];
        let mut command = client.host.as_ref().map(Host::inside).unwrap_or_default();
        command.push(std::env::current_exe().unwrap().display().to_string());
        command.extend(["--exact", "chaos::program::program", "--nocapture"].map(str::to_owned));
        client.program = Some(Program::start(&command, |command: &mut Command| {
            command.env(ENDPOINTS, endpoints).env(EVENT_LOG, &client.event_log).env(NAME, &client.name);
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }));
    }

    pub fn kill_programs(&mut self) {
        self.clients.iter_mut().for_each(|client| client.program = None);
    }

    /// Fails if a program has exited, which it must not do on its own.
    pub fn check_programs(&mut self) {
        for client in &mut self.clients {
            let ended = client.program.as_mut().and_then(Program::ended);
            assert!(ended.is_none(), "{} exited unexpectedly: {ended:?}", client.name);
        }
    }

    /// Returns the program that was the last to win the process.
    pub fn owner(&self) -> Option<usize> {
        let last = |client: &Client| {
            let lines = events::read(&client.event_log);
            lines.iter().rev().find_map(|line| match line.event {
                Event::Won { token } => Some(token),
                _ => None,
            })
        };
        self.clients
            .iter()
            .enumerate()
            .filter_map(|(n, client)| Some((last(client)?, n)))
            .max()
            .map(|(_, n)| n)
    }

    pub fn event_logs(&self) -> EventLogs {
        self.clients.iter().map(|client| (client.name.clone(), events::read(&client.event_log))).collect()
    }

    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::MemberKilled(n) => self.cluster.members[n].kill(),
            Fault::EveryMemberKilled => self.cluster.members.iter_mut().for_each(|member| member.kill()),
            Fault::LeaderStopped(n) => self.cluster.members[n].stop(),
            Fault::ProgramKilled(n) => self.clients[n].program = None,
            Fault::ProgramStopped(n) => self.clients[n].program.iter().for_each(Program::stop),
            _ => self.for_each_cut(fault, net::cut),
        }
    }

    pub fn repair(&mut self, fault: Fault) {
        match fault {
            Fault::MemberKilled(n) => self.cluster.members[n].restart(),
            Fault::EveryMemberKilled => self.cluster.members.iter_mut().for_each(|member| member.restart()),
            Fault::LeaderStopped(n) => self.cluster.members[n].resume(),
            Fault::ProgramKilled(n) => self.start_program(n),
            Fault::ProgramStopped(n) => self.clients[n].program.iter().for_each(Program::resume),
            _ => self.for_each_cut(fault, net::reconnect),
        }
    }

    /// Calls `change` with each pair of hosts that the fault partitions.
    fn for_each_cut(&self, fault: Fault, change: fn(&Host, &Host)) {
        let members = |but: usize| self.hosts.iter().enumerate().filter(move |(m, _)| *m != but);
        match fault {
            Fault::MemberCutOff(n) => members(n).for_each(|(_, other)| change(&self.hosts[n], other)),
            Fault::MembersCutOff(one, other) => change(&self.hosts[one], &self.hosts[other]),
            Fault::ProgramCutOffExcept(n, but) => {
                let host = self.clients[n].host.as_ref().unwrap();
                members(but).for_each(|(_, member)| change(host, member));
            }
            Fault::ProgramCutOff(n) => {
                let host = self.clients[n].host.as_ref().unwrap();
                members(MEMBERS).for_each(|(_, member)| change(host, member));
            }
            _ => {}
        }
    }

    /// Waits until each program that `despite` does not disable has a write accepted that it begins
    /// after this call.
    pub fn await_progress(&mut self, despite: Option<Fault>) {
        let begun = events::now();
        let deadline = Instant::now() + PATIENCE;
        let able: Vec<usize> =
            (0..PROGRAMS).filter(|n| !despite.is_some_and(|fault| fault.disables(*n))).collect();
        while !able.iter().all(|n| has_counted_since(&self.clients[*n].event_log, begun)) {
            self.check_programs();
            assert!(
                Instant::now() < deadline,
                "no progress for {PATIENCE:?} under {despite:?}: {}",
                self.report()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a run of the process completes and a runner finishes an item.
    pub fn await_completion(&mut self) {
        let begun = events::now();
        let deadline = Instant::now() + PATIENCE;
        let is_over = |event: &Event| matches!(event, Event::Finished { completed: true, .. });
        let has_run = |event: &Event| matches!(event, Event::Ran { .. });
        let some = |testbed: &Self, what: fn(&Event) -> bool| {
            testbed.event_logs().values().flatten().any(|line| line.at > begun && what(&line.event))
        };
        while !(some(self, is_over) && some(self, has_run)) {
            self.check_programs();
            assert!(Instant::now() < deadline, "no run completed within {PATIENCE:?}: {}", self.report());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn report(&self) -> String {
        let ends = self.clients.iter().map(|client| {
            let lines = events::read(&client.event_log);
            let last: Vec<String> = lines.iter().rev().take(5).map(|line| format!("{line:?}")).collect();
            format!("{}: {}\n", client.name, last.join("\n    "))
        });
        ends.collect::<String>() + &self.cluster.logs()
    }
}

fn has_counted_since(event_log: &std::path::Path, begun: u64) -> bool {
    let lines = events::read(event_log);
    let mut since = lines
        .iter()
        .filter(|line| line.at > begun)
        .skip_while(|line| !matches!(line.event, Event::CountTry { .. }));
    since.any(|line| matches!(line.event, Event::Counted { .. }))
}

impl Fault {
    /// Reports whether a program cannot make progress during this fault.
    fn disables(self, program: usize) -> bool {
        match self {
            Self::EveryMemberKilled => true,
            Self::ProgramKilled(n) | Self::ProgramStopped(n) | Self::ProgramCutOff(n) => n == program,
            _ => false,
        }
    }
}
