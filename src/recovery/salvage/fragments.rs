//! Finds record versions of missing commits in all files of a store.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::sources::{Sources, Unreadable};
use crate::archive;
use crate::disk::ReadOnlyDisk;
use crate::engine::Snapshot;
use crate::error::{Result, chain};
use crate::index::raw;
use crate::record::{self, Key};
use crate::recovery::carve::Carver;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::options::{Meter, bytes_of};
use crate::recovery::records::changes::Origin;
use crate::recovery::records::validate::found_record;

/// Adds them to `sources`.
pub(super) fn gather(
    store: &Offline,
    inspection: &Inspection,
    meter: &Meter<'_>,
    sources: &mut Sources<'_>,
) -> Result<()> {
    let (mut folders, mut files) = (store.closed.index_folders()?, store.closed.files()?);
    // The data of another store was never in this one.
    let foreign: Vec<_> = folders.extract_if(.., |folder| is_foreign(store, folder)).collect();
    files.retain(|file| !foreign.iter().any(|folder| file.starts_with(folder)) && !store.is_foreign(file));
    // Nor was that of a copy of it after the two diverged.
    let layout = store.closed.layout();
    folders.retain(|folder| !(inspection.is_other_index() && *folder == layout.index()));
    let others = [(inspection.is_other_log(), layout.wal()), (inspection.is_other_index(), layout.index())];
    files.retain(|file| !others.iter().any(|(is_other, part)| *is_other && file.starts_with(part)));
    meter.expect(work(&folders, &files));
    let mut fragments = Fragments { carver: Carver::new(), sources };
    fragments.know_keys();
    let is_damaged = |(snapshot, is_sound): &(&Snapshot, bool)| !is_sound && files.contains(&snapshot.path);
    for (snapshot, _) in inspection.archives().filter(is_damaged) {
        let (of, origin) = (snapshot.seq, origin_of(snapshot, inspection));
        let browsed = archive::browse(&ReadOnlyDisk, &snapshot.path, &mut |key, value| {
            fragments.archived(key, &value, of, origin);
        });
        read_or_not(browsed);
    }
    for folder in folders {
        read_or_not(raw::read(&folder, &|bytes| meter.add(bytes), &mut |key, value| {
            fragments.indexed(&key, value)
        }));
    }
    for file in files {
        let origin = match inspection.archives().find(|(snapshot, _)| snapshot.path == file) {
            Some((_, true)) => continue,
            Some((snapshot, false)) => origin_of(snapshot, inspection),
            None => Origin::Carved,
        };
        fragments.carve(&file, meter, origin);
    }
    Ok(())
}

/// Reports whether an index belongs to another store.
///
/// Earlier versions did not record the id.
fn is_foreign(store: &Offline, index: &Path) -> bool {
    store.id().is_some_and(|own| raw::store_of(index).is_some_and(|of| of != own))
}

/// Returns the number of bytes to process: those of all files, with indexes counted twice.
fn work(folders: &[PathBuf], files: &[PathBuf]) -> u64 {
    let times = |file: &Path| 1 + u64::from(folders.iter().any(|folder| file.starts_with(folder)));
    files.iter().map(|file| times(file) * bytes_of(file)).sum()
}

/// A record in an older snapshot may have been deleted before the newest was written.
fn origin_of(snapshot: &Snapshot, inspection: &Inspection) -> Origin {
    if snapshot.seq == inspection.snapshot_seq() { Origin::Archive } else { Origin::Carved }
}

/// A file that the system cannot read counts as missing.
fn read_or_not(read: Result<()>) {
    if let Err(error) = read {
        tracing::warn!(error = %chain(&error), "an unreadable file was skipped");
    }
}

struct Fragments<'a, 'b> {
    carver: Carver,
    sources: &'a mut Sources<'b>,
}

impl Fragments<'_, '_> {
    fn know_keys(&mut self) {
        for key in self.sources.changes.keys() {
            if let Some(key) = Key::from_bytes(key.clone()) {
                self.carver.know(&key);
            }
        }
    }

    /// Adds a record from the damaged snapshot of the commit `of`.
    fn archived(&mut self, key: Bytes, value: &Bytes, of: u64, origin: Origin) {
        let Some(key) = Key::from_bytes(key) else { return };
        self.carver.know(&key);
        match record::open(&key, value.clone()) {
            Ok((version, _)) => self.sources.add(&key, version, value.clone(), origin),
            Err(_) => drop(self.sources.unreadable.insert(key.bytes().clone(), Unreadable::At(of))),
        }
    }

    /// Adds a possible record from an index.
    fn indexed(&mut self, key: &Bytes, value: Bytes) {
        let Some(record) = found_record(key, &value) else { return };
        self.carver.know(&record.key);
        self.sources.add(&record.key, record.version, value, Origin::Carved);
    }

    fn carve(&mut self, file: &Path, meter: &Meter<'_>, origin: Origin) {
        let Self { carver, sources } = self;
        read_or_not(
            carver.carve(file, meter, &mut |key, version, value| sources.add(&key, version, value, origin)),
        );
    }
}
