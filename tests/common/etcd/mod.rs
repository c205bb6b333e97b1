//! etcd, started by the tests: members of a cluster as programs on this machine, to be
//! killed, stopped, cut off and started again.
//!
//! Where etcd is not installed the tests that need it say IGNORED; with
//! `PROCSTATE_REQUIRE_ETCD=1` they fail. Whatever happens to the test program, its members
//! end with it, and the next one sweeps up what they leave.
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

/// How long a cluster may take to start, and to agree again once a majority of it lives.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of a test's own. It ends with its value.
pub struct Cluster {
    pub members: Vec<Member>,
    folder: Folder,
}

impl Cluster {
    /// So many members on loopback; `None`, said as IGNORED, where etcd is not installed.
    pub fn start(members: usize) -> Option<Self> {
        Self::start_with(members, &[])
    }

    /// So many members that are given these arguments too.
    pub fn start_with(members: usize, arguments: &[&str]) -> Option<Self> {
        is_installed().then(|| Self::launch((0..members).map(|_| Place::on_loopback()).collect(), arguments))
    }

    /// A member in each of these network namespaces.
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

    /// What clients connect to.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// Waits until every member that is to run does, and agrees with a majority.
    pub fn await_majority(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.members.iter().filter(|member| member.is_running()).all(Member::is_healthy) {
            assert!(Instant::now() < deadline, "etcd does not come to serve:\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Which member leads, as the members themselves say.
    pub fn leader(&self) -> Option<usize> {
        self.members.iter().position(Member::is_leader)
    }

    /// The end of what each member logged.
    pub fn logs(&self) -> String {
        self.members.iter().map(Member::log).collect()
    }
}

/// The member that all tests of a program share that do it no harm: each takes a key prefix of
/// its own.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(1)).as_ref()
}

/// Whether etcd can be started; says so where it cannot.
pub fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let version = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        let Err(error) = version else { return true };
        require(&format!("this test needs etcd, from Debian's etcd-server ({error})"));
        false
    })
}

/// Says past the test harness that a test does nothing here; fails where it must not.
pub fn require(why: &str) {
    let is_required = std::env::var_os("PROCSTATE_REQUIRE_ETCD").is_some_and(|set| set == "1");
    assert!(!is_required, "{why}");
    let _ = writeln!(std::io::stderr(), "\nIGNORED: {why}");
}
