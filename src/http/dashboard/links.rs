//! Addresses of pages.

use serde::Deserialize;

use super::super::exchange::address::{Prefix, encoded};
use super::show;

/// A name as a path segment of a page.
///
/// Browsers treat the segments `.` and `..` as relative, even if encoded, so these are prefixed by
/// a tilde, and so are names that start with a tilde.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub(super) struct Name(pub(super) String);

impl From<String> for Name {
    fn from(segment: String) -> Self {
        Self(segment.strip_prefix('~').map(str::to_owned).unwrap_or(segment))
    }
}

fn segment(name: &str) -> String {
    let tilde = if matches!(name, "." | "..") || name.starts_with('~') { "~" } else { "" };
    format!("{tilde}{}", encoded(name))
}

/// A link with its text.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) address: String,
}

impl Prefix {
    /// Returns the address of the overview.
    pub(super) fn home(&self) -> String {
        if self.as_str().is_empty() { "/".to_owned() } else { self.as_str().to_owned() }
    }

    /// Returns the address of a process page.
    pub(super) fn page(&self, process: &str) -> String {
        format!("{}/processes/{}", self.as_str(), segment(process))
    }

    /// Returns the address of an item page.
    pub(super) fn item_page(&self, process: &str, work: &str) -> String {
        format!("{}/work/{}", self.page(process), segment(work))
    }

    pub(super) fn process_link(&self, process: &str) -> Link {
        Link { text: show::text(process), address: self.page(process) }
    }

    pub(super) fn item_link(&self, process: &str, work: &str) -> Link {
        Link { text: show::text(work), address: self.item_page(process, work) }
    }
}

/// Adds a query, omitting empty values.
pub(super) fn with_query(address: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    if pairs.is_empty() { address.to_owned() } else { format!("{address}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_relative_segment() {
        for (name, expected) in [
            ("gc", "gc"),
            (".", "~."),
            ("..", "~.."),
            ("~x", "~~x"),
            ("a/b", "a%2Fb"),
            ("\0", "%00"),
            ("...", "..."),
        ] {
            assert_eq!(segment(name), expected);
            let read = percent_encoding::percent_decode_str(expected).decode_utf8().unwrap().into_owned();
            assert_eq!(Name::from(read).0, name);
        }
    }

    #[test]
    fn queries_omit_empty_values() {
        assert_eq!(with_query("/p", &[("a", ""), ("b", "x&=\n")]), "/p?b=x%26%3D%0A");
        assert_eq!(with_query("/p", &[("a", "")]), "/p");
    }
}
