//! What goes into a store by way of the tool, and how it comes to a terminal.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::fs;

use procstate::proto::{RunError, Status, Work};
use procstate::{ImportMode, Process, Store};
use tool::Tool;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Clears the screen, goes on on a new line, turns the order of text round, and cannot be
/// seen.
const HOSTILE: &str = "a\u{1b}[2J\nprocstate: all is well\u{202e}\u{200b}\u{9b}";
const TOLD: &str = "a\\u{1b}[2J\\nprocstate: all is well\\u{202e}\\u{200b}\\u{9b}";

fn hostile() -> Tool {
    let tool = Tool::new();
    let error = RunError { text: format!("\n  first {HOSTILE}"), ..RunError::default() };
    let status = Status { errors: vec![error], total_errors: 1, ..Status::default() };
    let work = Work { status: Some(status), ..Work::default() };
    let process = Process {
        process_name: HOSTILE.to_owned(),
        instance: HOSTILE.to_owned(),
        active_work: [(HOSTILE.to_owned(), work)].into(),
        aggregate_stats: [(HOSTILE.to_owned(), 1.0)].into(),
        ..Process::default()
    };
    let store = Store::open(tool.db()).unwrap();
    store.import(process, ImportMode::New).unwrap();
    store.close().unwrap();
    tool
}

#[test]
fn nothing_in_a_store_moves_the_terminal() {
    let tool = hostile();
    let is_plain = |text: &str| text.chars().all(|c| c == '\n' || (' '..='~').contains(&c));
    for command in
        [&["ls"][..], &["show", HOSTILE], &["work", HOSTILE], &["work", HOSTILE, HOSTILE], &["log"]]
    {
        let (stdout, stderr) = tool.ends(0, command);
        assert!(stdout.contains(TOLD), "{command:?}: {stdout}");
        assert!(is_plain(&stdout) && is_plain(&stderr), "{command:?}: {stdout}{stderr}");
        let lines = tool.fine(&[&["--json"], command].concat());
        assert!(is_plain(&lines), "{command:?}: {lines}");
        assert!(lines.lines().any(|line| line.contains(r"\u202e")), "{command:?}: {lines}");
        lines.lines().for_each(|line| assert!(json(line).is_object()));
    }
    let export = tool.fine(&["export"]);
    assert!(is_plain(&export));
    assert_eq!(json(&export)["processName"], HOSTILE);
    // What was said by others in an error is no better.
    let (_, stderr) = tool.ends(1, &["show", "b\u{202e}\u{1b}[2J"]);
    assert!(is_plain(&stderr) && stderr.contains("202e") && stderr.lines().count() == 1, "{stderr}");
    // The first line of an error that says something.
    let work = tool.fine(&["work", HOSTILE]);
    assert!(work.contains("first a\\u{1b}[2J\n"), "{work}");
}

#[test]
fn a_work_item_has_one_state() {
    let tool = Tool::imported();
    let (active, gone) = (tool.fine(&["work", "nightly", "a"]), tool.fine(&["work", "nightly", "gone"]));
    assert!(active.starts_with("work      a\nstate     unspecified\n"), "{active}");
    assert_eq!(active.matches("state ").count(), 1, "{active}");
    assert_eq!(gone, "work      gone\nstate     cleanup\n");
    assert!(tool.fine(&["stats"]).starts_with("store       1 process, 6 records, "));
}

/// What is wrong with the copy that is looked at is wrong with the store.
#[test]
fn warnings_name_the_store_and_not_the_copy() {
    let tool = Tool::imported();
    let index = tool.db().join("index");
    fs::write(index.join("snap.FFFFFFFFFFFFFFF0.generating"), "cut short").unwrap();
    let temporary = tool.folder.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let place = temporary.display().to_string();
    for command in [&["ls"][..], &["show", "nightly"], &["export"], &["verify"]] {
        let output = tool.command(command).env("TMPDIR", &temporary).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stderr.contains(&place) && !stdout.contains(&place), "{command:?}: {stdout}{stderr}");
        let named = format!("path={}", index.join("snap.FFFFFFFFFFFFFFF0.generating").display());
        assert!(stderr.contains(&named), "{command:?}: {stdout}{stderr}");
        assert_eq!(stderr.contains("in a private copy"), command != ["verify"], "{stderr}");
    }
    fs::write(index.join("db"), "no index").unwrap();
    let output = tool.command(&["ls"]).env("TMPDIR", &temporary).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the index was rebuilt") && !stderr.contains(&place), "{stderr}");
    assert!(stderr.contains("(in a private copy; the store was not changed)"), "{stderr}");
}
