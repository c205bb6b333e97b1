//! The cost of readers for writers: progress updates with and without 500 listening clients and 50
//! hostile ones.
//!
//!     cargo bench --features http --bench served            half a minute
//!
//! The clients are a separate program; with few cores they compete for them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procstate::http::Server;
use procstate::{Claim, ClaimOptions, Instance, Params, Progress, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLIENTS: &str = "--clients-of";
const LISTENING: usize = 500;
const HOSTILE: usize = 50;

/// The number of measurements, alternating so that disturbances affect both.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == CLIENTS) {
        return clients(&arguments[at + 1]);
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let time = if is_test { Duration::from_millis(50) } else { Duration::from_secs(2) };
    let rounds = if is_test { 1 } else { ROUNDS };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("state")).unwrap();
    let (mut alone, mut served) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(updates(&store, time));
        let server = Server::builder(&store).listen("127.0.0.1:0").start().unwrap();
        let mut clients = start(&server.addresses()[0].to_string());
        served.push(updates(&store, time));
        clients.kill().unwrap();
        clients.wait().unwrap();
        server.shutdown(Duration::from_secs(5));
    }
    let (alone, served) = (median(alone), median(served));
    println!("alone                        {alone:>9.0} updates/s");
    println!("{LISTENING} listening, {HOSTILE} hostile    {served:>9.0} updates/s    {:.2}", served / alone);
}

/// Returns progress updates per second, each of them written.
fn updates(store: &Store, time: Duration) -> f64 {
    let process = store.process("p").unwrap();
    process.register_all((0..100).map(|n| (format!("{n}"), Params::new()))).unwrap();
    let options = ClaimOptions::new().force(true).progress_interval(Duration::ZERO);
    let Claim::Won(mut run) = process.claim_with(&Instance::new(), &options).unwrap() else { panic!("held") };
    let mut work = run.next_work().unwrap().unwrap();
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < time {
        for _ in 0..100 {
            work.add_stat("n", 1.0);
            assert_eq!(work.progress().unwrap(), Progress::Updated);
        }
        count += 100;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    drop(work);
    run.finish().unwrap();
    rate
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Starts the clients, and waits until they are connected.
fn start(address: &str) -> Child {
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args([CLIENTS, address])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(clients.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    clients
}

#[tokio::main(flavor = "current_thread")]
async fn clients(address: &str) {
    for _ in 0..LISTENING {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut bytes = [0; 4096];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        tokio::spawn(async move { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} });
    }
    for n in 0..HOSTILE {
        let address = address.to_owned();
        tokio::spawn(async move {
            loop {
                // The server may rightly close the connection.
                let _ = mischief(&address, n).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    println!("ready");
    std::future::pending().await
}

/// Half requests, slow reads, huge headers, wrong hosts, other sites, path traversal.
async fn mischief(address: &str, n: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let post =
        "POST /v1/processes/p/pause HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n";
    let request = match n % 6 {
        0 => "GET /v1/processes HTTP/1.1\r\nHo",
        1 => "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        2 => huge.as_str(),
        3 => "GET /v1/processes HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        4 => post,
        _ => "GET /v1/processes/../../%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };
    stream.write_all(request.as_bytes()).await?;
    // It reads nothing of the response.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
