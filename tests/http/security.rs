//! Tests of access control.

use procstate::Store;
use procstate::http::{Options, Token};

use super::client::{Site, TOKEN};

const WORK: &str = "/v1/processes/p/work/w";

fn put(site: &Site, headers: &[&str]) -> super::client::Answer {
    let headers: Vec<&str> =
        ["Content-Type: application/json"].into_iter().chain(headers.iter().copied()).collect();
    site.ask("PUT", WORK, &headers, b"{}")
}

#[test]
fn only_known_hosts_are_answered() {
    let site = Site::new();
    let port = site.address().port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"] {
        for host in [format!("Host: {host}"), format!("Host: {host}:{port}")] {
            assert_eq!(site.ask("GET", "/v1/processes", &[&host], b"").status, 200, "{host}");
        }
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::2]", "x@localhost"]
    {
        let answer = site.ask("GET", "/v1/processes", &[&format!("Host: {host}")], b"");
        assert!([400, 421].contains(&answer.status), "{host}: {}", answer.status);
        // The health checks accept any host.
        if answer.status == 421 {
            assert_eq!(site.ask("GET", "/healthz", &[&format!("Host: {host}")], b"").status, 200);
        }
    }
    let named = Site::with(Store::in_memory(), Options::new().allow_host("State.example"));
    assert_eq!(named.ask("GET", "/v1/processes", &["Host: state.example:8080"], b"").status, 200);
    let any = Site::with(Store::in_memory(), Options::new().allow_any_host());
    assert_eq!(any.ask("GET", "/v1/processes", &["Host: evil.example"], b"").status, 200);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let site = Site::new();
    for headers in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: nonsense"],
        &["Origin: http://evil.example"],
        &["Origin: null"],
        &["Origin: http://localhost:1"],
        &["Sec-Fetch-Site: cross-site", "Origin: http://localhost"],
    ] {
        assert!(put(&site, headers).problem(403).contains("another site"), "{headers:?}");
    }
    assert!(site.store.processes().unwrap().is_empty());
    for headers in
        [&["Sec-Fetch-Site: same-origin"][..], &["Sec-Fetch-Site: none"], &["Origin: http://localhost"], &[]]
    {
        put(&site, headers).ok();
    }
}

#[test]
fn a_configured_token_is_required() {
    let options = Options::new().token(Token::new(TOKEN).unwrap());
    let site = Site::with(Store::in_memory(), options);
    let get = |headers: &[&str]| site.ask("GET", "/v1/processes", headers, b"");
    let none = get(&[]);
    assert!(none.problem(401).contains("Authorization: Bearer"));
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    for wrong in
        ["Bearer 0123456789abcdeF", "Bearer", "Basic 0123456789abcdef", "Bearer 0123456789abcdef0", ""]
    {
        get(&[&format!("Authorization: {wrong}")]).problem(401);
    }
    // Clients with the token may use any host.
    let right = format!("Authorization: bearer {TOKEN}");
    assert_eq!(get(&[&right, "Host: state.example"]).status, 200);
    put(&site, &[&right]).ok();
    put(&site, &[]).problem(401);
    for open in ["/healthz", "/readyz"] {
        assert_eq!(site.get(open).status, 200);
    }
    site.get("/metrics").problem(401);
}

#[test]
fn tricks_with_paths_lead_nowhere() {
    let site = Site::new();
    for path in [
        "/v1/processes/../../etc/passwd",
        "//v1/processes",
        "/v1//processes",
        "/v1/processes/",
        "/V1/processes",
    ] {
        assert!([400, 404].contains(&site.get(path).status), "{path}");
    }
    let options = Options::new().token(Token::new(TOKEN).unwrap());
    let site = Site::with(Store::in_memory(), options);
    for path in
        ["/healthz/../v1/processes", "/healthz/..%2fv1/processes", "/%68ealthz", "/v1/processes?/healthz"]
    {
        assert_eq!(site.get(path).status, 401, "{path}");
    }
}
