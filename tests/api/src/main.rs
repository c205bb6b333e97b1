//! Tests of the public API, which parse the sources of the library: the API must match its listing,
//! and everything that users call must have an example. `just api` rewrites the listing after an
//! intended change.
#![cfg(test)]

mod errors;
mod items;
mod listing;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use items::Item;
use sources::Sources;

/// The folder of the library.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const LISTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/public-api.txt");

fn items() -> Vec<Item> {
    let sources = Sources::read(Path::new(ROOT).join("src/lib.rs").as_path());
    items::of(&sources)
}

#[test]
fn the_listing_is_the_public_api() {
    let listing = listing::of(&items());
    if std::env::var_os("PROCSTATE_BLESS").is_some() {
        fs::write(LISTING, &listing).unwrap();
    }
    let kept = fs::read_to_string(LISTING).unwrap_or_default();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (kept.lines().collect(), listing.lines().collect());
    let gone: Vec<String> = old.difference(&new).map(|line| format!("- {line}")).collect();
    let added: Vec<String> = new.difference(&old).map(|line| format!("+ {line}")).collect();
    assert_eq!(
        kept,
        listing,
        "the public API has changed:\n{}\nIf this is intended, run `just api`, commit docs/public-api.txt, and say so in CHANGELOG.md",
        [gone, added].concat().join("\n")
    );
}

#[test]
fn everything_that_users_call_has_an_example() {
    let items = items();
    let called: Vec<&Item> = items.iter().filter(|item| item.is_called()).collect();
    let examples: String =
        items.iter().map(|item| item.examples.as_str()).chain([include_str!("../../../README.md")]).collect();
    let lacking: Vec<&str> =
        called.iter().filter(|item| !item.is_shown_in(&examples)).map(|item| item.path.as_str()).collect();
    assert!(called.len() > 200, "only {} items were found", called.len());
    assert!(
        lacking.is_empty(),
        "{} of {} items that users call are in no example:\n{}",
        lacking.len(),
        called.len(),
        lacking.join("\n")
    );
}
