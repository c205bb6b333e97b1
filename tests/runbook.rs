//! Runs the commands of docs/recovery.md on stores with the damage in question, and those of
//! docs/run.md in sequence: their output and exit status must match the text.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::fs;
use std::path::Path;
use std::process::Command;

use procstate::http::Server;
use procstate::{Params, Store};
use tempfile::TempDir;
use tool::killed;

/// A command of the runbook.
struct Step {
    line: String,
    status: i32,
    output: Vec<String>,
}

/// Returns the headings of a page and the commands below each.
fn sections(page: &str) -> Vec<(String, Vec<Step>)> {
    let text = fs::read_to_string(page).unwrap();
    let mut sections: Vec<(String, Vec<Step>)> = Vec::new();
    let mut is_console = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading.to_owned(), Vec::new()));
        } else if line.starts_with("```") {
            is_console = line == "```console";
        } else if is_console {
            let steps = &mut sections.last_mut().unwrap().1;
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(step(command)),
                None => steps.last_mut().unwrap().output.push(line.to_owned()),
            }
        }
    }
    sections.into_iter().filter(|(_, steps)| !steps.is_empty()).collect()
}

fn step(command: &str) -> Step {
    let (line, status) = command.split_once(" # ").unwrap_or((command, "0"));
    Step { line: line.to_owned(), status: status.parse().unwrap(), output: Vec::new() }
}

/// Reports whether `found` matches `pattern`, in which `[..]` stands for anything.
fn is_like(found: &str, pattern: &str) -> bool {
    let mut rest = found;
    let mut parts = pattern.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let parts: Vec<&str> = parts.collect();
    for (n, part) in parts.iter().enumerate() {
        let is_last = n + 1 == parts.len();
        let found = if is_last && !part.is_empty() { rest.rfind(part) } else { rest.find(part) };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
        if is_last && part.is_empty() {
            return true;
        }
    }
    rest.is_empty()
}

/// Reports whether the lines match the patterns, in which `...` stands for any lines.
fn are_like(lines: &[&str], patterns: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| are_like(&lines[skipped..], rest)),
        Some((pattern, rest)) => {
            lines.split_first().is_some_and(|(line, more)| is_like(line, pattern) && are_like(more, rest))
        }
    }
}

fn run(step: &Step, folder: &Path) {
    let mut words = step.line.split(' ');
    let program = match words.next().unwrap() {
        "procstate" => env!("CARGO_BIN_EXE_procstate"),
        other => other,
    };
    check(step, Command::new(program).args(words).current_dir(folder));
}

/// Runs the command of a step, whose output must match.
fn check(step: &Step, command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(step.status), "{}: {text}", step.line);
    let (lines, patterns): (Vec<&str>, Vec<&str>) =
        (text.lines().collect(), step.output.iter().map(String::as_str).collect());
    assert!(
        are_like(&lines, &patterns),
        "{}: it printed\n{text}\nand not\n{}",
        step.line,
        patterns.join("\n")
    );
}

/// Creates a folder with a store `state` in the condition of the section, and its server, if any.
fn set_up(heading: &str) -> (TempDir, Option<Server>) {
    let folder = killed().folder;
    let state = folder.path().join("state");
    let procstate = |line: &str| {
        run(&Step { line: line.to_owned(), status: 0, output: vec!["...".into()] }, folder.path())
    };
    let mut open = None;
    match heading {
        "What is wrong?" | "The disk is full" => {}
        "Backups" => fs::create_dir(folder.path().join(".state.new.incomplete-019ac000")).unwrap(),
        "The store opens, and something in it is damaged" => {
            procstate("procstate --db state compact");
            damage_all(&state.join("index/db"));
        }
        "The log is damaged" => flip(&state.join("wal/000000.wal"), b"w25"),
        "The log is gone" => {
            procstate("procstate --db state compact");
            fs::remove_dir_all(state.join("wal")).unwrap();
        }
        "The manifest is damaged or gone" => flip(&state.join("MANIFEST"), b"index"),
        "Index and snapshot are damaged" => {
            procstate("procstate --db state backup backup");
            fs::remove_dir_all(&state).unwrap();
            // Its log starts after everything that was restored.
            procstate("procstate restore backup --into state");
            damage_all(&state.join("index/db"));
            let snapshot = fs::read_dir(state.join("snapshots")).unwrap().next().unwrap().unwrap().path();
            flip(&snapshot, b"w11");
        }
        "The store is in use" => {
            let server = Server::builder(&Store::open(&state).unwrap()).control_socket().unwrap();
            open = Some(server.start().unwrap());
        }
        "Somebody deleted the wrong thing" => procstate("procstate --db state unregister p w07"),
        "An owner that is dead still has its process" => {
            let store = Store::open(&state).unwrap();
            store.process("p").unwrap().register("w", Params::new()).unwrap();
            drop(common::won(&store.process("p").unwrap()));
            store.close().unwrap();
        }
        other => panic!("there is no setup for {other:?}"),
    }
    (folder, open)
}

/// Flips a bit in the first `text` of a file.
fn flip(path: &Path, text: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|bytes| bytes == text).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Flips bits throughout a file.
fn damage_all(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    for at in (100..bytes.len()).step_by(700) {
        bytes[at] ^= 1;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_command_of_the_runbook_works_as_documented() {
    let sections = sections("docs/recovery.md");
    assert!(sections.len() >= 10, "{}", sections.len());
    for (heading, steps) in sections {
        println!("{heading}");
        let (folder, open) = set_up(&heading);
        for step in &steps {
            println!("$ {}", step.line);
            run(step, folder.path());
        }
        drop(open);
    }
}

/// Runs the commands in the documentation of the command runner in a shell.
#[test]
fn every_command_of_the_run_manual_works_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let tools = Path::new(env!("CARGO_BIN_EXE_procstate")).parent().unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let steps: Vec<Step> = sections("docs/run.md").into_iter().flat_map(|(_, steps)| steps).collect();
    assert!(steps.len() >= 12, "{}", steps.len());
    for step in &steps {
        println!("$ {}", step.line);
        // Some steps wait for what an earlier one started, which may have failed.
        let mut shell = Command::new("timeout");
        shell.args(["120", "sh", "-c", &step.line]).env("PATH", &path).env("PROCSTATE_DB", "state");
        check(step, shell.current_dir(folder.path()));
    }
}

#[test]
fn patterns_distinguish_lines() {
    assert!(is_like("abc", "abc") && !is_like("abcd", "abc") && !is_like("ab", "abc"));
    assert!(is_like("a 12 b", "a [..] b") && !is_like("a 12 c", "a [..] b") && is_like("a 12", "a [..]"));
    assert!(is_like("x 1 y 2 y", "x [..] y") && is_like("1 of 2", "[..] of [..]"));
    assert!(are_like(&["a", "b", "c"], &["...", "c"]) && !are_like(&["a", "b"], &["a"]));
    assert!(are_like(&["a"], &["a", "..."]) && !are_like(&[], &["a"]));
}
