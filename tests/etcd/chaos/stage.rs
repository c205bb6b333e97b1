//! Three members and three programs, and what befalls them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::oracle::Diaries;
use super::program::{DIARY, ENDPOINTS, NAME};
use super::told::{self, Told};
use crate::etcd::net::{self, Host};
use crate::etcd::{Cluster, PATIENCE, Program};

pub const MEMBERS: usize = 3;
pub const PROGRAMS: usize = 3;

/// What goes wrong, until it is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    MemberKilled(usize),
    EveryMemberKilled,
    LeaderStopped(usize),
    ProgramKilled(usize),
    ProgramStopped(usize),
    /// From the other members; programs still reach it.
    MemberCutOff(usize),
    /// Two members from each other.
    MembersParted(usize, usize),
    /// From all members but one.
    ProgramCutOffBut(usize, usize),
    ProgramCutOff(usize),
}

pub struct Stage {
    pub cluster: Cluster,
    actors: Vec<Actor>,
    /// Of the members, where each has a network namespace.
    hosts: Vec<Host>,
}

struct Actor {
    name: String,
    diary: PathBuf,
    host: Option<Host>,
    program: Option<Program>,
}

impl Stage {
    pub fn new(is_networked: bool, folder: &std::path::Path) -> Option<Self> {
        let hosts: Vec<Host> = (1..=MEMBERS).filter(|_| is_networked).map(|n| Host::new(n as u8)).collect();
        let cluster = if is_networked {
            Cluster::start_in(&hosts.iter().collect::<Vec<_>>())?
        } else {
            Cluster::start(MEMBERS)?
        };
        let actor = |n: usize| {
            let name = format!("p{n}");
            let host = is_networked.then(|| Host::new(10 + n as u8));
            Actor { diary: folder.join(&name), name, host, program: None }
        };
        Some(Self { cluster, actors: (0..PROGRAMS).map(actor).collect(), hosts })
    }

    pub fn start_programs(&mut self) {
        (0..PROGRAMS).for_each(|n| self.start_program(n));
    }

    fn start_program(&mut self, n: usize) {
        let endpoints = self.cluster.endpoints().join(",");
        let actor = &mut self.actors[n];
        let mut command = actor.host.as_ref().map(Host::inside).unwrap_or_default();
        command.push(std::env::current_exe().unwrap().display().to_string());
        command.extend(["--exact", "chaos::program::program", "--nocapture"].map(str::to_owned));
        actor.program = Some(Program::start(&command, |command: &mut Command| {
            command.env(ENDPOINTS, endpoints).env(DIARY, &actor.diary).env(NAME, &actor.name);
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }));
    }

    pub fn kill_programs(&mut self) {
        self.actors.iter_mut().for_each(|actor| actor.program = None);
    }

    /// A program that ended by itself has failed.
    pub fn check_programs(&mut self) {
        for actor in &mut self.actors {
            let ended = actor.program.as_mut().and_then(Program::ended);
            assert!(ended.is_none(), "{} ended by itself: {ended:?}", actor.name);
        }
    }

    /// Which program was the last to be told that it owns the process.
    pub fn owner(&self) -> Option<usize> {
        let last = |actor: &Actor| {
            let lines = told::read(&actor.diary);
            lines.iter().rev().find_map(|line| match line.told {
                Told::Won { token } => Some(token),
                _ => None,
            })
        };
        self.actors.iter().enumerate().filter_map(|(n, actor)| Some((last(actor)?, n))).max().map(|(_, n)| n)
    }

    pub fn diaries(&self) -> Diaries {
        self.actors.iter().map(|actor| (actor.name.clone(), told::read(&actor.diary))).collect()
    }

