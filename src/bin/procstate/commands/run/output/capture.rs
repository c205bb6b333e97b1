//! Captures the output of a command: forwards whole lines, keeps it in files, and retains the last
//! lines for the error of a failed item.

use std::collections::VecDeque;
use std::io;

use super::log_files::LogFile;
use super::report::Report;
use crate::commands::run::child::Stream;

/// A longer line is split.
const LINE_MAX: usize = 1 << 20;

/// The lines of standard error kept with a failed item, as far as they fit into an error's text.
const TAIL_LINES_MAX: usize = 10;
const TAIL_CHARS_MAX: usize = 300;

/// The output of one command.
pub(crate) struct Capture<'a> {
    report: &'a Report,
    work: &'a str,
    stdout: Lines,
    stderr: Lines,
    tail: VecDeque<String>,
    logs: Option<[LogFile; 2]>,
    /// The first write error.
    failure: Option<String>,
    /// The number of bytes received on standard output.
    pub(crate) received: u64,
}

impl<'a> Capture<'a> {
    pub(crate) fn new(report: &'a Report, work: &'a str, logs: Option<[LogFile; 2]>) -> Self {
        Self {
            report,
            work,
            stdout: Lines::default(),
            stderr: Lines::default(),
            tail: VecDeque::new(),
            logs,
            failure: None,
            received: 0,
        }
    }

    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stdout {
            self.received += u64::try_from(bytes.len()).unwrap_or_default();
        }
        if let Some([stdout, stderr]) = &mut self.logs {
            let log = if stream == Stream::Stdout { stdout } else { stderr };
            if let Err(error) = log.write(bytes) {
                self.failure.get_or_insert_with(|| unwritten("logs", &error));
            }
        }
        let lines = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        if let Some(whole) = lines.push(bytes) {
            self.pass_on(stream, &whole);
        }
    }

    fn pass_on(&mut self, stream: Stream, lines: &[u8]) {
        if let Err(error) = self.report.output(self.work, stream, lines) {
            self.failure.get_or_insert_with(|| unwritten("output", &error));
        }
        if stream == Stream::Stderr {
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                self.tail.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
                if self.tail.len() > TAIL_LINES_MAX {
                    self.tail.pop_front();
                }
            }
        }
    }

    /// Ends the capture; returns the last lines of standard error.
    ///
    /// # Errors
    ///
    /// If the output or a log could not be written.
    pub(crate) fn end(&mut self) -> Result<String, String> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let lines = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
            if let Some(rest) = lines.end() {
                self.pass_on(stream, &rest);
            }
        }
        for log in self.logs.iter_mut().flatten() {
            if let Err(error) = log.end() {
                self.failure.get_or_insert_with(|| unwritten("logs", &error));
            }
        }
        self.failure.take().map_or_else(|| Ok(last_lines(&self.tail)), Err)
    }
}

fn unwritten(what: &str, error: &io::Error) -> String {
    format!("could not write its {what}: {error}")
}

/// Returns the last whole lines that fit, or the start of a single line that does not.
fn last_lines(tail: &VecDeque<String>) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut left = TAIL_CHARS_MAX;
    for line in tail.iter().rev() {
        let Some(rest) = left.checked_sub(line.chars().count() + 1) else { break };
        left = rest;
        kept.push(line);
    }
    if kept.is_empty() {
        return tail.back().map_or_else(String::new, |line| {
            let beginning: String = line.chars().take(TAIL_CHARS_MAX).collect();
            if beginning.len() < line.len() { format!("{beginning}...") } else { beginning }
        });
    }
    kept.reverse();
    kept.join("\n")
}

/// Joins pieces into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Returns the lines that are now complete.
    fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (whole, begun) = bytes.split_at(end);
        if whole.is_empty() && self.begun.len() + begun.len() <= LINE_MAX {
            self.begun.extend_from_slice(begun);
            return None;
        }
        let mut lines = std::mem::replace(&mut self.begun, begun.to_vec());
        lines.extend_from_slice(whole);
        Some(lines)
    }

    /// Returns the last line, with a line end.
    fn end(&mut self) -> Option<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.begun);
        if rest.is_empty() {
            return None;
        }
        rest.push(b'\n');
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_from_pieces() {
        let mut lines = Lines::default();
        let pieces = ["a", "b\nc", "\n\nd\ne", "f"].map(|piece| lines.push(piece.as_bytes()));
        let whole: Vec<u8> = pieces.into_iter().flatten().flatten().collect();
        assert_eq!(whole, b"ab\nc\n\nd\n");
        assert_eq!(lines.end().unwrap(), b"ef\n");
        assert!(lines.end().is_none());
    }

    #[test]
    fn an_endless_line_is_split() {
        let mut lines = Lines::default();
        let passed: usize = (0..50).filter_map(|_| lines.push(&[b'x'; 100_000])).map(|some| some.len()).sum();
        assert!(passed >= 5_000_000 - LINE_MAX - 100_000, "{passed}");
    }

    #[test]
    fn an_error_begins_with_a_whole_line() {
        let tail = |lines: &[&str]| last_lines(&lines.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(tail(&[]), "");
        assert_eq!(tail(&["a", "b"]), "a\nb");
        let long = "x".repeat(200);
        assert_eq!(tail(&[&long, &long, "end"]), format!("{long}\nend"));
        assert_eq!(tail(&["a", &"y".repeat(400)]), format!("{}...", "y".repeat(300)));
    }
}
