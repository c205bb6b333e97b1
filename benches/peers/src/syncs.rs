//! Checks with strace whether a store syncs before it acknowledges.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::victim::{Said, Victim};

/// What strace saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub acknowledged: u64,
    /// Acknowledgements without a sync since the previous one of the same process.
    pub unsynced: u64,
    /// Syncs between the first and the last acknowledgement.
    pub syncs: u64,
}

pub fn can_trace() -> bool {
    let strace = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    strace.is_ok_and(|output| output.status.success())
}

/// Runs a victim under strace.
pub fn look(victim: &Victim, trace: &Path) -> Result<Seen> {
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", "trace=fsync,fdatasync,msync,write", "-o"])
        .arg(trace)
        .arg(std::env::current_exe()?)
        .args(victim.arguments()?)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the victim failed under strace: {status}");
    let folder = victim.folder.canonicalize()?;
    Ok(read(&std::fs::read_to_string(trace)?, &folder.to_string_lossy()))
}

/// Parses a trace: which acknowledgements followed a sync of a file in `folder`.
fn read(trace: &str, folder: &str) -> Seen {
    let mut seen = Seen::default();
    let mut syncs = 0;
    // Threads within a sync: strace reports its end in a line without the file.
    let mut syncing: HashMap<&str, bool> = HashMap::new();
    let mut syncs_at_last: HashMap<usize, u64> = HashMap::new();
    let mut syncs_at_first = None;
    for line in trace.lines() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let event = event.trim_start();
        if is_sync(event) {
            let is_mine = event.starts_with("msync") || event.contains(folder);
            if event.ends_with("<unfinished ...>") {
                syncing.insert(thread, is_mine);
            } else {
                syncs += u64::from(is_mine && succeeded(event));
            }
        } else if event.starts_with("<...") && event.contains("sync resumed") {
            syncs += u64::from(syncing.remove(thread).unwrap_or(false) && succeeded(event));
        } else if let Some(Said::Acknowledged { process, .. }) = said(event) {
            seen.acknowledged += 1;
            seen.syncs = syncs - *syncs_at_first.get_or_insert(syncs);
            let before = syncs_at_last.insert(process, syncs);
            seen.unsynced += u64::from(before == Some(syncs));
        }
    }
    seen
}

fn is_sync(event: &str) -> bool {
    ["fsync(", "fdatasync(", "msync("].iter().any(|call| event.starts_with(call))
}

fn succeeded(event: &str) -> bool {
    event.ends_with("= 0")
}

/// Parses a write to stdout: `write(1</dev/null>, "ack 0 17.\n", 10) = 10`.
fn said(event: &str) -> Option<Said> {
    let text = event.strip_prefix("write(1<")?.split('"').nth(1)?;
    Said::parse(text.strip_suffix("\\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_for_each() {
        let trace = "\
            7 write(1</dev/null>, \"ack 0 1.\\n\", 9) = 9\n\
            7 fdatasync(5</store/log>) = 0\n\
            7 write(1</dev/null>, \"ack 0 2.\\n\", 9) = 9\n";
        assert_eq!(read(trace, "/store"), Seen { acknowledged: 2, unsynced: 0, syncs: 1 });
    }

    #[test]
    fn failed_syncs_and_other_files_do_not_count() {
        let trace = "\
            7 write(1</dev/null>, \"ack 0 1.\\n\", 9) = 9\n\
            7 fdatasync(5</store/log>) = -1 EIO (Input/output error)\n\
            7 fsync(5</elsewhere/log>) = 0\n\
            7 write(1</dev/null>, \"ack 0 2.\\n\", 9) = 9\n";
        assert_eq!(read(trace, "/store"), Seen { acknowledged: 2, unsynced: 1, syncs: 0 });
    }

    #[test]
    fn processes_share_a_sync_that_ends_before_both() {
        let trace = "\
            7 write(1</dev/null>, \"ack 0 1.\\n\", 9) = 9\n\
            8 write(1</dev/null>, \"ack 1 1.\\n\", 9) = 9\n\
            7 fdatasync(5</store/log> <unfinished ...>\n\
            8 write(5</store/log>, \"x\", 1) = 1\n\
            7 <... fdatasync resumed>)          = 0\n\
            7 write(1</dev/null>, \"ack 0 2.\\n\", 9 <unfinished ...>\n\
            8 write(1</dev/null>, \"ack 1 2.\\n\", 9) = 9\n";
        assert_eq!(read(trace, "/store"), Seen { acknowledged: 4, unsynced: 0, syncs: 1 });
    }
}
