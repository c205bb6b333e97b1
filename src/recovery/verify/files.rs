//! Verifies the manifest, and reports files that are not part of a store.

use std::path::{Path, PathBuf};

use super::report::Report;
use crate::engine::Snapshot;
use crate::engine::wal::is_unfinished;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;

pub(super) fn check(store: &Offline, files: &[PathBuf], inspection: &Inspection, report: &mut Report<'_>) {
    if let Err(why) = &inspection.facts.manifest {
        let manifest = store.closed.layout().manifest();
        let finding = report.wrong(
            &manifest,
            why.clone(),
            "the store does not open without it, although records and log may all be intact",
        );
        report.tell(finding);
    }
    if let Some(why) = inspection.facts.damaged_synced.clone() {
        let finding = report.unnoted(&store.closed.layout().synced(), why);
        report.tell(finding);
    }
    let mut told = Vec::new();
    for file in files {
        let top = top(store, file);
        let Some(kind) = kind_of(file, &top, inspection) else { continue };
        // Reported once per folder, not per file.
        let place = if is_folder(&top) { store.closed.layout().root().join(&top) } else { file.clone() };
        if !told.contains(&place) {
            let finding = match kind {
                Kind::LeftOver(what) => report.left_over(&place, what),
                Kind::Foreign => report.foreign(&place),
            };
            report.tell(finding);
            told.push(place);
        }
    }
}

fn is_folder(top: &Path) -> bool {
    !["MANIFEST", "MANIFEST.new", "SYNCED", "wal", "snapshots", "index"]
        .iter()
        .any(|part| top == Path::new(part))
}

/// A file that opening does not read.
enum Kind {
    LeftOver(&'static str),
    Foreign,
}

/// Classifies a file; `None` if it is part of the store.
fn kind_of(file: &Path, top: &Path, inspection: &Inspection) -> Option<Kind> {
    let name = file.file_name()?.to_string_lossy();
    let what = match &*top.to_string_lossy() {
        "MANIFEST" | "SYNCED" => None,
        "MANIFEST.new" => Some("a manifest that a program was writing when it died"),
        "wal" if name.ends_with(".wal") => None,
        "wal" if is_unfinished(&name) => Some("a file of the log that a program was writing when it died"),
        "snapshots" if is_snapshot(file, &inspection.snapshots) => None,
        "snapshots" if name.ends_with(".archive") => Some("an older snapshot"),
        "snapshots" if name.ends_with(".new") => Some("a snapshot that a program was writing when it died"),
        "index" if name.starts_with("broken-snap.") => {
            Some("a part of an index that a program was writing when it died")
        }
        "index" => None,
        "index.new" => Some("an index that a program was building when it died"),
        "index.before" => Some("a copy of the index, of a program that died while it compacted the store"),
        top if top.starts_with("index.damaged-") => Some(
            "a damaged index that was replaced, kept for inspection (`procstate compact --remove-damaged`)",
        ),
        _ => return Some(Kind::Foreign),
    };
    what.map(Kind::LeftOver)
}

/// Reports whether it is the snapshot that opening would use.
fn is_snapshot(file: &Path, snapshots: &[Snapshot]) -> bool {
    snapshots.first().is_some_and(|newest| newest.path == file)
}

/// Returns the top-level path component within the store.
fn top(store: &Offline, path: &Path) -> PathBuf {
    let within = path.strip_prefix(store.closed.layout().root()).unwrap_or(path);
    within.components().next().map(|first| PathBuf::from(first.as_os_str())).unwrap_or_default()
}
