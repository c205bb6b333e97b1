//! Network namespaces joined by a bridge, so that programs can be cut off from each other.
//!
//! A test that wants them starts itself again in namespaces of its own ([`enter`]), where
//! it is root and alone: what it makes there is seen by nobody else, and goes with it.

use std::net::Ipv4Addr;
use std::process::{Command, ExitStatus, Output};

use super::require;

/// Set for a test that was started again in namespaces of its own.
const INSIDE: &str = "PROCSTATE_TEST_NAMESPACES";

/// Where a test that needs namespaces is.
pub enum Entered {
    /// Inside: go on.
    Inside,
    /// Outside: it ran to its end inside.
    Ran(ExitStatus),
    /// They cannot be had here.
    Unavailable,
}

/// Runs the test of this name, of this test program, in namespaces of its own.
pub fn enter(test: &str) -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        set_up();
        return Entered::Inside;
    }
    let namespaces =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL"];
    // Who is root already needs no user namespace.
    let is_root = rustix::process::geteuid().is_root();
    let namespaces = &namespaces[if is_root { 2 } else { 0 }..];
    let works = Command::new("unshare").args(namespaces).args(["ip", "link", "set", "lo", "up"]).output();
    if let Some(why) = failure(works) {
        require(&format!("this test needs network namespaces ({why})"));
        return Entered::Unavailable;
    }
    // Numbers of programs mean others inside, and so do the folders that are named by them.
    let scratch = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(namespaces)
        .arg("--mount-proc")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .env("TMPDIR", scratch.path())
        .status();
    Entered::Ran(status.unwrap())
}

fn failure(ran: std::io::Result<Output>) -> Option<String> {
    match ran {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let ran = Command::new(words.next().unwrap()).args(words).output();
    if let Some(why) = failure(ran) {
        panic!("{line}: {why}");
    }
}

/// The bridge, with an address of its own: the test itself is on it.
fn set_up() {
    std::fs::create_dir_all("/run/netns").unwrap();
    run("mount -t tmpfs none /run/netns");
    run("ip link set lo up");
    run("ip link add bridge type bridge");
    run("ip addr add 10.0.0.254/24 dev bridge");
    run("ip link set bridge up");
}

/// A network namespace with one address on the bridge.
pub struct Host {
    name: String,
    number: u8,
}

impl Host {
    /// One of another number than every other.
    pub fn new(number: u8) -> Self {
        let host = Self { name: format!("h{number}"), number };
        let (name, address) = (&host.name, host.address());
        run(&format!("ip netns add {name}"));
        run(&format!("ip link add to-{name} type veth peer name eth0 netns {name}"));
        run(&format!("ip link set to-{name} master bridge up"));
        run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
        run(&format!("ip -n {name} link set lo up"));
        run(&format!("ip -n {name} link set eth0 up"));
        host
    }

    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, self.number)
    }

    /// What to begin a command with that is to run there.
    pub fn inside(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).into()
    }

    /// Nothing that it sends arrives at `other` from now on, and nobody is told: it goes to
    /// a network card that nobody has.
    pub fn deafen(&self, other: &Self) {
        let (name, address) = (&self.name, other.address());
        run(&format!("ip -n {name} neigh replace {address} lladdr 02:00:00:00:00:00 dev eth0 nud permanent"));
    }

    /// What it sends arrives at `other` again.
    pub fn reach(&self, other: &Self) {
        let (name, address) = (&self.name, other.address());
        let deleted = Command::new("ip")
            .args(["-n", name, "neigh", "del", &address.to_string(), "dev", "eth0"])
            .output();
        // It may not have been deafened at all.
        drop(deleted);
    }
}

/// Cuts two hosts off from each other.
pub fn cut(one: &Host, other: &Host) {
    one.deafen(other);
    other.deafen(one);
}

/// Joins two hosts again.
pub fn join(one: &Host, other: &Host) {
    one.reach(other);
    other.reach(one);
}
