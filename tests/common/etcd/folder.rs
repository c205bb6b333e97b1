//! The folders with the data of members.

use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "procstate-etcd-";

/// A scratch folder whose name contains the pid of its test program. A shared cluster is never
/// dropped, so the next test program removes its folder.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Self(tempfile::Builder::new().prefix(&prefix).tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Removes the folders of test programs that have ended.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        if let Some((owner, _)) = owner
            && !Path::new("/proc").join(owner).exists()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
