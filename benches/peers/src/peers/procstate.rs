//! procstate through its public API with default options, except for the durability of progress and
//! its interval, so that each one is stored.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use procstate::proto::Status;
use procstate::{
    Claim, ClaimOptions, Durability, Instance, List, Params, ProcessHandle, Progress, Run, Stats, Verify,
    WorkItem,
};

use super::{Class, Session, Store};
use crate::records::{Found, Step, item_name, new_name, process_name};

const STAT: &str = "keysRemoved";

/// The default of `StoreBuilder::snapshot_log_bytes`.
const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;

struct Procstate {
    store: procstate::Store,
    durability: Durability,
    decodes: bool,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    with_store(procstate::Store::open(folder)?, class, true)
}

pub fn open_undecoded(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    with_store(procstate::Store::open(folder)?, class, false)
}

pub fn open_in_background(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    with_store(procstate::Store::builder().verify(Verify::InBackground).open(folder)?, class, true)
}

fn with_store(store: procstate::Store, class: Class, decodes: bool) -> Result<Box<dyn Store>> {
    let durability = match class {
        Class::ProgramDeath => Durability::Buffered,
        Class::PowerLoss => Durability::Synced,
    };
    Ok(Box::new(Procstate { store, durability, decodes }))
}

impl Store for Procstate {
    fn populate(&self, processes: usize, items: usize) -> Result<()> {
        for process in 0..processes {
            let process = self.store.process(&process_name(process))?;
            process.register_all((0..items).map(|item| (item_name(item), params(8))))?;
        }
        // Waits for a snapshot that is due after loading, which is not measured.
        while is_snapshot_due(&self.store.stats()?) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        let process = self.store.process(&process_name(process))?.with_durability(self.durability);
        let (durability, decodes) = (self.durability, self.decodes);
        Ok(Box::new(Owner { process, durability, decodes, items: Vec::new(), run: None }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.store.close()?)
    }
}

/// Reports whether the log exceeds the state and the default limit, so that a snapshot is due.
fn is_snapshot_due(stats: &Stats) -> bool {
    stats.log_bytes > stats.snapshot_bytes.max(SNAPSHOT_LOG_BYTES)
}

fn params(keys: i64) -> Params {
    Params::new().int("keysPerAccount", keys).string("region", "eu")
}

struct Owner {
    process: ProcessHandle,
    durability: Durability,
    decodes: bool,
    // Before the run, since items in progress belong to it.
    items: Vec<WorkItem>,
    run: Option<Run>,
}

impl Owner {
    fn claim_run(&self) -> Result<Run> {
        let options = ClaimOptions::new()
            .force(true)
            .afresh(true)
            .progress_interval(Duration::ZERO)
            .progress_durability(self.durability);
        match self.process.claim_with(&Instance::new(), &options)? {
            Claim::Won(run) => Ok(run),
            other => bail!("not won: {other:?}"),
        }
    }
}

impl Session for Owner {
    fn claim(&mut self, items: usize) -> Result<String> {
        let mut run = self.claim_run()?;
        for _ in 0..items {
            self.items.push(run.next_work()?.context("too few items")?);
        }
        let instance = run.instance().to_owned();
        self.run = Some(run);
        Ok(instance)
    }

    fn update(&mut self, step: Step) -> Result<()> {
        self.items[step.item].add_stat(STAT, 1.0);
        let progress = self.run.as_ref().context("not claimed")?.progress()?;
        ensure!(matches!(progress, Progress::Updated | Progress::Merged), "not stored: {progress:?}");
        Ok(())
    }

    fn register(&mut self, number: u64) -> Result<()> {
        self.process.register(&new_name(number), params(8))?;
        Ok(())
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        Ok(self.claim_run()?.hand_back()?)
    }

    fn read(&self, item: usize) -> Result<bool> {
        Ok(self.process.work(&item_name(item))?.details.is_some())
    }

    fn scan(&self) -> Result<usize> {
        if self.decodes {
            return Ok(self.process.list(List::Active, None, usize::MAX)?.items.len());
        }
        self.process.items(List::Active).try_fold(0, |count, item| Ok(item.map(|_| count + 1)?))
    }

    fn find(&self, items: usize) -> Result<Found> {
        let process = self.process.snapshot()?;
        let stat = |status: Option<&Status>, label: &str| {
            status.and_then(|status| status.stats.get(label)).copied().unwrap_or_default() as u64
        };
        let of_item = |item| {
            let work = process.active_work.get(&item_name(item));
            stat(work.and_then(|work| work.status.as_ref()), STAT)
        };
        Ok(Found {
            total: stat(process.process_status.as_ref(), &format!("work.{STAT}")),
            of_items: (0..items).map(of_item).collect(),
            owner: process.instance.clone(),
        })
    }
}
