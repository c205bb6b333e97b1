//! Kills programs with SIGKILL while they update, and checks what is left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::measure::HOT_ITEMS;
use crate::peers::{Class, Peer, Store};
use crate::victim::{Said, Victim};

/// How long a victim lives after its first update.
const LIFE: Duration = Duration::from_millis(200);

/// What a victim has acknowledged for a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Promised {
    pub owner: String,
    pub total: u64,
}

/// Updates a store and is killed, leaving a store to recover.
pub fn leave_killed(peer: Peer, class: Class, folder: &Path) -> Result<()> {
    let victim =
        Victim { peer, class, folder: folder.to_owned(), items: HOT_ITEMS, threads: 1, calls: u64::MAX };
    kill(&victim, LIFE).map(drop)
}

/// Kills a victim this long after its first update; returns its acknowledgements until then.
pub fn kill(victim: &Victim, life: Duration) -> Result<BTreeMap<usize, Promised>> {
    let mut child = victim.start()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let mut promised = BTreeMap::new();
    let mut first = None;
    let mut is_killed = false;
    // After the kill the pipe still has earlier output.
    while let Some(line) = lines.next().transpose()? {
        hear(&mut promised, Said::parse(&line));
        let first = *first.get_or_insert_with(Instant::now);
        if !is_killed && first.elapsed() >= life {
            child.kill()?;
            is_killed = true;
        }
    }
    child.wait()?;
    ensure!(is_killed, "the victim died before it was killed");
    Ok(promised)
}

fn hear(promised: &mut BTreeMap<usize, Promised>, said: Option<Said>) {
    match said {
        Some(Said::Claimed { process, owner }) => promised.entry(process).or_default().owner = owner,
        Some(Said::Acknowledged { process, total }) => promised.entry(process).or_default().total = total,
        None => {}
    }
}

/// Checks that everything acknowledged is there, and no half update.
pub fn check(store: &dyn Store, items: usize, promised: &BTreeMap<usize, Promised>) -> Result<()> {
    for (process, promised) in promised {
        let found = store.session(*process)?.find(items)?;
        ensure!(
            found.owner == promised.owner,
            "process {process} is of {:?} instead of {:?}",
            found.owner,
            promised.owner
        );
        ensure!(
            found.total >= promised.total,
            "process {process} lost {} of {} acknowledged updates",
            promised.total - found.total,
            promised.total
        );
        // One more update may have been stored but not acknowledged.
        ensure!(found.total <= promised.total + 1, "process {process} has updates that were never made");
        ensure!(found.agrees(), "process {process} has a half of an update: {found:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Step;

    const ITEMS: usize = 3;

    fn promised(owner: &str, total: u64) -> BTreeMap<usize, Promised> {
        BTreeMap::from([(0, Promised { owner: owner.to_owned(), total })])
    }

    /// Returns a store with seven updates, and their owner.
    fn updated(folder: &Path) -> (Box<dyn Store>, String) {
        let store = Peer::Sqlite.open(folder, Class::ProgramDeath).unwrap();
        store.populate(1, ITEMS).unwrap();
        let mut session = store.session(0).unwrap();
        let owner = session.claim(ITEMS).unwrap();
        for number in 1..=7 {
            session.update(Step::new(number, ITEMS)).unwrap();
        }
        drop(session);
        (store, owner)
    }

    #[test]
    fn stored_updates_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (store, owner) = updated(folder.path());
        check(store.as_ref(), ITEMS, &promised(&owner, 7)).unwrap();
        check(store.as_ref(), ITEMS, &promised(&owner, 6)).unwrap();
    }

    #[test]
    fn missing_updates_are_detected() {
        let folder = tempfile::tempdir().unwrap();
        let (store, owner) = updated(folder.path());
        for (owner, total) in [(&owner[..], 8), (&owner, 5), ("another", 7)] {
            check(store.as_ref(), ITEMS, &promised(owner, total)).unwrap_err();
        }
    }
}
