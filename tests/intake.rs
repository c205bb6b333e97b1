//! The tool's input of work, and its output of untrusted text.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use procstate::proto::{RunError, Status, Work};
use procstate::{ImportMode, Process, Store};
use tool::Tool;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Text that clears the screen, starts a new line, reverses the text direction, and contains
/// invisible characters.
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
    // Text of others within an error is not trusted either.
    let (_, stderr) = tool.ends(1, &["show", "b\u{202e}\u{1b}[2J"]);
    assert!(is_plain(&stderr) && stderr.contains("202e") && stderr.lines().count() == 1, "{stderr}");
    // The first line of an error.
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

/// Damage of the private copy is damage of the store.
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

fn names(tool: &Tool) -> Vec<String> {
    let lines = tool.fine(&["--json", "work", "nightly"]);
    lines.lines().map(|line| json(line)["id"].as_str().unwrap().to_owned()).collect()
}

fn piped(tool: &Tool, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = tool.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn several_items_are_registered_at_once() {
    let tool = Tool::new();
    let (stdout, said) = tool.ends(0, &["register", "nightly", "a", "b", "a", "--int", "n=1"]);
    assert_eq!((stdout.as_str(), said.as_str()), ("", "registered 2 items\n"));
    let (_, said) = tool.ends(0, &["register", "nightly", "a", "c", "--int", "n=1"]);
    assert_eq!(said, "registered 1 item; 1 item was registered with these parameters already\n");
    let counts = json(&tool.fine(&["--json", "register", "nightly", "a", "b", "d", "--int", "n=1"]));
    assert_eq!(counts, json(r#"{"changed": 1, "unchanged": 2, "unregistered": 0}"#));
    assert_eq!(names(&tool), ["a", "b", "c", "d"]);
    let (_, said) = tool.ends(0, &["unregister", "nightly", "b", "c"]);
    assert_eq!(said, "unregistered 2 items\n");
    let counts = json(&tool.fine(&["--json", "unregister", "nightly", "a", "b"]));
    assert_eq!(counts, json(r#"{"unregistered": 1, "unchanged": 1, "unknown": 0}"#));
    tool.ends(2, &["register", "nightly"]);
}

#[test]
fn lists_come_from_files_and_standard_input() {
    let tool = Tool::new();
    let file = tool.file("list", "\u{feff}a\r\n\r\nb c\n\nd \nlast");
    tool.fine(&["register", "nightly", "--from", &file, "--str", "s=x"]);
    assert_eq!(names(&tool), ["a", "b c", "d ", "last"]);
    assert_eq!(piped(&tool, &["register", "nightly", "-", "from arguments"], b"e\nf\ne\n").0, 0);
    assert_eq!(names(&tool), ["a", "b c", "d ", "e", "f", "from arguments", "last"]);
    let (status, _, said) = piped(&tool, &["unregister", "nightly", "--from", "-"], b"e\nf\n");
    assert_eq!((status, said.as_str()), (0, "unregistered 2 items\n"));
    // After -- it is a name.
    tool.fine(&["register", "nightly", "--", "-", "--exact"]);
    assert!(names(&tool).contains(&"-".to_owned()) && names(&tool).contains(&"--exact".to_owned()));
    tool.fine(&["unregister", "nightly", "--", "-"]);
    // NUL ends the names that find prints.
    assert_eq!(piped(&tool, &["register", "nightly", "-", "-0"], b"x\ny\0\0z\r\0{}").0, 0);
    assert!(["x\ny", "z\r", "{}"].iter().all(|name| names(&tool).contains(&(*name).to_owned())));
    // Empty input is not an error.
    assert_eq!(piped(&tool, &["register", "nightly", "-"], b"").2, "registered 0 items\n");
}

#[test]
fn an_exact_list_replaces_all_work() {
    let tool = Tool::imported();
    let (_, said) =
        tool.ends(0, &["register", "nightly", "a", "new", "--exact", "--int", "n=7", "--str", "s=x y"]);
    let expected =
        "registered 1 item; 1 item was registered with these parameters already; unregistered 2 items\n";
    assert_eq!(said, expected);
    let states = ["a", "b/c", "d", "gone", "new"].map(|name| tool.state_of(name));
    assert_eq!(states, ["unspecified", "cleanup", "cleanup", "cleanup", "queued"]);
    let empty = tool.file("empty", "\n\r\n");
    tool.refuses(
        2,
        &["register", "nightly", "--from", &empty, "--exact"],
        "the list is empty, and with --exact all work of process \"nightly\" would be unregistered; nothing was changed. If this is intended, use --allow-empty",
    );
    let counts = tool.fine(&["--json", "register", "nightly", "--from", &empty, "--exact", "--allow-empty"]);
    assert_eq!(json(&counts), json(r#"{"changed": 0, "unchanged": 0, "unregistered": 2}"#));
    assert_eq!(tool.state_of("a"), "cleanup");
}

#[test]
fn json_lines_have_parameters() {
    let tool = Tool::new();
    let file = tool.file(
        "list",
        "{\"work\": \"a\", \"intParams\": {\"n\": 1, \"big\": \"9007199254740993\"}}\r\n\n{\"work\":\"\\u0000-\",\"stringParams\":{\"s\":\"own\"}}\n",
    );
    tool.fine(&["register", "nightly", "--json-lines", "--from", &file, "--int", "n=5", "--str", "s=all"]);
    let params =
        |name: &str| json(&tool.fine(&["--json", "work", "nightly", name]))["details"]["params"].clone();
    let expected = r#"{"intParams": {"n": "1", "big": "9007199254740993"}, "stringParams": {"s": "all"}}"#;
    assert_eq!(params("a"), json(expected));
    assert_eq!(names(&tool), ["\0-", "a"]);
    let refused = |content: &str, why: &str| {
        let file = tool.file("bad", content);
        tool.refuses(2, &["register", "nightly", "--json-lines", "--from", &file], why);
    };
    refused(
        "{\"work\": \"x\"}\n{\"work\": \"y\", \"work\": \"z\"}\n",
        "DIR/bad, line 2, column 26: \"work\" occurs twice in one object",
    );
    refused("\n\nplain\n", "DIR/bad, line 3, column 1: expected value");
    refused(
        "{\"work\": \"x\", \"intParams\": {\"n\": 1}}\n\n{\"work\": \"x\"}\n",
        "DIR/bad, line 3: \"x\" has other parameters here than in DIR/bad, line 1; nothing was changed",
    );
    refused(
        "{\"work\": \"x\"}\n{\"work\": \"\"}\n",
        "DIR/bad, line 2: work name \"\" cannot be used: it is empty",
    );
}

#[test]
fn lists_that_are_something_else_are_refused() {
    let tool = Tool::imported();
    let long = format!("fine\n{}\n", "x".repeat(1025));
    let sixty = "x".repeat(60);
    for (content, why) in [
        (
            long.as_bytes(),
            &*format!(
                "DIR/list, line 2: work name \"{sixty}\" cannot be used: it has 1025 bytes, and the limit is 1024"
            ),
        ),
        (b"a\nb\0c\0", "DIR/list, line 2: it contains a NUL; if the names end with NUL, use --null"),
        (
            b"a\n{\"work\": \"b\"}\n",
            "DIR/list, line 2: this is a JSON object, which --json-lines reads; if it is a name, give it as an argument or in a list with --null",
        ),
        (
            b"\x1f\x8b\x08",
            "DIR/list: this is gzip: decompress it first, e.g. `zcat DIR/list | procstate register nightly -`",
        ),
        (
            b"\xff\xfea\0",
            "DIR/list: this is UTF-16: convert it first, e.g. `iconv -f UTF-16 -t UTF-8 DIR/list | procstate register nightly -`",
        ),
    ] {
        let list = tool.file("list", content);
        tool.refuses(2, &["register", "nightly", "--from", &list], why);
    }
    let list = tool.file("list", long);
    tool.refuses(
        2,
        &["unregister", "nightly", "a", "--from", &list],
        &format!(
            "DIR/list, line 2: work name \"{sixty}\" cannot be used: it has 1025 bytes, and the limit is 1024"
        ),
    );
    assert_eq!(tool.state_of("a"), "unspecified");
}

#[test]
fn unregistering_unknown_work_is_reported() {
    let tool = Tool::imported();
    let unknown = "process \"nightly\" has no work \"x\": it was never registered, or was purged\n";
    let (_, said) = tool.ends(1, &["unregister", "nightly", "x"]);
    assert_eq!(said, unknown);
    assert_eq!(tool.state_of("x"), "purged");
    let (_, said) = tool.ends(0, &["unregister", "nightly", "x", "a", "gone"]);
    assert_eq!(said, format!("{unknown}unregistered 1 item; 1 item was unregistered already\n"));
    let many: Vec<String> = (0..30).map(|n| format!("n{n}")).collect();
    let list = tool.file("list", many.join("\n"));
    let (stdout, said) = tool.ends(1, &["--json", "unregister", "nightly", "--from", &list]);
    assert_eq!(json(&stdout), json(r#"{"unregistered": 0, "unchanged": 0, "unknown": 30}"#));
    assert_eq!(said.lines().count(), 11);
    assert!(said.ends_with("and 20 names more that it does not have\n"), "{said}");
    tool.fine(&["unregister", "nightly", "x", "--cleanup-unknown"]);
    assert_eq!(tool.state_of("x"), "cleanup");
}

/// Files may have any name; work that stands for them maps back to it.
#[test]
fn names_of_files_that_are_not_utf8() {
    let tool = Tool::new();
    let raw = b"caf\xe9\0plain\0%bytes:caf%E9\0";
    assert_eq!(piped(&tool, &["register", "nightly", "-", "-0"], raw).0, 0);
    assert_eq!(names(&tool), ["%bytes:%25bytes:caf%25E9", "%bytes:caf%E9", "plain"]);
    // By the file's name or by the work's name.
    let by_file = tool.command(&["--json", "work", "nightly"]).arg(OsStr::from_bytes(b"caf\xe9")).output();
    let by_file = json(&String::from_utf8(by_file.unwrap().stdout).unwrap());
    assert_eq!(by_file["id"], "%bytes:caf%E9");
    assert_eq!(tool.state_of("%bytes:caf%E9"), "queued");
    assert_eq!(piped(&tool, &["unregister", "nightly", "-"], b"%bytes:caf%E9\n").0, 0);
    assert_eq!(tool.state_of("%bytes:caf%E9"), "cleanup");
    let again = tool.command(&["register", "nightly"]).arg(OsStr::from_bytes(b"caf\xe9")).output().unwrap();
    assert!(again.status.success());
    assert_eq!(tool.state_of("%bytes:caf%E9"), "queued");
}

#[test]
fn arrays_are_imported_and_packed_files_refused() {
    let tool = Tool::new();
    let array = tool.file("array.json", r#"[{"processName": "a"}, {"processName": "b"}]"#);
    let (_, said) = tool.ends(0, &["import", &array]);
    assert_eq!(said, "imported 2 processes\n");
    for (bytes, why) in [
        (
            &b"\x1f\x8b\x08\0"[..],
            "this is gzip: decompress it first, e.g. `zcat DIR/packed | procstate import -`",
        ),
        (
            b"\x28\xb5\x2f\xfd\x04",
            "this is zstd: decompress it first, e.g. `zstdcat DIR/packed | procstate import -`",
        ),
        (
            b"\xff\xfe{\0",
            "this is UTF-16: convert it first, e.g. `iconv -f UTF-16 -t UTF-8 DIR/packed | procstate import -`",
        ),
        (
            b"{\0\"\0",
            "this is UTF-16: convert it first, e.g. `iconv -f UTF-16LE -t UTF-8 DIR/packed | procstate import -`",
        ),
    ] {
        let packed = tool.file("packed", bytes);
        tool.refuses(2, &["import", &packed], &format!("DIR/packed: {why}"));
    }
    let (_, _, said) = piped(&tool, &["import", "-"], b"\x1f\x8b\x08\0");
    assert!(
        said.contains("<stdin>: this is gzip") && said.contains("`zcat FILE | procstate import -`"),
        "{said}"
    );
}

#[test]
fn a_merge_removes_nothing() {
    let tool = Tool::imported();
    tool.fine(&["register", "nightly", "d", "--int", "n=1"]);
    tool.fine(&["run", "nightly", "--", "true"]);
    tool.fine(&["settings", "nightly", "--every", "2h"]);
    let theirs = r#"{"processName": "nightly", "instance": "elsewhere", "scheduleFrequency": "60s",
        "activeWork": {"a": {"params": {"intParams": {"n": "8"}}}, "gone": {}, "new": {}},
        "cleanupWork": {"d": "2020-01-01T00:00:00Z", "leaves": "2026-01-01T00:00:00Z"},
        "processStatus": {"startTime": "2025-01-01T00:00:00Z", "finishTime": "2025-01-01T00:01:00Z", "state": "COMPLETED"}}"#;
    let file = tool.file("theirs.json", theirs);
    let (_, said) = tool.ends(2, &["import", &file]);
    assert!(said.contains("--merge merges into it"), "{said}");
    let other = tool.file(
        "other.json",
        r#"[{"processName": "other"}, {"processName": "other", "activeWork": {"w": {}}}]"#,
    );
    let (_, said) = tool.ends(0, &["import", "--merge", &file, &other]);
    assert_eq!(said, "imported 1 process\nmerged 2 processes into the store\n");
    let states = ["a", "b/c", "d", "gone", "new", "leaves"].map(|name| tool.state_of(name));
    assert_eq!(states, ["queued", "completed", "completed", "unspecified", "unspecified", "cleanup"]);
    let show = json(&tool.fine(&["--json", "show", "nightly"]));
    assert_eq!((&show["scheduleFrequency"], &show["aggregateStats"]["runs"]), (&"7200s".into(), &1.0.into()));
    assert_ne!(show["instance"], "elsewhere");
    assert_eq!(tool.fine(&["--json", "history", "nightly"]).lines().count(), 2);
    tool.fine(&["import", "--merge", &file]);
    assert_eq!(json(&tool.fine(&["--json", "show", "nightly"]))["activeWork"], show["activeWork"]);
    tool.ends(2, &["import", "--merge", "--replace", &file]);
}
