//! Writes data to standard output and messages to standard error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{ContentArrangement, Table, presets};
use procstate::Timestamp;
use serde_json::Value;

use crate::failure::Failure;
use crate::terminal::log::own_words;
use crate::terminal::patience;
use procstate::text::{visible, visible_json};

/// The destination of data.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), is_json }
    }

    /// Reports whether the output is for a program rather than a person.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes one escaped line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{}", visible(text))?)
    }

    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.json_text(&value.to_string())
    }

    /// Writes compact JSON on one line.
    pub(crate) fn json_text(&mut self, json: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{}", visible_json(json))?)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Writes a table.
    pub(crate) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        table_lines(head, &rows).iter().try_for_each(|line| self.line(line))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }
}

/// Returns the lines of a table.
pub(crate) fn table_lines(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    // Escaped before the column widths are measured.
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| visible(cell))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Writes a message to standard error, on one line; failures are ignored.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(&own_words(text)));
}

/// Like [`say`], but waits for a blocked reader only until `is_enough`.
pub(crate) fn say_unless(is_enough: &dyn Fn() -> bool, text: &str) {
    let line = format!("{}\n", visible(&own_words(text)));
    let _ = patience::write_all(io::stderr(), line.as_bytes(), is_enough);
}

/// Formats a count with its noun: `1 item`, `2 processes`.
pub(crate) fn count(number: impl TryInto<u128>, noun: &str) -> String {
    // No count is that large.
    let number = number.try_into().unwrap_or(u128::MAX);
    match noun {
        _ if number == 1 => format!("1 {noun}"),
        _ if noun.ends_with(['s', 'x']) => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Reports whether a stream is a terminal that supports cursor movement.
pub(crate) fn can_draw(stream: &impl IsTerminal) -> bool {
    let terminal = std::env::var_os("TERM");
    stream.is_terminal() && terminal.is_some_and(|terminal| terminal != "dumb" && !terminal.is_empty())
}

/// Formats a time to the second.
pub(crate) fn time(time: Option<Timestamp>) -> String {
    time.map_or("-".to_owned(), |time| format!("{time:.0}"))
}

/// Formats a time relative to now: `3m ago`, or `in 5h`.
pub(crate) fn age(time: Option<Timestamp>, now: Timestamp) -> String {
    let Some(time) = time else { return "-".to_owned() };
    let seconds = now.duration_since(time).as_secs();
    let amount = match seconds.unsigned_abs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    };
    if seconds < 0 { format!("in {amount}") } else { format!("{amount} ago") }
}

/// Formats a time as JSON.
pub(crate) fn json_time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::String(time.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_nouns() {
        assert_eq!(count(1_u64, "process"), "1 process");
        assert_eq!(count(0_usize, "process"), "0 processes");
        assert_eq!(count(2_i64, "damaged index"), "2 damaged indexes");
        assert_eq!(count(2_i64, "byte"), "2 bytes");
    }

    #[test]
    fn ages_are_short() {
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
        let at = |text: &str| age(Some(text.parse().unwrap()), now);
        assert_eq!(at("2026-01-02T23:59:59Z"), "1s ago");
        assert_eq!(at("2026-01-02T23:57:00Z"), "3m ago");
        assert_eq!(at("2026-01-01T12:00:00Z"), "36h ago");
        assert_eq!(at("2025-12-01T00:00:00Z"), "33d ago");
        assert_eq!(at("2026-01-03T05:00:00Z"), "in 5h");
        assert_eq!(age(None, now), "-");
    }
}
