//! Runs the tool on a temporary store.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use procstate::Params;
use tempfile::TempDir;

use crate::common::{copy_as_it_is, small};

pub const PROCESS: &str = r#"{"processName": "nightly", "instance": "old", "scheduleFrequency": "3600s",
    "activeWork": {"a": {"params": {"intParams": {"n": "7"}, "stringParams": {"s": "x y"}}}, "b/c": {}, "d": {}},
    "cleanupWork": {"gone": "2026-01-01T00:00:00Z"},
    "settings": {"stringParams": {"region": "eu"}}}"#;

pub struct Tool {
    pub folder: TempDir,
}

impl Tool {
    /// Creates an empty store.
    pub fn new() -> Self {
        let tool = Self { folder: tempfile::tempdir().unwrap() };
        tool.fine(&["init"]);
        tool
    }

    /// Creates a store with one process.
    pub fn imported() -> Self {
        let tool = Self::new();
        tool.fine(&["import", &tool.file("nightly.json", PROCESS)]);
        tool
    }

    pub fn db(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procstate"));
        command.arg("--db").arg(self.db()).args(arguments).env_remove("PROCSTATE_DB").stdin(Stdio::null());
        command
    }

    /// Runs a command on another store that must succeed.
    pub fn fine_at(&self, db: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(env!("CARGO_BIN_EXE_procstate")).arg("--db").arg(db).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; returns its output.
    pub fn fine(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments).0
    }

    /// Runs a command that must end with `status`; returns its output and messages.
    pub fn ends(&self, status: i32, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stdout}{stderr}");
        (stdout, stderr)
    }

    /// Runs a command that must fail with `status` and this message without changing the store.
    pub fn refuses(&self, status: i32, arguments: &[&str], message: &str) {
        let before = self.bytes();
        let (stdout, stderr) = self.ends(status, arguments);
        assert_eq!(stdout, "", "{arguments:?}");
        let place = self.folder.path().display().to_string();
        assert_eq!(
            stderr.replace(&place, "DIR").trim_end(),
            format!("procstate: {message}"),
            "{arguments:?}"
        );
        assert!(self.bytes() == before, "{arguments:?} changed the store");
    }

    /// Returns every file of the store.
    pub fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn add(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    add(&path, files);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        if self.db().exists() {
            add(&self.db(), &mut files);
        }
        files
    }

    pub fn state_of(&self, work: &str) -> String {
        let response = self.run(&["--json", "work", "nightly", work]).stdout;
        let response: serde_json::Value = serde_json::from_slice(&response).unwrap();
        response["state"].as_str().unwrap().to_owned()
    }
}

/// Creates a store whose program was killed, with 40 commits that only the log has.
pub fn killed() -> Tool {
    let tool = Tool { folder: tempfile::tempdir().unwrap() };
    let running = tool.folder.path().join("running");
    let store = small().open(&running).unwrap();
    for n in 0..40 {
        store.process("p").unwrap().register(&format!("w{n:02}"), Params::new().int("n", n)).unwrap();
    }
    // Waits until SYNCED covers the whole log.
    std::thread::sleep(Duration::from_millis(100));
    copy_as_it_is(&running, &tool.db());
    store.close().unwrap();
    fs::remove_dir_all(running).unwrap();
    tool
}
