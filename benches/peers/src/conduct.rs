//! Runs the cases, in each of which the peers take turns, round after round.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::measure::{Outcome, Task, Work};
use crate::peers::{Class, Peer};
use crate::plan::{Case, Part};
use crate::results::{CaseResults, Entry, Results};
use crate::{kill, machine, program};

pub fn conduct(cases: &[Case], peers: &[Peer], command: &str) -> Result<Results> {
    let folder = tempfile::tempdir()?;
    let file_system = machine::file_system(folder.path());
    ensure!(
        file_system != "tmpfs",
        "{} is in memory; set TMPDIR to a folder on a disk",
        folder.path().display()
    );
    let (began, load_before) = (Instant::now(), machine::load());
    let mut conductor = Conductor { stores: Stores::new(folder.path()), failures: Vec::new() };
    let mut results = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        eprintln!("{:4} s  {}, {} items", began.elapsed().as_secs(), case.title(), case.items);
        results.push(conductor.case(case, peers));
        conductor.stores.keep(&cases[number + 1..])?;
    }
    Ok(Results {
        machine: machine::describe(folder.path()),
        command: command.to_owned(),
        minutes: began.elapsed().as_secs_f64() / 60.0,
        load_before,
        cases: results,
        failures: conductor.failures,
    })
}

struct Conductor {
    stores: Stores,
    failures: Vec<String>,
}

impl Conductor {
    fn case(&mut self, case: &Case, peers: &[Peer]) -> CaseResults {
        let entry = |(peer, class)| Entry { peer, class, rounds: Vec::new() };
        let mut entries: Vec<Entry> = case.entrants(peers).into_iter().map(entry).collect();
        for _ in 0..case.rounds {
            for entry in &mut entries {
                let outcome = self.measure(case, entry.peer, entry.class);
                if let Err(error) = &outcome {
                    let failure =
                        format!("{}, {} items, {}: {error:#}", case.title(), case.items, entry.peer.name());
                    eprintln!("        {failure}");
                    self.failures.push(failure);
                }
                entry.rounds.push(outcome.ok());
            }
        }
        CaseResults { case: *case, entries }
    }

    fn measure(&mut self, case: &Case, peer: Peer, class: Class) -> Result<Outcome> {
        let store = self.stores.get(case, peer, class)?;
        match case.work {
            Work::Populate => return Ok(store.populated.clone()),
            Work::Open => kill::leave_killed(peer, class, &store.folder)?,
            _ => {}
        }
        program::measure(&task(case, peer, class, case.work, &store.folder))
    }
}

fn task(case: &Case, peer: Peer, class: Class, work: Work, folder: &Path) -> Task {
    Task {
        peer,
        class,
        work,
        folder: folder.to_owned(),
        processes: case.processes,
        items: case.items,
        threads: case.threads,
        millis: case.millis,
        calls: case.calls,
    }
}

/// Stores created for one case and reused by later ones.
struct Stores {
    folder: PathBuf,
    made: HashMap<Kind, Made>,
    count: usize,
}

/// Endurance has a store of its own, since it measures growth.
type Kind = (Peer, Class, usize, usize, bool);

struct Made {
    folder: PathBuf,
    populated: Outcome,
}

fn kind(case: &Case, peer: Peer, class: Class) -> Kind {
    (peer.maker(), class, case.processes, case.items, case.part == Part::Endurance)
}

impl Stores {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), made: HashMap::new(), count: 0 }
    }

    fn get(&mut self, case: &Case, peer: Peer, class: Class) -> Result<&Made> {
        let kind = kind(case, peer, class);
        if !self.made.contains_key(&kind) {
            self.count += 1;
            let folder = self.folder.join(format!("{}-{}", self.count, program::argument(&peer)));
            fs::create_dir(&folder)?;
            let populated = program::measure(&task(case, peer, class, Work::Populate, &folder))?;
            self.made.insert(kind, Made { folder, populated });
        }
        Ok(&self.made[&kind])
    }

    /// Deletes the stores that none of these cases uses.
    fn keep(&mut self, cases: &[Case]) -> Result<()> {
        let is_used = |of: &Kind| cases.iter().any(|case| kind(case, of.0, of.1) == *of);
        let unused: Vec<Kind> = self.made.keys().filter(|kind| !is_used(kind)).copied().collect();
        for made in unused.iter().filter_map(|kind| self.made.remove(kind)) {
            fs::remove_dir_all(made.folder)?;
        }
        Ok(())
    }
}
