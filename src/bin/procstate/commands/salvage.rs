//! Getting back what can be had of a store that does not open.

use std::fs;
use std::path::Path;

use procstate::{Recovery, Store};
use serde_json::json;

use crate::failure::{Failure, Found};
use crate::output::Output;

/// Makes a new store at `target` of what the store at `db` still has. Until it is
/// complete it has another name.
pub(crate) fn salvage(db: &Path, target: &Path, output: &mut Output) -> Result<Found, Failure> {
    refuse_existing(target)?;
    let target = std::path::absolute(target).map_err(|error| cannot("find", target, &error))?;
    let parent = target.parent().unwrap_or(&target);
    fs::create_dir_all(parent).map_err(|error| cannot("create", parent, &error))?;
    let begun = tempfile::Builder::new()
        .prefix(".procstate-salvage-")
        .tempdir_in(parent)
        .map_err(|error| cannot("create a folder in", parent, &error))?;
    Store::copy_files(db, begun.path()).map_err(|error| Failure::failed(&error))?;
    // What is wrong with the copy is wrong with the store.
    let copy = begun.path().to_string_lossy().into_owned();
    let of_store = |text: &str| text.replace(&copy, &db.to_string_lossy());
    let salvaged = mend(begun.path(), &of_store)
        .map_err(|error| Failure::Failed(of_store(&Failure::failed(&error).to_string())))?;
    fs::rename(begun.keep(), &target).map_err(|error| cannot("create", &target, &error))?;
    salvaged.tell(&target, output)
}

/// What a new store has, and what it has not.
struct Salvaged {
    records: u64,
    rebuilt: Option<String>,
    lost: Option<String>,
    /// The last commit before a torn tail.
    kept: Option<u64>,
}

fn refuse_existing(target: &Path) -> Result<(), Failure> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !target.exists(),
    };
    let taken = format!("{} is there already; name a new folder", target.display());
    if is_free { Ok(()) } else { Err(Failure::Failed(taken)) }
}

/// Opens the copy in whatever way it can be, and then again as any store.
fn mend(copy: &Path, of_store: &dyn Fn(&str) -> String) -> procstate::Result<Salvaged> {
    let store = Store::builder().create(false).recovery(Recovery::CutLog).open(copy)?;
    let report = store.open_report().clone();
    store.close()?;
    let store = Store::builder().create(false).open(copy)?;
    let records = store.stats()?.records;
    store.close()?;
    let lost = report.lost.as_deref().map(of_store);
    let kept = report.torn_tail.filter(|_| lost.is_none()).map(|torn| torn.kept);
    Ok(Salvaged { records, rebuilt: report.rebuilt.map(|rebuilt| of_store(&rebuilt.why)), lost, kept })
}

impl Salvaged {
    fn tell(&self, target: &Path, output: &mut Output) -> Result<Found, Failure> {
        if output.is_json() {
            output.json(&json!({
                "store": target.display().to_string(),
                "records": self.records,
                "rebuilt": self.rebuilt,
                "lost": self.lost,
                "cutAfter": self.kept,
            }))?;
        } else {
            self.tell_people(target, output)?;
        }
        Ok(if self.lost.is_some() { Found::Something } else { Found::AllWell })
    }

    fn tell_people(&self, target: &Path, output: &mut Output) -> Result<(), Failure> {
        output.line(&format!("{} has {} records", target.display(), self.records))?;
        if let Some(why) = &self.rebuilt {
            output.line(&format!("the index was rebuilt: {why}"))?;
        }
        if let Some(kept) = self.kept {
            output.line(&format!("commits after {kept}, which were not synced, are gone"))?;
        }
        match &self.lost {
            Some(lost) => output.line(&format!("LOST: {lost}")),
            None => output.line("nothing that was acknowledged as synced is lost"),
        }
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("could not {what} {}: {error}", path.display()))
}
