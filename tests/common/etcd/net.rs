//! Network namespaces connected by a bridge, so that tests can partition programs from each other.
//!
//! A test that needs them runs itself again in new namespaces ([`enter`]), in which it is root. What
//! it creates there is invisible outside, and disappears with it.

use std::net::Ipv4Addr;
use std::process::{Command, ExitStatus, Output};

use super::require;

/// Set for a test that runs in its own namespaces.
const INSIDE: &str = "PROCSTATE_TEST_NAMESPACES";

/// The result of [`enter`].
pub enum Entered {
    /// The caller runs in its own namespaces, and continues.
    Inside,
    /// The caller runs outside; the test ran inside and ended.
    Ran(ExitStatus),
    /// This machine does not allow namespaces.
    Unavailable,
}

/// Runs the test of this name, of this test program, in its own namespaces.
pub fn enter(test: &str) -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        set_up();
        return Entered::Inside;
    }
    let namespaces =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL"];
    // Root needs no user namespace.
    let is_root = rustix::process::geteuid().is_root();
    let namespaces = &namespaces[if is_root { 2 } else { 0 }..];
    let works = Command::new("unshare").args(namespaces).args(["ip", "link", "set", "lo", "up"]).output();
    if let Some(why) = failure(works) {
        require(&format!("this test needs network namespaces ({why})"));
        return Entered::Unavailable;
    }
    // Pids are different inside, so folders that are named after pids must not be shared.
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

/// Creates the bridge, with an address for the test itself.
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
    /// Creates a namespace; `number` must be unique.
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

    /// Returns the beginning of a command that runs in this namespace.
    pub fn inside(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).into()
    }

    /// Silently drops everything that this host sends to `other`: the packets go to a hardware
    /// address that does not exist.
    fn block(&self, other: &Self) {
        let (name, address) = (&self.name, other.address());
        run(&format!("ip -n {name} neigh replace {address} lladdr 02:00:00:00:00:00 dev eth0 nud permanent"));
    }

    /// Undoes `block`.
    fn unblock(&self, other: &Self) {
        let (name, address) = (&self.name, other.address());
        let deleted = Command::new("ip")
            .args(["-n", name, "neigh", "del", &address.to_string(), "dev", "eth0"])
            .output();
        // Fails if the other host was not blocked.
        drop(deleted);
    }
}

/// Partitions two hosts from each other.
pub fn cut(one: &Host, other: &Host) {
    one.block(other);
    other.block(one);
}

/// Reconnects two hosts.
pub fn reconnect(one: &Host, other: &Host) {
    one.unblock(other);
    other.unblock(one);
}