    pub fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::MemberKilled(n) => self.cluster.members[n].kill(),
            Fault::EveryMemberKilled => self.cluster.members.iter_mut().for_each(|member| member.kill()),
            Fault::LeaderStopped(n) => self.cluster.members[n].stop(),
            Fault::ProgramKilled(n) => self.actors[n].program = None,
            Fault::ProgramStopped(n) => self.actors[n].program.iter().for_each(Program::stop),
            _ => self.each_cut(fault, net::cut),
        }
    }

    pub fn put_right(&mut self, fault: Fault) {
        match fault {
            Fault::MemberKilled(n) => self.cluster.members[n].restart(),
            Fault::EveryMemberKilled => self.cluster.members.iter_mut().for_each(|member| member.restart()),
            Fault::LeaderStopped(n) => self.cluster.members[n].go_on(),
            Fault::ProgramKilled(n) => self.start_program(n),
            Fault::ProgramStopped(n) => self.actors[n].program.iter().for_each(Program::go_on),
            _ => self.each_cut(fault, net::join),
        }
    }

    /// Calls `change` with each two hosts that the fault parts.
    fn each_cut(&self, fault: Fault, change: fn(&Host, &Host)) {
        let members = |but: usize| self.hosts.iter().enumerate().filter(move |(m, _)| *m != but);
        match fault {
            Fault::MemberCutOff(n) => members(n).for_each(|(_, other)| change(&self.hosts[n], other)),
            Fault::MembersParted(one, other) => change(&self.hosts[one], &self.hosts[other]),
            Fault::ProgramCutOffBut(n, but) => {
                let host = self.actors[n].host.as_ref().unwrap();
                members(but).for_each(|(_, member)| change(host, member));
            }
            Fault::ProgramCutOff(n) => {
                let host = self.actors[n].host.as_ref().unwrap();
                members(MEMBERS).for_each(|(_, member)| change(host, member));
            }
            _ => {}
        }
    }

    /// Waits until each program that can is told of a write that it began after now.
    pub fn await_progress(&mut self, despite: Option<Fault>) {
        let begun = told::now();
        let deadline = Instant::now() + PATIENCE;
        let able: Vec<usize> =
            (0..PROGRAMS).filter(|n| !despite.is_some_and(|fault| fault.disables(*n))).collect();
        while !able.iter().all(|n| has_counted_since(&self.actors[*n].diary, begun)) {
            self.check_programs();
            assert!(
                Instant::now() < deadline,
                "no progress for {PATIENCE:?} under {despite:?}: {}",
                self.report()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a run of the process completes, and the runner of each program too has
    /// done an item, that began after now.
    pub fn await_completion(&mut self) {
        let begun = told::now();
        let deadline = Instant::now() + PATIENCE;
        let is_over = |told: &Told| matches!(told, Told::Finished { completed: true, .. });
        let has_run = |told: &Told| matches!(told, Told::Ran { .. });
        let some = |stage: &Self, what: fn(&Told) -> bool| {
            stage.diaries().values().flatten().any(|line| line.at > begun && what(&line.told))
        };
        while !(some(self, is_over) && some(self, has_run)) {
            self.check_programs();
            assert!(Instant::now() < deadline, "no run completes in {PATIENCE:?}: {}", self.report());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn report(&self) -> String {
        let ends = self.actors.iter().map(|actor| {
            let lines = told::read(&actor.diary);
            let last: Vec<String> = lines.iter().rev().take(5).map(|line| format!("{line:?}")).collect();
            format!("{}: {}\n", actor.name, last.join("\n    "))
        });
        ends.collect::<String>() + &self.cluster.logs()
    }
}

fn has_counted_since(diary: &std::path::Path, begun: u64) -> bool {
    let lines = told::read(diary);
    let mut since = lines
        .iter()
        .filter(|line| line.at > begun)
        .skip_while(|line| !matches!(line.told, Told::CountTry { .. }));
    since.any(|line| matches!(line.told, Told::Counted { .. }))
}

impl Fault {
    /// Whether a program cannot make progress under it.
    fn disables(self, program: usize) -> bool {
        match self {
            Self::EveryMemberKilled => true,
            Self::ProgramKilled(n) | Self::ProgramStopped(n) | Self::ProgramCutOff(n) => n == program,
            _ => false,
        }
    }
}
