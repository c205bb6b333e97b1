//! The results of `bulk` as Markdown.

use super::{Bulk, Entrant};
use crate::report::numbers::{count, digits, time};
use crate::statistics::Spread;
use crate::turns::{self, Took};

/// The maximum time as a multiple of SQLite's.
const GOAL: f64 = 1.5;

pub fn write(
    machine: &str,
    command: &str,
    load: f64,
    bulk: &Bulk,
    entrants: &[turns::Entrant<Entrant>],
    failures: &[String],
) -> String {
    let mut text = format!(
        "# Many items at once\n\n{machine}. `{command}`; load of the machine before it: {}.\n\n\
         {} items, whose parameters are about 60 bytes, by name into an empty store: `register_all`, and \
         SQLite with `synchronous=FULL` and a transaction per 1,000 rows. Each thousand survives power loss \
         before the next is begun. sled alone is the index of procstate without anything around it: one \
         `insert` an item in the order of the keys, which promises nothing. Medians of {} rounds, in which \
         all took turns.\n\n\
         |  | until acknowledged | an item | close | both |\n|---|---|---|---|---|\n",
        digits(load),
        count(bulk.items as u64),
        bulk.rounds,
    );
    entrants.iter().for_each(|entrant| text += &row(bulk.items, entrant));
    text += "\n## Goal\n\n|  | times as long as SQLite | aim |  |\n|---|---|---|---|\n";
    if let [own, sqlite, rest @ ..] = entrants {
        let parts: [(&str, fn(&Took) -> f64); 2] =
            [("until acknowledged", |took| took.register), ("and closed", |took| took.register + took.close)];
        for (name, part) in parts {
            text += &goal(name, own.ratio(sqlite, part));
        }
        for sled in rest {
            let ratio = sled.ratio(sqlite, |took| took.register + took.close);
            let [median, min, max] =
                ratio.map_or([f64::NAN; 3], |ratio| [ratio.median, ratio.min, ratio.max]);
            text += &format!(
                "\nsled alone takes {} ({}..{}) times as long as SQLite. Beyond what the memtable holds, some \
                 100,000 items, who registers waits for the index, so that the aim cannot be reached with \
                 a key of its own there for each item.\n",
                digits(median),
                digits(min),
                digits(max)
            );
        }
    }
    if !failures.is_empty() {
        text += "\n## What failed\n\n";
        failures.iter().for_each(|failure| text += &format!("- {failure}\n"));
    }
    text
}

fn row(items: usize, entrant: &turns::Entrant<Entrant>) -> String {
    let name = match entrant.who {
        Entrant::Procstate => "procstate",
        Entrant::Sqlite => "SQLite",
        Entrant::SledAlone => "sled alone, nothing synced",
    };
    let micros = |part: fn(&Took) -> f64| entrant.median(part).map(|seconds| seconds * 1e6);
    let all = || {
        let register = micros(|took| took.register)?;
        let (close, both) = (micros(|took| took.close)?, micros(|took| took.register + took.close)?);
        Some([time(register), time(register / items as f64), time(close), time(both)])
    };
    all().map_or_else(
        || format!("| {name} | not measured | | | |\n"),
        |cells| format!("| {name} | {} |\n", cells.join(" | ")),
    )
}

fn goal(name: &str, measured: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = measured else {
        return format!("| {name} | not measured | ≤ {GOAL} | |\n");
    };
    let verdict = if median <= GOAL { "reached" } else { "**missed**" };
    let [median, min, max] = [median, min, max].map(digits);
    format!("| {name} | {median} ({min}..{max}) | ≤ {GOAL} | {verdict} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_may_be_reached_at_first_and_missed_in_all() {
        let entrant = |who, register, close| turns::Entrant {
            who,
            turns: vec![Some(Took { register, run: 0.0, close })],
        };
        let entrants = [entrant(Entrant::Procstate, 3.0, 9.0), entrant(Entrant::Sqlite, 2.0, 1.0)];
        let text = write("", "bulk", 0.0, &Bulk { items: 1000, rounds: 1 }, &entrants, &[]);
        assert!(text.contains("| until acknowledged | 1.50 (1.50..1.50) | ≤ 1.5 | reached |"), "{text}");
        assert!(text.contains("| and closed | 4.00 (4.00..4.00) | ≤ 1.5 | **missed** |"), "{text}");
    }
}
