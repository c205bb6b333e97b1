//! The tool as a program: its output, its exit status, and what it leaves unchanged.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use procstate::Store;
use tool::{PROCESS, Tool};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn state_is_imported_and_exported_in_both_formats() {
    let tool = Tool::imported();
    let text = tool.fine(&["export"]);
    let mut expected = json(PROCESS);
    assert_eq!(json(&text), expected);
    let binary = tool.folder.path().join("all.binpb").display().to_string();
    tool.fine(&["export", "nightly", "--format", "binary", "-o", &binary]);
    tool.ends(2, &["import", &binary]);
    tool.fine(&["import", "--replace", &binary]);
    assert_eq!(json(&tool.fine(&["--json", "show", "nightly"])), expected);
    // From standard input, together with a file.
    expected["processName"] = "second".into();
    let mut import = tool.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(expected.to_string().as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(tool.fine(&["export"]).lines().count(), 2);
}

#[test]
fn reading_changes_nothing() {
    let tool = Tool::imported();
    let before = tool.bytes();
    for command in [
        &["ls"][..],
        &["show", "nightly"],
        &["work", "nightly"],
        &["work", "nightly", "a"],
        &["export"],
        &["history", "nightly"],
        &["stats"],
        &["settings", "nightly"],
    ] {
        let text = tool.fine(command);
        assert!(!text.is_empty(), "{command:?}");
        let lines = tool.fine(&[&["--json"], command].concat());
        assert!(lines.lines().all(|line| json(line).is_object()), "{command:?}: {lines}");
    }
    assert!(tool.bytes() == before);
}

#[test]
fn lists_are_for_people() {
    let tool = Tool::imported();
    let ls = tool.fine(&["ls"]);
    let words: Vec<Vec<&str>> = ls.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["nightly", "unspecified", "old", "-", "3", "1", "0", "1h", "now"]);
    let work = tool.fine(&["work", "nightly"]);
    assert_eq!(work.lines().count(), 5);
    assert!(work.lines().any(|line| line.starts_with("b/c   unspecified")), "{work}");
    let show = tool.fine(&["show", "nightly"]);
    assert!(show.contains("schedule  every 1h\n") && show.contains("settings  region = \"eu\"\n"), "{show}");
}

