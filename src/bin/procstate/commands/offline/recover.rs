//! Backs up, restores and compacts.

use std::path::Path;

use procstate::recovery::{self, Compacted, Restored, Until};
use serde_json::json;

use crate::args::Restore;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, count, json_time, say};
use crate::terminal::progress::Spinner;

pub(crate) fn backup(place: &Location, file: &Path, output: &mut Output) -> Result<CommandStatus, Failure> {
    if let Location::Folder(db) = place {
        check_outside(db, file)?;
    }
    let busy = Spinner::new("backing up");
    let backup = open::for_looking(place)?.backup(file)?;
    drop(busy);
    if output.is_json() {
        output.json(&json!({"seq": backup.seq, "records": backup.records, "bytes": backup.bytes}))?;
    } else {
        let all = if backup.records == 1 { "the one" } else { "all" };
        let records = count(backup.records, "record");
        let records = records.strip_prefix("1 ").unwrap_or(&records);
        say(&format!("{} has {all} {records} as of commit {}", file.display(), backup.seq));
    }
    Ok(CommandStatus::Success)
}

/// Checked here because the library only sees the copy that is backed up.
fn check_outside(db: &Path, file: &Path) -> Result<(), Failure> {
    let absolute = std::path::absolute(file).ok();
    let folder = absolute.as_deref().and_then(Path::parent).and_then(|folder| folder.canonicalize().ok());
    // A missing folder cannot be written to, and a missing store cannot be backed up.
    let (Some(folder), Ok(db)) = (folder, db.canonicalize()) else { return Ok(()) };
    if folder.starts_with(db) {
        return Err(Failure::Failed(format!("{} would lie inside the store", file.display())));
    }
    Ok(())
}

pub(crate) fn restore(restore: &Restore, output: &mut Output) -> Result<CommandStatus, Failure> {
    let Some(into) = &restore.into else {
        let text = "name the folder of the new store with --into NEWDIR";
        return Err(Failure::Failed(text.to_owned()));
    };
    let busy = Spinner::new("restoring");
    let restored = recovery::restore(&restore.from, into, restore.until.unwrap_or(Until::End))
        // A missing backup is not an absent name: the exit status is 2.
        .map_err(|error| Failure::failed(&error))?;
    drop(busy);
    tell(&restored, &into.display().to_string(), output)
}

#[cfg(feature = "etcd")]
pub(crate) fn restore_to_etcd(
    restore: &Restore,
    options: &procstate::EtcdOptions,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    if restore.into.is_some() || restore.until.is_some() {
        let text = "a restore to etcd is complete, and --etcd and --etcd-prefix name its target: omit --into and --until";
        return Err(Failure::Failed(text.to_owned()));
    }
    let busy = Spinner::new("restoring");
    let restored =
        recovery::restore_to_etcd(&restore.from, options).map_err(|error| Failure::failed(&error))?;
    drop(busy);
    tell(&restored, "the store in etcd", output)
}

fn tell(restored: &Restored, into: &str, output: &mut Output) -> Result<CommandStatus, Failure> {
    if output.is_json() {
        let time = json_time(restored.time);
        output.json(&json!({"seq": restored.seq, "time": time, "records": restored.records}))?;
    } else {
        let of = restored.time.map(|time| format!(" of {time:.0}")).unwrap_or_default();
        let records = count(restored.records, "record");
        let seq = restored.seq;
        say(&format!("{into} has {records}, as of commit {seq}{of}"));
    }
    Ok(CommandStatus::Success)
}

pub(crate) fn compact(
    db: &Path,
    remove_damaged: bool,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let busy = Spinner::new("compacting");
    let fails = |error| Failure::failed(&error);
    let Compacted { before, after, .. } = recovery::compact(db).map_err(fails)?;
    let removed = if remove_damaged { recovery::remove_damaged(db).map_err(fails)? } else { 0 };
    drop(busy);
    if output.is_json() {
        output.json(&json!({"before": before, "after": after, "removedDamaged": removed}))?;
    } else {
        say(&if after < before {
            format!("{} took {} and takes {after}", db.display(), count(before, "byte"))
        } else {
            format!("nothing to reclaim: {} takes {}", db.display(), count(after, "byte"))
        });
        if removed > 0 {
            let removed = count(removed, "damaged index");
            say(&format!("deleted {removed} kept for inspection"));
        }
    }
    Ok(CommandStatus::Success)
}
