//! Tests the promise of each adapter: it is killed and reopened, loses its owner, and its syncs are
//! traced.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::kill;
use crate::measure::HOT_ITEMS;
use crate::peers::{Class, Peer};
use crate::records::Step;
use crate::syncs;
use crate::victim::Victim;

/// How long victims live after their first update.
const LIVES_MS: [u64; 4] = [0, 37, 150, 700];

/// The threads of the victims, each with a process.
const THREADS: [usize; 2] = [1, 16];

/// The number of traced updates.
const TRACED_CALLS: u64 = 100;

/// Tests the peers; returns how many broke a promise.
pub fn run(peers: &[Peer]) -> Result<usize> {
    let can_trace = syncs::can_trace();
    if !can_trace {
        eprintln!("IGNORED: whether syncs precede acknowledgements; strace is not here or may not trace");
    }
    let mut broken = 0;
    for class in Class::ALL {
        println!("{}:", class.title());
        for peer in peers.iter().filter(|peer| peer.is_in(class) && peer.maker() == **peer) {
            let verdict = test(*peer, class, can_trace);
            broken += usize::from(verdict.is_err());
            match verdict {
                Ok(report) => println!("  {:18} kept    {report}", peer.name()),
                Err(error) => println!("  {:18} BROKEN  {error:#}", peer.name()),
            }
        }
    }
    Ok(broken)
}

fn test(peer: Peer, class: Class, can_trace: bool) -> Result<String> {
    let mut report = Vec::new();
    let mut acknowledged = 0;
    for threads in THREADS {
        for life in LIVES_MS {
            acknowledged += kill_and_check(peer, class, threads, Duration::from_millis(life))?;
        }
    }
    let kills = THREADS.len() * LIVES_MS.len();
    report.push(format!("{acknowledged} acknowledged updates, {kills} kills, none lost"));
    if peer != Peer::Bare {
        check_fence(peer, class)?;
        report.push("a robbed owner is refused".to_owned());
    }
    if can_trace {
        for threads in THREADS {
            report.push(check_syncs(peer, class, threads)?);
        }
    }
    Ok(report.join("; "))
}

fn kill_and_check(peer: Peer, class: Class, threads: usize, life: Duration) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let victim = victim(peer, class, threads, folder.path())?;
    let promised = kill::kill(&victim, life)?;
    let store = peer.open(folder.path(), class)?;
    kill::check(store.as_ref(), victim.items, &promised)?;
    store.close()?;
    Ok(promised.values().map(|promised| promised.total).sum())
}

/// Returns a victim with a populated, closed store.
fn victim(peer: Peer, class: Class, threads: usize, folder: &Path) -> Result<Victim> {
    let store = peer.open(folder, class)?;
    store.populate(threads, HOT_ITEMS)?;
    store.close()?;
    Ok(Victim { peer, class, folder: folder.to_owned(), items: HOT_ITEMS, threads, calls: u64::MAX })
}

/// Either the process cannot be taken from its live owner, or the owner's next update is refused
/// and changes nothing.
fn check_fence(peer: Peer, class: Class) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = peer.open(folder.path(), class)?;
    store.populate(1, 2)?;
    let (mut owner, mut robber) = (store.session(0)?, store.session(0)?);
    owner.claim(2)?;
    owner.update(Step::new(1, 2))?;
    if robber.claim(2).is_ok() {
        let before = robber.find(2)?;
        ensure!(owner.update(Step::new(2, 2)).is_err(), "an update of a former owner was stored");
        ensure!(robber.find(2)? == before, "an update that was refused changed something");
        robber.update(Step::new(1, 2))?;
    } else {
        owner.update(Step::new(2, 2))?;
    }
    drop((owner, robber));
    store.close()
}

fn check_syncs(peer: Peer, class: Class, threads: usize) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let trace = tempfile::NamedTempFile::new()?;
    let calls = TRACED_CALLS / threads as u64;
    let victim = Victim { calls, ..victim(peer, class, threads, folder.path())? };
    let seen = syncs::look(&victim, trace.path())?;
    ensure!(seen.acknowledged == calls * threads as u64, "strace saw {} updates", seen.acknowledged);
    let is_synced = seen.unsynced == 0;
    ensure!(class == Class::ProgramDeath || is_synced, "{} updates without a sync", seen.unsynced);
    let by = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    Ok(format!("{} syncs for {} updates of {by}", seen.syncs, seen.acknowledged))
}
