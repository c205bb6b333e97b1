//! Renders samples as lines for people and objects for programs.

use std::cmp::Reverse;
use std::time::Duration;

use procstate::text::visible;
use procstate::{Clock, SystemClock, Timestamp};
use serde_json::json;

use super::fitting::fitting;
use super::sample::Sample;
use crate::commands::look::state;
use crate::failure::Failure;
use crate::input::duration;
use crate::terminal::output::{Output, age, count, json_time, table_lines};

const HEAD: [&str; 8] = ["PROCESS", "STATE", "OWNER", "PROGRESS", "RATE", "TO GO", "ERRORS", "SEEN"];
const FAILING_HEAD: [&str; 5] = ["FAILING", "WORK", "STATE", "ERRORS", "LAST ERROR"];

/// The width of a name; that of an owner is half of it.
const NAME_COLUMNS: usize = 28;

/// The width of a progress bar.
const BAR: u64 = 10;

/// Prints everything once.
pub(super) fn print(glances: &[Sample], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return glances.iter().try_for_each(|glance| output.json(&glance.to_json()));
    }
    let (processes, failing) = (process_rows(glances, usize::MAX), failing_rows(glances, usize::MAX));
    output.table(&HEAD, processes)?;
    if !failing.is_empty() {
        output.line("")?;
        output.table(&FAILING_HEAD, failing)?;
    }
    Ok(())
}

/// Returns the lines that fit on a screen of this size, active processes first.
pub(super) fn lines(mut glances: Vec<&Sample>, columns: usize, rows: usize) -> Vec<String> {
    let held = glances.iter().filter(|glance| glance.is_held).count();
    let now = SystemClock::new().now();
    let title = format!("{now:.0}  {}, {held} of them held  (q quits)", count(glances.len(), "process"));
    glances.sort_by_key(|glance| Reverse((glance.is_held, !glance.failing.is_empty())));
    let processes = table_lines(&HEAD, &process_rows(glances.iter().copied(), NAME_COLUMNS));
    let failing = failing_rows(glances.iter().copied(), NAME_COLUMNS);
    let failing = if failing.is_empty() { Vec::new() } else { table_lines(&FAILING_HEAD, &failing) };
    // The title, and a line before each table.
    let room = rows.saturating_sub(3);
    let for_failing = failing.len().min((room / 2).max(room.saturating_sub(processes.len())));
    let mut lines = vec![title, String::new()];
    lines.extend(shortened(processes, room - for_failing));
    lines.push(String::new());
    lines.extend(shortened(failing, for_failing));
    lines.truncate(rows);
    lines.iter().map(|line| fitting(&visible(line), columns).into_owned()).collect()
}

/// Returns the first lines of a table, and the number of the others.
fn shortened(mut lines: Vec<String>, room: usize) -> Vec<String> {
    if lines.len() > room && room > 0 {
        let more = lines.split_off(room - 1).len();
        lines.push(format!("... and {more} more"));
    }
    lines.truncate(room);
    lines
}

fn process_rows<'a>(glances: impl IntoIterator<Item = &'a Sample>, name_columns: usize) -> Vec<Vec<String>> {
    let now = SystemClock::new().now();
    glances.into_iter().map(|glance| glance.row(now, name_columns)).collect()
}

fn failing_rows<'a>(glances: impl IntoIterator<Item = &'a Sample>, name_columns: usize) -> Vec<Vec<String>> {
    let name = |name: &str| fitting(&visible(name), name_columns).into_owned();
    let rows = glances.into_iter().flat_map(|glance| {
        glance.failing.iter().map(move |item| {
            let errors = item.errors.to_string();
            vec![name(&glance.name), name(&item.work), state(item.state), errors, item.error.clone()]
        })
    });
    rows.collect()
}

