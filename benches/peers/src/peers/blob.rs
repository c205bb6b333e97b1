//! One value per process in sled, as such state is usually kept: an update reads, decodes, changes
//! and rewrites all of it. The message is procstate's own `Process`.
//!
//! sled keeps large values in files that it never syncs, so this is not in the power-loss class.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use procstate::proto::{State, Status, Work};
use procstate::{Params, Process};
use prost::Message;

use super::{Session, Store, instance};
use crate::records::{Found, Step, item_name, new_name, process_name};

const STAT: &str = "keysRemoved";

struct Blobs(sled::Db);

pub fn open(folder: &Path) -> Result<Box<dyn Store>> {
    Ok(Box::new(Blobs(sled::open(folder)?)))
}

impl Store for Blobs {
    fn populate(&self, processes: usize, items: usize) -> Result<()> {
        let status = Status { state: State::New.into(), ..Status::default() };
        let work = Work { params: Some(params(8)), status: Some(status), ..Work::default() };
        for name in (0..processes).map(process_name) {
            let active_work = (0..items).map(|item| (item_name(item), work.clone())).collect();
            let process = Process { process_name: name.clone(), active_work, ..Process::default() };
            self.0.insert(name, process.encode_to_vec())?;
        }
        self.0.flush()?;
        Ok(())
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Owner { blobs: &self.0, name: process_name(process), instance: String::new() }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.flush()?;
        Ok(())
    }
}

fn params(keys: i64) -> Params {
    Params::new().int("keysPerAccount", keys).string("region", "eu")
}

struct Owner<'a> {
    blobs: &'a sled::Db,
    name: String,
    instance: String,
}

impl Owner<'_> {
    /// Changes the process by compare-and-swap of the whole value.
    fn change(&self, change: impl FnOnce(&mut Process) -> Result<()>) -> Result<()> {
        let old = self.blobs.get(&self.name)?.context("no process")?;
        let mut process = Process::decode(&old[..])?;
        change(&mut process)?;
        let swapped = self.blobs.compare_and_swap(&self.name, Some(old), Some(process.encode_to_vec()))?;
        ensure!(swapped.is_ok(), "another instance was faster");
        self.blobs.flush()?;
        Ok(())
    }

    fn decode(&self) -> Result<Process> {
        Ok(Process::decode(&self.blobs.get(&self.name)?.context("no process")?[..])?)
    }
}

impl Session for Owner<'_> {
    fn claim(&mut self, _items: usize) -> Result<String> {
        self.instance = instance();
        self.change(|process| {
            process.instance.clone_from(&self.instance);
            process.process_status = Some(Status::default());
            Ok(())
        })?;
        Ok(self.instance.clone())
    }

    fn update(&mut self, step: Step) -> Result<()> {
        self.change(|process| {
            ensure!(process.instance == self.instance, "another instance owns the process");
            let work = process.active_work.get_mut(&item_name(step.item)).context("no item")?;
            let stats = &mut work.status.get_or_insert_default().stats;
            stats.insert(STAT.to_owned(), step.of_item as f64);
            let stats = &mut process.process_status.get_or_insert_default().stats;
            stats.insert(STAT.to_owned(), step.total as f64);
            Ok(())
        })
    }

    fn register(&mut self, number: u64) -> Result<()> {
        let work = Work { params: Some(params(number.try_into()?)), ..Work::default() };
        self.change(|process| {
            process.active_work.insert(new_name(number), work);
            Ok(())
        })
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        self.claim(0)?;
        self.change(|process| {
            process.instance.clear();
            Ok(())
        })
    }

    fn read(&self, item: usize) -> Result<bool> {
        Ok(self.decode()?.active_work.contains_key(&item_name(item)))
    }

    fn scan(&self) -> Result<usize> {
        Ok(self.decode()?.active_work.len())
    }

    fn find(&self, items: usize) -> Result<Found> {
        let process = self.decode()?;
        let stat = |status: Option<&Status>| {
            status.and_then(|status| status.stats.get(STAT)).copied().unwrap_or_default() as u64
        };
        let of_item =
            |item| stat(process.active_work.get(&item_name(item)).and_then(|work| work.status.as_ref()));
        Ok(Found {
            total: stat(process.process_status.as_ref()),
            of_items: (0..items).map(of_item).collect(),
            owner: process.instance.clone(),
        })
    }
}
