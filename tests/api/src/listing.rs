//! The listing: a line for each public item, sorted by its path.

use std::collections::BTreeSet;

use quote::ToTokens;
use syn::Attribute;

use crate::items::Item;

pub(crate) fn of(items: &[Item]) -> String {
    let lines: BTreeSet<(&str, String)> = items.iter().map(|item| (item.path.as_str(), line(item))).collect();
    let head = "# Every public item of the library, kept by tests/api. `just api` rewrites it.\n";
    lines.into_iter().fold(head.to_owned(), |text, (_, line)| text + &line + "\n")
}

fn line(item: &Item) -> String {
    let features: Vec<&str> = item.features.iter().map(String::as_str).collect();
    if features.is_empty() {
        item.signature.clone()
    } else {
        format!("{} [{}]", item.signature, features.join(", "))
    }
}

/// The features that a `cfg` asks for.
pub(crate) fn features(attrs: &[Attribute]) -> Vec<String> {
    let texts = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).map(|attr| text(&attr.meta));
    texts.flat_map(|text| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Tokens as people write them, on one line.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    const SPACES: [(&str, &str); 16] = [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("> (", ">("),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" ,", ","),
        (" :", ":"),
        ("& ", "&"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
    ];
    for (from, to) in SPACES {
        text = text.replace(from, to);
    }
    text.replace(",)", ")")
        .replace("-> ", "-> ")
        .replace("->(", "-> (")
        .replace("->&", "-> &")
        .trim()
        .to_owned()
}