impl Sample {
    fn row(&self, now: Timestamp, name_columns: usize) -> Vec<String> {
        let name = |name: &str, columns| fitting(&visible(name), columns).into_owned();
        let owner = match &*self.instance {
            "" => "-".to_owned(),
            instance if self.is_held => name(instance, name_columns / 2),
            instance => format!("({})", name(instance, name_columns / 2)),
        };
        vec![
            name(&self.name, name_columns),
            format!("{}{}", state(self.state), if self.is_paused { ", paused" } else { "" }),
            owner,
            self.bar(),
            self.rate.map_or("-".to_owned(), rate),
            self.eta.map_or("-".to_owned(), rounded),
            self.errors.to_string(),
            age(self.progress, now),
        ]
    }

    fn bar(&self) -> String {
        let done = self.ended.saturating_mul(BAR).checked_div(self.total).unwrap_or_default().min(BAR);
        let bar: String = (0..BAR).map(|n| if n < done { '#' } else { '.' }).collect();
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!("[{bar}] {}/{}{failed}", self.ended, self.total)
    }

    fn to_json(&self) -> serde_json::Value {
        let failing = self.failing.iter().map(|item| {
            json!({"work": item.work, "state": state(item.state), "errors": item.errors, "lastError": item.error})
        });
        json!({
            "name": self.name,
            "state": state(self.state),
            "paused": self.is_paused,
            "held": self.is_held,
            "instance": self.instance,
            "ended": self.ended,
            "failed": self.failed,
            "total": self.total,
            "errors": self.errors,
            "progress": json_time(self.progress),
            "failing": failing.collect::<Vec<_>>(),
        })
    }
}

/// Formats items per second, or per minute if that is more meaningful.
fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0/s".to_owned(),
        slow if slow < 1.0 => format!("{:.1}/min", slow * 60.0),
        rate if rate < 10.0 => format!("{rate:.1}/s"),
        rate => format!("{rate:.0}/s"),
    }
}

/// Rounds to the second, since estimates are not more exact.
fn rounded(time: Duration) -> String {
    duration::format(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use procstate::proto::State;

    use super::super::failing::Failing;
    use super::*;

    fn glance(name: &str) -> Sample {
        Sample {
            name: name.to_owned(),
            state: State::Active,
            is_paused: false,
            is_held: true,
            instance: "me".to_owned(),
            ended: 5,
            failed: 1,
            total: 10,
            errors: 2,
            progress: None,
            rate: Some(0.5),
            eta: Some(Duration::from_millis(90_500)),
            failing: vec![Failing {
                work: "\u{1b}[2J\u{202e}w".to_owned(),
                state: State::Incomplete,
                errors: 2,
                error: "it\u{7} failed".to_owned(),
            }],
        }
    }

    #[test]
    fn a_picture_is_complete_and_escaped() {
        let glances = [glance("a\u{1b}]0;x\u{7}")];
        let lines = lines(glances.iter().collect(), 200, 24);
        let text = lines.join("\n");
        for part in
            ["[#####.....] 5/10, 1 failed", "30.0/min", "1m 30s", "\\u{1b}[2J\\u{202e}w", "it\\u{7} failed"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{text:?}");
    }

    #[test]
    fn a_picture_fits_on_every_screen() {
        let glances: Vec<Sample> = (0..30).map(|n| glance(&format!("日本{n}").repeat(20))).collect();
        for (columns, rows) in [(0, 0), (1, 1), (10, 3), (40, 10), (80, 24), (300, 200)] {
            let lines = lines(glances.iter().collect(), columns, rows);
            assert!(lines.len() <= rows, "{columns}x{rows}: {}", lines.len());
            for line in &lines {
                assert_eq!(fitting(line, columns), line.as_str());
            }
        }
    }

    #[test]
    fn omitted_lines_are_counted() {
        let of = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(shortened(of("a b c"), 2), ["a", "... and 2 more"]);
        assert_eq!(shortened(of("a b c"), 3), of("a b c"));
        assert!(shortened(of("a b c"), 0).is_empty());
    }
}
