//! Lets entrants take turns at work of several parts (A B C A B C ...), each time in a new program
//! and folder.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::statistics::Spread;

/// The seconds of each part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Until the last item was acknowledged.
    pub register: f64,
    /// Until the end of the last item was stored; 0 if nothing is run.
    #[serde(default)]
    pub run: f64,
    /// Until the store was closed.
    pub close: f64,
}

/// An entrant and its turns; `None` for a failed one.
pub struct Entrant<T> {
    pub who: T,
    pub turns: Vec<Option<Took>>,
}

/// Gives each entrant that many turns. Failures are printed, and do not count.
pub fn take<T: Copy>(
    entrants: &[T],
    rounds: usize,
    mut turn: impl FnMut(T, &Path) -> Result<Took>,
) -> Result<(Vec<Entrant<T>>, Vec<String>)> {
    let mut failures = Vec::new();
    let mut taken: Vec<_> = entrants.iter().map(|&who| Entrant { who, turns: Vec::new() }).collect();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for entrant in &mut taken {
            let folder = tempfile::tempdir()?;
            let took = turn(entrant.who, folder.path());
            if let Err(error) = &took {
                eprintln!("        {error:#}");
                failures.push(format!("{error:#}"));
            }
            entrant.turns.push(took.ok());
        }
    }
    Ok((taken, failures))
}

/// Runs a program that prints its times as JSON.
pub fn run(command: &mut Command) -> Result<Took> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{program} said no times"))
}

impl<T> Entrant<T> {
    /// Returns the median of a part, in seconds.
    pub fn median(&self, part: impl Fn(&Took) -> f64) -> Option<f64> {
        Spread::of(self.turns.iter().flatten().map(part)).map(|spread| spread.median)
    }

    /// Returns the time as a multiple of the other entrant's in the same round.
    pub fn ratio<U>(&self, other: &Entrant<U>, part: impl Fn(&Took) -> f64) -> Option<Spread> {
        let rounds = self.turns.iter().zip(&other.turns);
        Spread::of(rounds.filter_map(|(own, other)| Some(part(own.as_ref()?) / part(other.as_ref()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(register: f64) -> Option<Took> {
        Some(Took { register, run: 0.0, close: 0.0 })
    }

    #[test]
    fn turns_are_in_turn_and_each_in_a_new_folder() {
        let (mut order, mut folders) = (Vec::new(), Vec::new());
        let (entrants, failures) = take(&['a', 'b'], 2, |who, folder| {
            order.push(who);
            folders.push(folder.to_owned());
            Ok(Took { register: 1.0, run: 2.0, close: 3.0 })
        })
        .unwrap();
        assert_eq!(order, ['a', 'b', 'a', 'b']);
        assert!(failures.is_empty());
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 4);
        assert_eq!(entrants[1].median(|took| took.run), Some(2.0));
    }

    #[test]
    fn failed_turns_are_printed_and_not_counted() {
        let mut fails = false;
        let (entrants, failures) = take(&['a'], 3, |_, _| {
            fails = !fails;
            ensure!(!fails, "no");
            Ok(Took { register: 1.0, run: 0.0, close: 0.0 })
        })
        .unwrap();
        assert_eq!(failures, ["no", "no"]);
        assert_eq!(entrants[0].median(|took| took.register), Some(1.0));
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let one = Entrant { who: (), turns: vec![took(2.0), None, took(30.0)] };
        let other = Entrant { who: (), turns: vec![took(1.0), took(1.0), took(10.0)] };
        let ratio = one.ratio(&other, |took| took.register).unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max), (2.0, 2.5, 3.0));
    }

    #[test]
    fn a_program_prints_its_times() {
        let mut says = Command::new("echo");
        says.arg(r#"{"register": 1.5, "close": 0.5}"#);
        assert_eq!(run(&mut says).unwrap(), Took { register: 1.5, run: 0.0, close: 0.5 });
        assert!(run(&mut Command::new("false")).unwrap_err().to_string().contains("failed"));
    }
}
