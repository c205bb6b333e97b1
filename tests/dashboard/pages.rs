//! Tests of the pages and their links.

use std::collections::BTreeSet;

use procstate::http::{Options, Token, router};
use procstate::text::visible;
use procstate::{Params, Store};

use super::site::{NAMES, Page, process};
use crate::client::{Site, TOKEN};

/// Follows all links from the overview, with queries only for the first page of each path.
fn crawl(site: &Site, home: &str) -> Vec<Page> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![home.to_owned()];
    let mut pages = Vec::new();
    while let Some(path) = waiting.pop() {
        let path = path.split('#').next().unwrap().to_owned();
        if path.is_empty() || !seen.insert(path.clone()) {
            continue;
        }
        let page = Page::get(site, &path);
        waiting.extend(page.attributes("href").into_iter().filter(|link| !link.contains("/assets/")));
        pages.push(page);
    }
    pages
}

#[test]
fn names_are_escaped_and_their_links_resolve() {
    let site = Site::new();
    for name in NAMES {
        process(&site, name);
    }
    let home = Page::get(&site, "/");
    for name in NAMES {
        let page = Page::get(&site, &home.link(&visible(name)));
        assert!(page.shows(&format!("<h1><bdi>{}</bdi></h1>", visible(name))), "{}", page.html);
        for work in NAMES {
            let item = Page::get(&site, &page.link(&visible(work)));
            assert!(item.shows(&format!("<h1><bdi>{}</bdi></h1>", visible(work))), "{}", item.html);
            assert!(item.shows("bytes") || item.shows("Statistics"), "{}", item.html);
        }
    }
}

#[test]
fn pages_refer_to_this_server_only() {
    let site = Site::new();
    process(&site, NAMES[1]);
    process(&site, NAMES[7]);
    let pages = crawl(&site, "/");
    assert!(pages.len() > 50, "only {} pages were found", pages.len());
    for Page { path, html } in &pages {
        let page = Page { path: path.clone(), html: html.clone() };
        for name in ["href", "src", "action", "data-events"] {
            for address in page.attributes(name) {
                let is_own = address.starts_with('/') && !address.starts_with("//");
                assert!(is_own || address.starts_with('#'), "{path}: {name}={address}");
            }
        }
        let lower = html.to_lowercase();
        for forbidden in ["<style", " style=", " onerror=", " onclick=", "<img", "<script>", "javascript:"] {
            // Escaped text is harmless.
            let found = lower.replace("&#62;&#60;img src=x onerror=", "").contains(forbidden);
            assert!(!found, "{path}: {forbidden}");
        }
        let is_hidden = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200d}".contains(c);
        assert!(!html.contains(is_hidden), "{path}: {html:?}");
    }
}

#[test]
fn pages_forbid_loading_from_and_sending_to_other_sites() {
    let site = Site::new();
    process(&site, "p");
    for path in ["/", "/processes/p", "/processes/p/settings", "/processes/nothing"] {
        let answer = site.get(path);
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
}

#[test]
fn assets_are_cached_under_content_hashes() {
    let site = Site::new();
    let page = Page::get(&site, "/");
    let assets: Vec<String> = [page.attributes("href"), page.attributes("src")]
        .concat()
        .into_iter()
        .filter(|address| address.contains("/assets/"))
        .collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    for (asset, kind) in
        assets.iter().zip(["image/svg+xml", "text/css; charset=utf-8", "text/javascript; charset=utf-8"])
    {
        let answer = site.get(asset);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind));
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    }
    assert_eq!(site.get("/assets/dashboard-00000000.css").status, 404);
}

#[test]
fn an_overview_is_paged_and_filtered() {
    let site = Site::new();
    for n in 0..120 {
        site.store.process(&format!("p{n:03}")).unwrap().register("w", Params::new()).unwrap();
    }
    let first = Page::get(&site, "/");
    assert!(first.shows(">p000<") && first.shows(">p049<") && !first.shows(">p050<"));
    let third = Page::get(&site, &Page::get(&site, &first.link("Next page")).link("Next page"));
    assert!(third.shows(">p100<") && third.shows(">p119<") && !third.shows("Next page"));
    assert_eq!(Page::get(&site, &third.link("First page")).html, first.html);
    let some = Page::get(&site, "/?prefix=p11");
    assert!(some.shows(">p110<") && some.shows(">p119<") && !some.shows(">p109<"));
    assert!(Page::get(&site, "/?prefix=q").shows("There are no processes with this prefix"));
}

