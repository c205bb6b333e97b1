//! Pages as a browser without scripts receives them.

use procstate::proto::State;
use procstate::{Params, ProcessHandle};

use crate::client::{Answer, Site};
use crate::common::won;

/// Names that could break a page, a path or the text direction.
pub const NAMES: [&str; 12] = [
    "plain",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "a/b/../c",
    ".",
    "..",
    "~tilde",
    "nul\0 bell\u{7} escape\u{1b}[31m",
    "line\r\nbreak\ttab",
    "right\u{202e}to left \u{2066}isolate",
    "%2F%00 a+b&c=d;e#f?g",
    "שלום 日本 \u{1F600}\u{200d}",
];

/// A page and its path.
pub struct Page {
    pub path: String,
    pub html: String,
}

impl Page {
    /// Gets a page that must succeed.
    pub fn get(site: &Site, path: &str) -> Self {
        let answer = site.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Self::of(path, &answer)
    }

    pub fn of(path: &str, answer: &Answer) -> Self {
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        Self { path: path.to_owned(), html: answer.text().to_owned() }
    }

    /// The values of an attribute.
    pub fn attributes(&self, name: &str) -> Vec<String> {
        let before = format!(" {name}=\"");
        let values = self.html.split(&before).skip(1);
        values.map(|rest| unescaped(rest.split('"').next().unwrap())).collect()
    }

    /// Returns the links with this text.
    pub fn link(&self, text: &str) -> String {
        let links = self.html.split("<a ").skip(1).map(|rest| rest.split("</a>").next().unwrap());
        let found = links.filter(|link| {
            let shown = link.split_once('>').unwrap().1.replace("<bdi>", "").replace("</bdi>", "");
            unescaped(&shown) == text
        });
        let page = found.last().unwrap_or_else(|| panic!("no link {text:?} in {}", self.html));
        unescaped(page.split("href=\"").nth(1).unwrap().split('"').next().unwrap())
    }

    /// Reports whether the page shows the text after unescaping.
    pub fn shows(&self, text: &str) -> bool {
        unescaped(&self.html).contains(text)
    }
}

/// Decodes HTML character references.
pub fn unescaped(text: &str) -> String {
    let known = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    known.iter().fold(text.to_owned(), |text, (reference, stands)| text.replace(reference, stands))
}

/// Creates a process with items, some of which were processed by a run.
pub fn process(site: &Site, name: &str) -> ProcessHandle {
    let process = site.store.process(name).unwrap();
    for name in NAMES {
        process.register(name, Params::new().int("n", 1).string(name, name)).unwrap();
    }
    let mut run = won(&process);
    let mut n = 0_u32;
    while let Some(mut work) = run.next_work().unwrap() {
        work.add_stat("bytes", 1.5);
        n += 1;
        if n.is_multiple_of(5) {
            let name = work.name().to_owned();
            work.add_error(name);
        }
        if n == 11 {
            break;
        }
    }
    run.finish().unwrap();
    assert_ne!(process.summary().unwrap().state, State::Unspecified);
    process
}

/// Posts a form as a page of this server.
pub fn post(site: &Site, path: &str, fields: &[(&str, &str)]) -> Answer {
    let origin = format!("Origin: http://{}", site.address());
    let host = format!("Host: {}", site.address());
    post_from(site, path, fields, &[&origin, &host])
}

pub fn post_from(site: &Site, path: &str, fields: &[(&str, &str)], headers: &[&str]) -> Answer {
    let encoded = |text: &str| percent(text);
    let body: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let kind = ["Content-Type: application/x-www-form-urlencoded"];
    let headers: Vec<&str> = kind.into_iter().chain(headers.iter().copied()).collect();
    site.ask("POST", path, &headers, body.join("&").as_bytes())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Follows the redirect of a form.
pub fn follow(site: &Site, answer: &Answer) -> Page {
    assert_eq!(answer.status, 303, "{}", answer.text());
    Page::get(site, answer.header("location"))
}
