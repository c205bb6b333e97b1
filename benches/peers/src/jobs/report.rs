//! The results of `jobs` as Markdown.

use std::fmt::Write;

use super::Entrant;
use crate::report::numbers::{count, digits, time};
use crate::statistics::Spread;
use crate::turns::{self, Took};

/// The multiple of the better peer's items per second.
const GOAL: f64 = 10.0;

pub struct About<'a> {
    pub machine: String,
    pub command: &'a str,
    pub load: f64,
    pub items: usize,
    pub rounds: usize,
    pub failures: Vec<String>,
}

fn work(took: &Took) -> f64 {
    took.register + took.run
}

pub fn write(about: &About, entrants: &[turns::Entrant<Entrant>]) -> String {
    let mut text = format!(
        "# Jobs that do nothing\n\n{}. `{}`; load of the machine before it: {}.\n\n\
         {} items are registered, run by a worker that does nothing, and finished. Medians of {} rounds, \
         in which all took turns; \"× procstate\" is how many times as long as the first line's \
         registering and running take, in the same round, with the least and the most. All survive the \
         death of the program.\n\n",
        about.machine,
        about.command,
        digits(about.load),
        count(about.items as u64),
        about.rounds,
    );
    text += "|  | register, an item | run and finish, an item | items a second, both | × procstate | close |\n\
             |---|---|---|---|---|---|\n";
    let Some(own) = entrants.first() else { return text };
    for entrant in entrants {
        text += &row(about.items as f64, entrant, own)
            .unwrap_or_else(|| format!("| {} | not measured | | | | |\n", entrant.who.name()));
    }
    text += "\n## Goal\n\n";
    text += &goal(entrants, own).unwrap_or_else(|| "No peer was measured.\n".into());
    text += "\n## After a power loss\n\n";
    for entrant in entrants {
        let _ = writeln!(text, "- {}: {}.", entrant.who.name(), entrant.who.after_power_loss());
    }
    if !about.failures.is_empty() {
        text += "\n## What failed\n\n";
        about.failures.iter().for_each(|failure| text += &format!("- {failure}\n"));
    }
    text
}

fn row(items: f64, entrant: &turns::Entrant<Entrant>, own: &turns::Entrant<Entrant>) -> Option<String> {
    let an_item = |seconds: f64| time(seconds * 1e6 / items);
    Some(format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        entrant.who.name(),
        an_item(entrant.median(|took| took.register)?),
        an_item(entrant.median(|took| took.run)?),
        count((items / entrant.median(work)?).round() as u64),
        ratio(entrant.ratio(own, work)?),
        time(entrant.median(|took| took.close)? * 1e6),
    ))
}

pub fn ratio(spread: Spread) -> String {
    format!("{} ({}..{})", digits(spread.median), digits(spread.min), digits(spread.max))
}

/// Compared with the fastest peer.
fn goal(entrants: &[turns::Entrant<Entrant>], own: &turns::Entrant<Entrant>) -> Option<String> {
    let rivals = entrants.iter().filter(|entrant| entrant.who.is_rival());
    let measured = rivals.filter_map(|rival| Some((rival, rival.ratio(own, work)?)));
    let (best, times) = measured.min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))?;
    let verdict = if times.median >= GOAL { "reached" } else { "**missed**" };
    Some(format!(
        "{} times the items a second of the better peer ({}): {}, {verdict}.\n",
        digits(GOAL).trim_end_matches(".0"),
        best.who.name(),
        ratio(times),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(who: Entrant, run: f64) -> turns::Entrant<Entrant> {
        turns::Entrant { who, turns: vec![Some(Took { register: 0.0, run, close: 0.0 })] }
    }

    fn about<'a>() -> About<'a> {
        let (machine, failures) = (String::new(), vec!["no compiler".into()]);
        About { machine, command: "jobs", load: 0.0, items: 10, rounds: 1, failures }
    }

    #[test]
    fn the_goal_is_beside_the_better_peer() {
        let own = entrant(Entrant::Procstate, 1.0);
        let text = write(&about(), &[own, entrant(Entrant::Apalis, 30.0), entrant(Entrant::Effectum, 9.0)]);
        assert!(text.contains("(effectum): 9.00 (9.00..9.00), **missed**"), "{text}");
    }

    #[test]
    fn a_peer_of_a_weaker_promise_is_not_in_the_goal() {
        let own = entrant(Entrant::Procstate, 1.0);
        let text = write(&about(), &[own, entrant(Entrant::Apalis, 30.0), entrant(Entrant::ApalisOff, 2.0)]);
        assert!(text.contains("(apalis with SQLite): 30.0 (30.0..30.0), reached"), "{text}");
    }

    #[test]
    fn missing_measurements_are_reported() {
        let own = entrant(Entrant::Procstate, 1.0);
        let none = turns::Entrant { who: Entrant::Effectum, turns: vec![None] };
        let text = write(&about(), &[own, none]);
        assert!(text.contains("| effectum | not measured |") && text.contains("- no compiler"), "{text}");
    }
}