#[test]
fn work_and_settings_change() {
    let tool = Tool::new();
    tool.fine(&["register", "nightly", "w", "--int", "n=-3", "--str", "s=a=b"]);
    let (_, said) = tool.ends(0, &["register", "nightly", "w", "--int", "n=-3", "--str", "s=a=b"]);
    assert_eq!(said, "\"w\" was registered with these parameters already\n");
    let work = json(&tool.fine(&["--json", "work", "nightly", "w"]));
    assert_eq!(
        work["details"]["params"],
        json(r#"{"intParams": {"n": "-3"}, "stringParams": {"s": "a=b"}}"#)
    );
    assert_eq!(work["uri"], "/processes/nightly/work/w");
    tool.fine(&["settings", "nightly", "--every", "1h 30m", "--int", "x=1"]);
    tool.fine(&["settings", "nightly", "--str", "y=z"]);
    assert_eq!(tool.fine(&["settings", "nightly"]), "schedule = 1h 30m\nx = 1\ny = \"z\"\n");
    tool.fine(&["settings", "nightly", "--max-failed-items", "10%", "--min-interval", "90s"]);
    let settings = tool.fine(&["settings", "nightly"]);
    assert!(settings.contains("max failed items = 10%\nmin interval = 1m 30s\nx = 1\n"), "{settings}");
    let settings = json(&tool.fine(&["--json", "settings", "nightly"]));
    assert_eq!(
        (&settings["maxFailedItems"], &settings["minIntervalSeconds"]),
        (&json("\"10%\""), &json("90.0"))
    );
    tool.fine(&["settings", "nightly", "--max-failed-items", "none", "--min-interval", "0s"]);
    tool.fine(&["settings", "nightly", "--no-schedule"]);
    assert!(tool.fine(&["settings", "nightly"]).starts_with("schedule = none\n"));
    tool.fine(&["unregister", "nightly", "w"]);
    assert_eq!(tool.state_of("w"), "cleanup");
    tool.fine(&["run", "nightly", "--", "false"]);
    assert_eq!(tool.state_of("w"), "dropped");
    let purged = json(&tool.fine(&["--json", "purge", "nightly", "--older-than", "0s"]));
    assert_eq!(purged, json(r#"{"dropped": 1, "runs": 1}"#));
    assert_eq!(tool.state_of("w"), "purged");
}

#[test]
fn a_run_keeps_each_outcome() {
    let tool = Tool::imported();
    let script = "echo out-$1; echo \"$PROCSTATE_INT_n $PROCSTATE_STR_s\" >&2; echo last words >&2; test $1 != d || exit 3";
    let (stdout, stderr) =
        tool.ends(1, &["run", "nightly", "--jobs", "3", "--", "sh", "-c", script, "job", "{}"]);
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["out-a", "out-b/c", "out-d"]);
    assert!(stderr.contains("7 x y\n"), "{stderr}");
    assert!(stderr.contains("d: failed, exit status 3: last words"), "{stderr}");
    assert!(stderr.ends_with("incomplete: 3 items, 1 of them failed, 1 error\n"), "{stderr}");
    assert_eq!((tool.state_of("a").as_str(), tool.state_of("d").as_str()), ("completed", "incomplete"));
    assert_eq!(tool.state_of("gone"), "dropped");
    let failed = json(&tool.fine(&["--json", "work", "nightly", "d"]));
    let status = &failed["details"]["status"];
    assert_eq!(status["errors"][0]["text"], "exit status 3: last words");
    assert_eq!(status["stats"]["exit.3"], 1.0);
    let history = json(&tool.fine(&["--json", "history", "nightly"]));
    assert_eq!((&history["state"], &history["totalErrors"]), (&"incomplete".into(), &1.into()));
}

#[test]
fn retries_and_timeouts() {
    let tool = Tool::imported();
    let counter = tool.folder.path().join("count").display().to_string();
    let script = format!("echo x >> {counter}-$1; test $(wc -l < {counter}-$1) -ge 2");
    let (_, stderr) = tool
        .ends(0, &["run", "nightly", "--jobs", "3", "--retries", "1", "--", "sh", "-c", &script, "job", "w"]);
    assert!(
        stderr.contains("completed: 3 items, 0 of them failed, 3 errors") || stderr.contains("completed"),
        "{stderr}"
    );
    let started = Instant::now();
    let (_, stderr) = tool.ends(1, &["run", "nightly", "--timeout", "200ms", "--", "sleep", "60", "#"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(stderr.contains("3 of them failed"), "{stderr}");
}

#[test]
fn dropped_items_are_not_repeated() {
    let tool = Tool::imported();
    tool.fine(&["run", "nightly", "--once", "--", "true"]);
    assert_eq!(tool.state_of("a"), "dropped");
    let (_, stderr) = tool.ends(0, &["run", "nightly", "--once", "--", "true"]);
    assert_eq!(stderr, "completed: 0 items, 0 of them failed, 0 errors\n");
}

/// Killed with SIGKILL in the middle and restarted, it continues.
#[test]
fn a_killed_run_continues() {
    let tool = Tool::new();
    for n in 0..12 {
        tool.fine(&["register", "nightly", &format!("w{n:02}")]);
    }
    let done = tool.folder.path().join("done");
    let script = format!("echo $1 >> {}; sleep 0.05", done.display());
    let arguments = ["run", "nightly", "--", "sh", "-c", &script, "job", "{}"];
    let lines = || fs::read_to_string(&done).unwrap_or_default().lines().count();
    for target in [3, 7] {
        let mut run = tool.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        while lines() < target {
            std::thread::sleep(Duration::from_millis(5));
            assert!(run.try_wait().unwrap().is_none(), "it ended before it was killed");
        }
        run.kill().unwrap();
        run.wait().unwrap();
        // The last command of the killed tool may still be writing.
        std::thread::sleep(Duration::from_millis(120));
    }
    tool.fine(&arguments);
    let text = fs::read_to_string(&done).unwrap();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    text.lines().for_each(|line| *times.entry(line).or_default() += 1);
    assert_eq!(times.len(), 12);
    // Items in progress at a kill are repeated, and no others.
    assert!(times.values().sum::<usize>() <= 14, "{times:?}");
    let show = json(&tool.fine(&["--json", "show", "nightly"]));
    assert_eq!(show["processStatus"]["stats"]["workItems"], 12.0);
    assert_eq!(show["aggregateStats"]["runs"], 1.0);
}

#[test]
fn an_interrupt_hands_the_run_back() {
    let tool = Tool::imported();
    let begun = tool.folder.path().join("begun");
    let script = format!("touch {}; sleep 0.4", begun.display());
    let run =
        tool.command(&["run", "nightly", "--", "sh", "-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !begun.exists() {
        assert!(Instant::now() < deadline, "no command was started");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("a: completed"), "the item in progress is finished: {stderr}");
    assert!(stderr.ends_with("stopped early; run the same command again to continue\n"), "{stderr}");
    let (_, stderr) = tool.ends(0, &["run", "nightly", "--", "true"]);
    assert!(!stderr.contains("a: ") && stderr.contains("d: completed"), "{stderr}");
}

#[test]
fn release_names_the_former_owner() {
    let tool = Tool::imported();
    let (_, said) = tool.ends(0, &["release", "nightly"]);
    assert_eq!(said, "released the lock of old, its owner since -\n");
    let (_, said) = tool.ends(0, &["release", "nightly"]);
    assert_eq!(said, "process \"nightly\" has no owner\n");
}

#[test]
fn absent_names_end_with_1() {
    let tool = Tool::imported();
    let absent = "there is no process \"nope\" in this store; register work for it or change its settings to create it";
    for command in [
        &["show", "nope"][..],
        &["work", "nope"],
        &["work", "nope", "w"],
        &["export", "nightly", "nope"],
        &["settings", "nope"],
        &["history", "nope"],
    ] {
        tool.refuses(1, command, absent);
    }
    // These open the store themselves, so the lock file names them.
    for command in
        [&["unregister", "nope", "w"][..], &["release", "nope"], &["purge", "nope", "--older-than", "1d"]]
    {
        let (_, stderr) = tool.ends(1, command);
        assert_eq!(stderr, format!("procstate: {absent}\n"));
    }
    // For this command 1 would mean failed items.
    let (_, stderr) = tool.ends(2, &["run", "nope", "--", "true"]);
    assert_eq!(stderr, format!("procstate: {absent}\n"));
    let (stdout, _) = tool.ends(1, &["work", "nightly", "nope"]);
    assert!(stdout.contains("purged"), "{stdout}");
}

#[test]
fn bad_input_is_refused_and_named() {
    let tool = Tool::imported();
    let bad = |name: &str, content: &[u8]| tool.file(name, content);
    let cut = bad("cut.json", &PROCESS.as_bytes()[..PROCESS.len() - 2]);
    tool.refuses(
        2,
        &["import", &cut],
        "DIR/cut.json, line 4, column 49: in settings: the text ends prematurely (EOF while parsing an object)",
    );
    let field =
        bad("field.json", br#"{"processName": "p", "activeWork": {"w": {"status": {"state": "DONE"}}}}"#);
    tool.refuses(
        2,
        &["import", &field],
        "DIR/field.json, line 1, column 68: in activeWork.w.status.state: unrecognized enum value 'DONE'",
    );
    let unknown = bad("unknown.json", br#"{"processName": "p", "color": 1}"#);
    tool.refuses(
        2,
        &["import", &unknown],
        "DIR/unknown.json, line 1, column 28: unrecognized field name 'color'",
    );
    let two = bad(
        "two.json",
        br#"{"processName": "p", "activeWork": {"w": {}}, "droppedWork": {"w": "2026-01-01T00:00:00Z"}}"#,
    );
    tool.refuses(
        2,
        &["import", &two],
        "DIR/two.json: process \"p\" cannot be stored: work \"w\" is on two lists, active and dropped; take it off one of them",
    );
    let nameless = bad("nameless.json", b"{}");
    tool.refuses(
        2,
        &["import", &nameless],
        "DIR/nameless.json: process name \"\" cannot be used: it is empty",
    );
    let long = bad("long.json", format!(r#"{{"processName": "{}"}}"#, "x".repeat(1025)).as_bytes());
    let (_, stderr) = tool.ends(2, &["import", &long]);
    assert!(stderr.contains("it has 1025 bytes, and the limit is 1024"), "{stderr}");
    let large = format!(
        r#"{{"processName": "p", "activeWork": {{"w": {{"params": {{"stringParams": {{"s": "{}"}}}}}}}}}}"#,
        "x".repeat(1 << 20)
    );
    let large = bad("large.json", large.as_bytes());
    let (_, stderr) = tool.ends(2, &["import", &large]);
    assert!(stderr.contains("active work \"w\" of process \"p\" would take 10485"), "{stderr}");
    let binary = bad("cut.binpb", b"\x0a\x07nigh");
    tool.refuses(
        2,
        &["import", &binary],
        "DIR/cut.binpb, message 1, byte 2: Process.process_name: the message is truncated: the input ends before it does",
    );
    tool.refuses(2, &["import", &bad("empty", b"")], "DIR/empty: it is empty");
    let missing = tool.folder.path().join("missing").display().to_string();
    tool.refuses(
        2,
        &["import", &missing],
        "could not read DIR/missing: No such file or directory (os error 2)",
    );
    // A valid file next to an invalid one is not stored either.
    let good = bad("good.json", br#"{"processName": "good"}"#);
    let (_, _) = tool.ends(2, &["import", &good, &unknown]);
    tool.ends(1, &["show", "good"]);
    tool.ends(2, &["import", &good, &good]);
    tool.fine(&["import", "--ignore-unknown", &unknown, &good]);
}

#[test]
fn bad_stores_are_refused_unchanged() {
    let tool = Tool { folder: tempfile::tempdir().unwrap() };
    let absent = "there is no store at DIR/state: check its name. Only if it is to be a new one, create it with `procstate --db DIR/state init` or by opening it from a program";
    for command in [&["ls"][..], &["register", "p", "w"], &["run", "p", "--", "true"]] {
        tool.refuses(2, command, absent);
    }
    fs::create_dir(tool.db()).unwrap();
    fs::write(tool.db().join("thesis.txt"), "years of work").unwrap();
    let foreign = "DIR/state is not a procstate store: it has no MANIFEST, and holds other files (thesis.txt); name a new or empty folder";
    for command in [&["ls"][..], &["init"], &["register", "p", "w"]] {
        tool.refuses(2, command, foreign);
    }
    let tool = Tool::imported();
    tool.refuses(2, &["init"], "a store already exists at DIR/state; it was not changed");
    let db = tool.db().join("index/db");
    let mut bytes = fs::read(&db).unwrap();
    for at in (0..bytes.len()).step_by(64) {
        bytes[at] ^= 0xFF;
    }
    fs::write(&db, &bytes).unwrap();
    let before = tool.bytes();
    let (stdout, stderr) = tool.ends(0, &["ls"]);
    assert!(stdout.contains("nightly") && stderr.contains("the index was rebuilt"), "{stdout}{stderr}");
    assert!(tool.bytes() == before, "looking at a damaged store changed it");
    fs::remove_dir_all(tool.db().join("wal")).unwrap();
    let before = tool.bytes();
    let (_, stderr) = tool.ends(2, &["ls"]);
    assert!(stderr.contains("the log: all of it is gone") && stderr.contains("salvage --output"), "{stderr}");
    assert!(tool.bytes() == before, "looking at a damaged store changed it");
}

#[test]
fn settings_show_and_change_the_schedule() {
    let tool = Tool::new();
    let settings = || tool.fine(&["settings", "p"]);
    tool.fine(&["settings", "p", "--every", "1d", "--offset", "2h", "--str", "a=b"]);
    assert_eq!(settings(), "schedule = 1day after 2h\na = \"b\"\n");
    tool.fine(&["settings", "p", "--cron", "30 2  * * *", "--time-zone", "Europe/Berlin"]);
    assert_eq!(settings(), "schedule = cron 30 2 * * * Europe/Berlin\na = \"b\"\n");
    let json = json(&tool.fine(&["--json", "settings", "p"]));
    assert_eq!(json["cron"], "30 2 * * * Europe/Berlin");
    assert!(tool.fine(&["ls"]).contains("cron 30 2 * * * Europe/Berlin"));
    let show = tool.fine(&["show", "p"]);
    assert!(
        show.contains("schedule  cron 30 2 * * * Europe/Berlin\n") && !show.contains("schedule.cron"),
        "{show}"
    );
    tool.fine(&["settings", "p", "--int", "n=1"]);
    assert!(settings().starts_with("schedule = cron 30"), "parameters leave the schedule alone");
    for (args, why) in [
        (
            ["--cron", "61 * * * *"],
            "invalid argument: \"61 * * * * UTC\" is not a cron expression: value must be in range 0..=59; found 61",
        ),
        (
            ["--cron", "0 0 30 2 *"],
            "invalid argument: the cron expression \"0 0 30 2 * UTC\" has no time within the next four years",
        ),
        (
            ["--str", "schedule.cron=0 0 * * * UTC"],
            "invalid argument: the parameter schedule.cron is part of the schedule; set that instead (`set_cron`, `set_schedule`)",
        ),
    ] {
        let (_, said) = tool.ends(2, &["settings", "p", args[0], args[1]]);
        assert_eq!(said, format!("procstate: {why}\n"));
    }
    let (_, said) = tool.ends(2, &["settings", "p", "--every", "1h", "--offset", "1h"]);
    assert_eq!(said, "procstate: invalid argument: the offset 3600s must be below the period, 3600s\n");
    tool.fine(&["settings", "p", "--no-schedule"]);
    assert!(settings().starts_with("schedule = none\n"));
    assert!(!tool.fine(&["export", "p"]).contains("schedule"));
}

#[test]
fn stats_cover_every_part() {
    let tool = Tool::imported();
    let text = tool.fine(&["stats"]);
    let labels: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(labels, ["store", "commits", "log", "memtable", "checkpoint", "snapshot", "index"]);
    let stats: serde_json::Value = serde_json::from_str(&tool.fine(&["--json", "stats"])).unwrap();
    let number = |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"));
    assert_eq!((number("processes"), number("lastSeq"), number("syncedSeq")), (1, 1, 1));
    assert_eq!(number("records"), number("indexRecords") + number("memtableRecords"));
    assert!(number("records") > 4 && number("logSegments") >= 1);
    let files: u64 = tool.bytes().values().map(|bytes| bytes.len() as u64).sum();
    assert!(number("diskBytes") >= files / 2, "{} of {files}", number("diskBytes"));
}

#[test]
fn a_store_in_use_names_the_program() {
    let tool = Tool::imported();
    let store = Store::open(tool.db()).unwrap();
    for command in [&["ls"][..], &["register", "p", "w"]] {
        let (_, stderr) = tool.ends(2, command);
        assert!(stderr.contains(&format!("is in use by pid {} (", std::process::id())), "{stderr}");
    }
    store.close().unwrap();
    tool.fine(&["ls"]);
}

#[test]
fn bad_usage_ends_with_2() {
    let tool = Tool::imported();
    for command in [
        &["register", "p"][..],
        &["register", "p", "w", "--int", "n"],
        &["register", "p", "w", "--int", "n=x"],
        &["settings", "p", "--every", "soon"],
        &["settings", "p", "--every", "1h", "--no-schedule"],
        &["purge", "p"],
        &["run", "p"],
        &["run", "p", "--jobs", "0", "--", "true"],
        &["frobnicate"],
    ] {
        let (stdout, stderr) = tool.ends(2, command);
        assert!(stdout.is_empty() && !stderr.is_empty(), "{command:?}");
    }
    let nowhere =
        Command::new(env!("CARGO_BIN_EXE_procstate")).arg("ls").env_remove("PROCSTATE_DB").output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    let stderr = String::from_utf8(nowhere.stderr).unwrap();
    assert_eq!(
        stderr,
        "procstate: no store was given: name its folder with --db DIR or in PROCSTATE_DB, or its address with --url URL\n"
    );
    let named = Command::new(env!("CARGO_BIN_EXE_procstate"))
        .arg("ls")
        .env("PROCSTATE_DB", tool.db())
        .status()
        .unwrap();
    assert!(named.success());
}

#[test]
fn a_closed_pipe_is_fine() {
    let tool = Tool::new();
    let items: Vec<String> = (0..5000).map(|n| format!(r#""item-{n}": {{}}"#)).collect();
    let big = format!(r#"{{"processName": "nightly", "activeWork": {{{}}}}}"#, items.join(","));
    tool.fine(&["import", &tool.file("big.json", big)]);
    let mut export = tool.command(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(export.stdout.take());
    let output = export.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn completions_are_for_the_shell() {
    let script = Tool::new().fine(&["completions", "bash"]);
    assert!(script.contains("complete -F _procstate"));
}
