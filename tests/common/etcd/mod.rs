//! Starts etcd clusters on this machine, whose members the tests can kill, stop, partition and
//! restart.
//!
//! If etcd is not installed, the tests that need it print IGNORED; with `PROCSTATE_REQUIRE_ETCD=1`
//! they fail. Members end with their test program, however that ends, and the next test program
//! removes the files that they leave.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test target uses a part of it")]

mod folder;
mod lent;
mod member;
pub mod net;
mod program;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use folder::Folder;
pub use lent::{Lent, unused_prefix};
pub use member::Member;
use member::Place;
pub use program::Program;

/// How long a cluster may take to start, and to recover once a majority of its members runs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster; its members are killed when it is dropped.
pub struct Cluster {
    pub members: Vec<Member>,
    folder: Folder,
}

impl Cluster {
    /// Starts this many members on loopback. Prints IGNORED and returns `None` if etcd is not
    /// installed.
    pub fn start(members: usize) -> Option<Self> {
        Self::start_with(members, &[])
    }

    /// Starts this many members with additional arguments.
    pub fn start_with(members: usize, arguments: &[&str]) -> Option<Self> {
        is_installed().then(|| Self::launch((0..members).map(|_| Place::on_loopback()).collect(), arguments))
    }

    /// Starts a member in each of these network namespaces.
    pub fn start_in(hosts: &[&net::Host]) -> Option<Self> {
        is_installed().then(|| Self::launch(hosts.iter().map(|host| Place::on(host)).collect(), &[]))
    }

    fn launch(places: Vec<Place>, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let peers: Vec<String> =
            places.iter().enumerate().map(|(n, place)| format!("m{n}={}", place.peer_url())).collect();
        let peers = peers.join(",");
        let start = |(n, place): (usize, Place)| Member::start(n, place, &peers, arguments, folder.path());
        let cluster = Self { members: places.into_iter().enumerate().map(start).collect(), folder };
        cluster.await_majority();
        cluster
    }

    /// Returns the addresses for clients.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// Waits until every member that was not killed serves requests, with a majority.
    pub fn await_majority(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.members.iter().filter(|member| member.is_running()).all(Member::is_healthy) {
            assert!(Instant::now() < deadline, "etcd does not serve requests:\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the member that reports itself as the leader.
    pub fn leader(&self) -> Option<usize> {
        self.members.iter().position(Member::is_leader)
    }

    /// Returns the end of each member's log.
    pub fn logs(&self) -> String {
        self.members.iter().map(Member::log).collect()
    }
}

/// Returns the member shared by all tests of a program that do not inject faults. Each of them uses
/// its own key prefix.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(1)).as_ref()
}

/// Reports whether etcd can be started; prints IGNORED if not.
pub fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let version = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        let Err(error) = version else { return true };
        require(&format!("this test needs etcd, from Debian's etcd-server ({error})"));
        false
    })
}

/// Prints, past the test harness, that a test is ignored and why; fails if etcd is required.
pub fn require(why: &str) {
    let is_required = std::env::var_os("PROCSTATE_REQUIRE_ETCD").is_some_and(|set| set == "1");
    assert!(!is_required, "{why}");
    let _ = writeln!(std::io::stderr(), "\nIGNORED: {why}");
}
