//! Tests of startup, limits, and shutdown.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use procstate::Store;
use procstate::http::{Options, Server, Token};

use super::client::{Site, TOKEN, read};

#[test]
fn a_program_without_a_runtime_serves_its_store() {
    let site = Site::new();
    assert_eq!(site.get("/healthz").text(), "ok\n");
    assert_eq!(site.get("/readyz").text(), "ok\n");
    let detail = site.get("/nothing").problem(404);
    assert!(detail.contains("\"/nothing\""), "{detail}");
    site.send("POST", "/healthz", "{}").problem(405);
}

#[test]
fn a_store_that_was_closed_is_not_ready() {
    let site = Site::new();
    site.store.clone().close().unwrap();
    assert_eq!(site.get("/healthz").status, 200);
    assert_eq!(site.get("/readyz").problem(503), "the store was closed");
}

#[test]
fn every_response_has_security_headers() {
    let site = Site::new();
    for path in ["/healthz", "/nothing"] {
        let answer = site.get(path);
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.find("access-control-allow-origin"), None);
    }
}

#[test]
fn a_socket_is_served_beside_an_address_and_asks_for_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let store = Store::in_memory();
    let options = Options::new().token(Token::new(TOKEN).unwrap());
    let server = Server::builder(&store).options(options).listener(listener).start().unwrap();
    assert!(server.addresses().is_empty());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n").unwrap();
    read(&mut stream).problem(404);
}

#[test]
fn other_machines_need_a_token() {
    let store = Store::in_memory();
    let error = Server::builder(&store).listen("0.0.0.0:0").start().unwrap_err();
    assert!(error.to_string().contains("there is no token"), "{error}");
    let options = Options::new().token(Token::new(TOKEN).unwrap());
    drop(Server::builder(&store).options(options).listen("0.0.0.0:0").start().unwrap());
    let error = Server::builder(&store).start().unwrap_err();
    assert!(error.to_string().contains("nothing to listen on"), "{error}");
}

#[test]
fn an_address_in_use_is_named() {
    let site = Site::new();
    let error = Server::builder(&site.store).listen(site.address()).start().unwrap_err();
    assert!(error.to_string().contains(&site.address().to_string()), "{error}");
}

#[test]
fn starting_a_server_in_a_task_reports_errors() {
    let site = Site::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        Server::builder(&site.store).listen(site.address()).start().unwrap_err();
        Server::builder(&site.store).start().unwrap_err();
        drop(Server::builder(&site.store).listen("127.0.0.1:0").start().unwrap());
    });
}

#[test]
fn an_endless_header_is_refused() {
    let site = Site::new();
    let mut stream = site.connect();
    let header = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    (0..100).for_each(|_| head.extend_from_slice(header.as_bytes()));
    let _ = stream.write_all(&head);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn more_connections_than_allowed_wait() {
    let store = Store::in_memory();
    let server = Server::builder(&store).listen("127.0.0.1:0").connections_max(2).start().unwrap();
    let site = Site { server, store };
    let idle: Vec<_> = (0..2).map(|_| site.connect()).collect();
    let mut third = site.connect();
    third.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(third.read(&mut [0]).is_err(), "it was served beside two others");
    third.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    drop(idle);
    assert_eq!(read(&mut third).status, 200);
}

#[test]
fn a_server_stops_with_connections_open() {
    let site = Site::new();
    let idle: Vec<_> = (0..3).map(|_| site.connect()).collect();
    let address = site.address();
    site.server.shutdown(Duration::from_secs(30));
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(idle);
    // Dropping a server stops it too.
    let site = Site::new();
    let address = site.address();
    drop(site.server);
    assert!(std::net::TcpStream::connect(address).is_err());
}
