//! One member of a cluster.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::net::Host;
use super::program::Program;

/// Where a member listens.
pub struct Place {
    address: Ipv4Addr,
    client: u16,
    peer: u16,
    /// Serves health and metrics in plain HTTP, even if clients need TLS.
    metrics: u16,
    /// The beginning of a command that runs in the member's network namespace.
    inside: Vec<String>,
}

impl Place {
    pub fn on_loopback() -> Self {
        // Binds all ports before it releases one, so that they differ.
        let free = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [client, peer, metrics] = free.map(|listener| listener.local_addr().unwrap().port());
        Self { address: Ipv4Addr::LOCALHOST, client, peer, metrics, inside: Vec::new() }
    }

    pub fn on(host: &Host) -> Self {
        let (client, peer, metrics) = (2379, 2380, 2381);
        Self { address: host.address(), client, peer, metrics, inside: host.inside() }
    }

    pub fn peer_url(&self) -> String {
        format!("http://{}:{}", self.address, self.peer)
    }
}

pub struct Member {
    name: String,
    place: Place,
    scheme: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
    program: Option<Program>,
}

impl Member {
    pub(super) fn start(n: usize, place: Place, peers: &str, more: &[&str], folder: &Path) -> Self {
        let name = format!("m{n}");
        let has_tls = more.iter().any(|argument| argument.starts_with("--cert-file"));
        let scheme = if has_tls { "https" } else { "http" };
        let client = format!("{scheme}://{}:{}", place.address, place.client);
        let mut arguments: Vec<String> = [
            ("name", name.clone()),
            ("data-dir", folder.join(&name).display().to_string()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", place.peer_url()),
            ("initial-advertise-peer-urls", place.peer_url()),
            ("initial-cluster", peers.to_owned()),
            ("listen-metrics-urls", format!("http://{}:{}", place.address, place.metrics)),
            ("logger", "zap".to_owned()),
            ("log-outputs", "stderr".to_owned()),
            ("log-level", "warn".to_owned()),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .into();
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let log = folder.join(format!("{name}.log"));
        let mut member = Self { name, place, scheme, arguments, log, program: None };
        member.restart();
        member
    }

    pub fn client_url(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.place.address, self.place.client)
    }

    /// Starts the member on its existing data, if it has any.
    pub fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.place.inside.clone();
        command.push("etcd".to_owned());
        command.extend(self.arguments.iter().cloned());
        self.program = Some(Program::start(&command, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        }));
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// SIGSTOP: the member keeps its connections, but does not respond.
    pub fn stop(&self) {
        self.program.iter().for_each(Program::stop);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.program.iter().for_each(Program::resume);
    }

    /// Reports whether the member was not killed.
    pub fn is_running(&self) -> bool {
        self.program.is_some()
    }

    /// Reports whether the member responds and has a majority.
    pub fn is_healthy(&self) -> bool {
        self.get("/health").is_ok_and(|response| response.contains("\"health\":\"true\""))
    }

    pub fn is_leader(&self) -> bool {
        self.get("/metrics").is_ok_and(|response| response.contains("\netcd_server_is_leader 1\n"))
    }

    /// Returns one of the member's metrics.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let response = self.get("/metrics").ok()?;
        let value = response.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value?.parse().ok()
    }

    /// Returns the end of the member's log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(20);
        format!("--- {}\n{}\n", self.name, lines[last..].join("\n"))
    }

    fn get(&self, path: &str) -> io::Result<String> {
        const TIMEOUT: Duration = Duration::from_secs(2);
        let address = SocketAddrV4::new(self.place.address, self.place.metrics);
        let mut stream = TcpStream::connect_timeout(&address.into(), TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        Ok(response)
    }
}