#[test]
fn items_are_paged_and_filtered() {
    let site = Site::new();
    let process = process(&site, "p");
    process.register_all((0..250).map(|n| (format!("w{n:03}"), Params::new()))).unwrap();
    process.unregister("w001").unwrap();
    let page = |query: &str| Page::get(&site, &format!("/processes/p?{query}"));
    let first = page("prefix=w");
    assert!(
        first.shows(">w000<") && first.shows(">w100<") && !first.shows(">w001<") && !first.shows(">w101<")
    );
    let third = Page::get(&site, &Page::get(&site, &first.link("Next page")).link("Next page"));
    assert!(third.shows(">w249<") && !third.shows("Next page"), "{}", third.html);
    assert!(third.shows("value=\"w\""), "the filter is kept");
    let cleanup = page("list=cleanup");
    assert!(cleanup.shows(">w001<") && !cleanup.shows(">w002<"));
    let failed = page("state=incomplete");
    assert!(failed.shows(">incomplete</span>") && !failed.shows(">w000<"));
    assert!(!page("errors=yes").shows(">w000<"));
    assert!(page("state=completed&prefix=w").shows("There are none."));
}

#[ignore = "registers a million items, which takes a minute"]
#[test]
fn a_million_items_can_be_paged() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register_all((0..1_000_000).map(|n| (format!("w{n:07}"), Params::new()))).unwrap();
    for (query, shown) in [
        ("", ">w0000099<"),
        ("after=w0999899", ">w0999999<"),
        ("prefix=w09999&after=w0999950", ">w0999999<"),
        ("state=completed", "there are more"),
    ] {
        let begun = std::time::Instant::now();
        assert!(Page::get(&site, &format!("/processes/p?{query}")).shows(shown), "{query}");
        println!("{query:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn errors_are_rendered_as_pages() {
    let site = Site::new();
    process(&site, "p");
    for (path, status, text) in [
        ("/processes/nothing", 404, "\"nothing\""),
        ("/processes/p/do/explode", 400, "the path cannot be read"),
        ("/processes/p?list=none", 400, "unknown variant"),
        ("/processes/p/settings?x=%00", 200, "Settings"),
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(Page::of(path, &answer).shows(text), "{path}: {}", answer.text());
    }
    assert!(Page::get(&site, "/processes/p/work/nothing").shows("purged, or never there"));
}

#[test]
fn past_runs_are_a_chart_and_a_table() {
    let site = Site::new();
    let process = process(&site, "p");
    crate::common::won(&process).finish().unwrap();
    let page = Page::get(&site, "/processes/p");
    assert_eq!(page.html.matches("<rect ").count(), 4);
    assert!(page.shows("How long each run took: 2 runs"), "{}", page.html);
    assert!(page.shows("The last 2 runs as a table"));
}

#[test]
fn links_include_the_prefix() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = Site::new();
    process(&site, "a/b");
    let admin = router(&site.store, Options::new());
    let service = axum::Router::new().nest("/deep/admin", admin);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, service).await });
    let get = |path: &str| {
        let answer = Site::ask_at(address, "GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Page::of(path, &answer)
    };
    let home = get("/deep/admin");
    let page = get(&home.link("a/b"));
    assert_eq!(page.path, "/deep/admin/processes/a%2Fb");
    let item = get(&page.link("a/b/../c"));
    for page in [home, page, item] {
        for name in ["href", "src", "action", "data-events"] {
            for address in page.attributes(name) {
                assert!(address.starts_with("/deep/admin") || address.starts_with('#'), "{name}={address}");
            }
        }
    }
}

#[test]
fn a_browser_is_asked_for_the_token_as_a_password() {
    let token = Token::new(TOKEN).unwrap();
    let site = Site::with(Store::in_memory(), Options::new().token(token));
    let answer = site.get("/");
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("Basic realm=\"procstate\""), "{}", answer.head);
    // The first is the token with any user name, the second another password.
    for (given, status) in [("bWU6MDEyMzQ1Njc4OWFiY2RlZg==", 200), ("bWU6MDEyMzQ1Njc4OWFiY2RlZQ==", 401)] {
        let header = format!("Authorization: Basic {given}");
        assert_eq!(site.ask("GET", "/", &[&header], b"").status, status);
    }
}

#[test]
fn a_stopped_store_is_reported() {
    let site = Site::with(Store::in_memory(), Options::new());
    process(&site, "p");
    site.store.clone().close().unwrap();
    let answer = site.get("/processes/p");
    assert_eq!(answer.status, 503);
    assert!(Page::of("/", &answer).shows("the store was closed"), "{}", answer.text());
}
