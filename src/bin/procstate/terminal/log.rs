//! Writes the library's log to standard error.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use procstate::text::visible;

/// The suffix of warnings about a private copy.
const IN_A_COPY: &str = " (in a private copy; the store was not changed)";

/// The open private copies, each with its store.
static COPIES: RwLock<Vec<(String, String)>> = RwLock::new(Vec::new());

/// Whether the screen is in use, so that nothing may be logged.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Turns logging off or on again.
pub(crate) fn silence(is_silent: bool) {
    IS_SILENT.store(is_silent, Ordering::SeqCst);
}

pub(crate) fn to_stderr(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let lines = fmt::layer().with_writer(Stderr).without_time().with_target(false);
    tracing_subscriber::registry().with(lines).with(Targets::new().with_target("procstate", level)).init();
}

/// Replaces `copy` by `store` in all messages from now on, since damage of the copy is damage of
/// the store.
pub(crate) fn speak_of(copy: &Path, store: &Path) {
    let mut copies = COPIES.write().unwrap_or_else(PoisonError::into_inner);
    copies.push((copy.to_string_lossy().into_owned(), store.to_string_lossy().into_owned()));
}

/// Replaces the paths of private copies by those of their stores.
pub(crate) fn own_words(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (copy, store) in COPIES.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(copy) {
            text = Cow::Owned(text.replace(copy, store));
        }
    }
    text
}

/// Writes each event on a line of its own.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::default()
    }
}

/// An event, which is written once complete.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if IS_SILENT.load(Ordering::SeqCst) {
            return;
        }
        let event = String::from_utf8_lossy(&self.bytes);
        // A failed write is ignored.
        let _ = writeln!(io::stderr(), "{}", formatted(event.trim_end()));
    }
}

fn formatted(event: &str) -> String {
    let is_warning = ["WARN", "ERROR"].iter().any(|level| event.trim_start().starts_with(level));
    // A command opens one store: if that is a copy, all events are about the copy.
    let is_of_copy = !COPIES.read().unwrap_or_else(PoisonError::into_inner).is_empty();
    let note = if is_warning && is_of_copy { IN_A_COPY } else { "" };
    format!("{}{note}", visible(&own_words(event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_by_the_name_of_its_store() {
        assert_eq!(formatted(" WARN it is odd path=/srv/state"), " WARN it is odd path=/srv/state");
        speak_of(Path::new("/tmp/procstate-a1"), Path::new("/srv/state"));
        assert_eq!(
            formatted(" WARN it is odd\n path=/tmp/procstate-a1/index"),
            format!(" WARN it is odd\\n path=/srv/state/index{IN_A_COPY}")
        );
        assert_eq!(formatted("ERROR the log is cut"), format!("ERROR the log is cut{IN_A_COPY}"));
        assert_eq!(formatted("DEBUG path=/tmp/procstate-a1"), "DEBUG path=/srv/state");
        assert_eq!(own_words("/tmp/procstate-a1/wal is damaged"), "/srv/state/wal is damaged");
    }
}
