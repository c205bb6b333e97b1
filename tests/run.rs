//! The command runner: what it starts, what it leaves behind, what it prints, and how it ends.

mod common;
#[path = "common/tool.rs"]
mod tool;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tool::Tool;

/// Creates a store with this many items of the process `p`: w000, w001 and so on.
fn store(items: usize) -> Tool {
    let tool = Tool::new();
    let names: Vec<String> = (0..items).map(|n| format!("w{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    tool.fine(&[&["register", "p"], &names[..]].concat());
    tool
}

/// Returns a new path in the folder of the test.
fn path(tool: &Tool, name: &str) -> String {
    tool.folder.path().join(name).display().to_string()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the live programs with `mark` among their arguments, from /proc.
fn alive(mark: &str) -> Vec<u32> {
    let programs = fs::read_dir("/proc").unwrap().flatten();
    let numbers = programs.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| *pid != std::process::id() && is_alive(*pid) && has_argument(*pid, mark)).collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn has_argument(pid: u32, mark: &str) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
}

/// Returns a number of seconds that no other test sleeps, to mark the programs of one test.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = std::process::id() * 100 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}", 1_000_000 + unique)
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// Returns the lines that a running tool writes to stderr, as it writes them.
fn told_by(run: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap)
}

fn stderr_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn start(tool: &Tool, arguments: &[&str]) -> Child {
    tool.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

mod what_is_stopped {
    use super::*;

    /// It ignores SIGTERM, and so does its child, which has left the process group.
    fn stubborn(mark: &str) -> String {
        format!("trap '' TERM; setsid sleep {mark} & sleep {mark}; sleep {mark}")
    }

    #[test]
    fn a_timeout_leaves_nothing_behind_and_is_one_error() {
        let (tool, mark) = (store(3), mark());
        let started = Instant::now();
        let run = ["run", "p", "-j3", "--timeout", "0.3", "--kill-after", "0.3", "--", "sh", "-c"];
        let (_, stderr) = tool.ends(1, &[&run[..], &[&stubborn(&mark)]].concat());
        assert!(alive(&mark).is_empty(), "{:?}", alive(&mark));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert!(stderr.contains("w000: failed, timed out after 300ms (0."), "{stderr}");
        assert!(stderr.ends_with("incomplete: 3 items, 3 of them failed, 3 errors\n"), "{stderr}");
        let work = tool.fine(&["work", "p"]);
        assert_eq!(work.matches("timed out after 300ms").count(), 3, "{work}");
    }

    #[test]
    fn commands_that_handle_sigterm_are_not_killed() {
        let tool = store(1);
        let cleaned = path(&tool, "cleaned");
        let script = format!("trap 'touch {cleaned}; exit 0' TERM; while :; do sleep 0.05; done");
        tool.ends(1, &["run", "p", "--timeout", "200ms", "--", "sh", "-c", &script]);
        assert!(Path::new(&cleaned).exists());
    }

    #[test]
    fn a_stopped_program_is_stopped_too() {
        let (tool, mark) = (store(1), mark());
        let script = format!("sleep {mark} & kill -STOP $! $$");
        tool.ends(1, &["run", "p", "--timeout", "200ms", "--kill-after", "5", "--", "sh", "-c", &script]);
        assert!(alive(&mark).is_empty());
    }

    #[test]
    fn a_background_child_does_not_delay_its_item() {
        let (tool, mark) = (store(1), mark());
        let started = Instant::now();
        tool.fine(&["run", "p", "--", "sh", "-c", &format!("sleep {mark} & echo started")]);
        assert!(started.elapsed() < Duration::from_secs(10));
        // The item is done, and its background program may stay.
        let left = alive(&mark);
        assert_eq!(left.len(), 1);
        assert!(Command::new("kill").arg(left[0].to_string()).status().unwrap().success());
    }

    #[test]
    fn two_interrupts_leave_nothing_behind() {
        let (tool, mark) = (store(2), mark());
        let script = format!("sleep {mark} & sleep {mark}");
        let run = start(&tool, &["run", "p", "-j2", "--", "sh", "-c", &script]);
        eventually("both commands run", || alive(&mark).len() >= 4);
        signal(&run, "-INT");
        std::thread::sleep(Duration::from_millis(100));
        assert!(alive(&mark).len() >= 4, "one interrupt waits for the items in progress");
        signal(&run, "-TERM");
        let output = run.wait_with_output().unwrap();
        assert!(alive(&mark).is_empty());
        assert_eq!(output.status.code(), Some(130), "{}", stderr_of(&output));
        assert!(stderr_of(&output).contains("w000: failed, stopped"), "{}", stderr_of(&output));
        // Nothing is lost: the same run continues and processes both.
        let (_, stderr) = tool.ends(0, &["run", "p", "--", "true"]);
        assert!(stderr.ends_with("completed: 2 items, 0 of them failed, 2 errors\n"), "{stderr}");
    }

    #[test]
    fn a_blocked_reader_does_not_prevent_the_end() {
        let (tool, mark) = (store(1), mark());
        let run = ["run", "p", "--", "sh", "-c", "sleep $0 & yes"];
        let mut run = start(&tool, &[&run[..], &[&mark, "{}"]].concat());
        eventually("the command runs", || !alive(&mark).is_empty());
        // Both pipes are full by then, and stay so.
        std::thread::sleep(Duration::from_millis(500));
        signal(&run, "-INT");
        std::thread::sleep(Duration::from_millis(100));
        signal(&run, "-INT");
        eventually("it ends", || run.try_wait().unwrap().is_some());
        assert_eq!(run.wait().unwrap().code(), Some(130));
        assert!(alive(&mark).is_empty());
    }

    #[test]
    fn a_hangup_stops_it_but_not_under_nohup() {
        for (trap, status) in [(":", 130), ("trap '' HUP", 0)] {
            let (tool, go) = (store(2), mark());
            let (begun, go) = (path(&tool, "begun"), path(&tool, &go));
            let command = format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.01; done");
            let program = env!("CARGO_BIN_EXE_procstate");
            let script = format!("{trap}; exec {program} --db \"$0\" run p -- sh -c '{command}'");
            let mut run = Command::new("sh").arg("-c").arg(&script).arg(tool.db()).spawn().unwrap();
            eventually("the command runs", || Path::new(&begun).exists());
            signal(&run, "-HUP");
            std::thread::sleep(Duration::from_millis(100));
            fs::write(&go, "").unwrap();
            assert_eq!(run.wait().unwrap().code(), Some(status), "{trap}");
        }
    }

    #[test]
    fn a_third_interrupt_kills_stubborn_commands() {
        let (tool, mark) = (store(1), mark());
        let mut run = start(&tool, &["run", "p", "--kill-after", "1h", "--", "sh", "-c", &stubborn(&mark)]);
        eventually("the command runs", || alive(&mark).len() >= 2);
        let mut told = told_by(&mut run);
        // A signal before the answer to the previous one could merge with that.
        for answer in ["interrupt again to stop these", "interrupt again to kill them"] {
            signal(&run, "-INT");
            assert!(told.any(|line| line.contains(answer)), "it ended without saying: {answer}");
        }
        signal(&run, "-INT");
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert!(alive(&mark).is_empty());
    }

    #[test]
    fn killing_the_tool_leaves_no_commands() {
        for script in [|mark: &str| format!("sleep {mark} & sleep {mark}"), stubborn] {
            let (tool, mark) = (store(2), mark());
            let mut run = start(&tool, &["run", "p", "-j2", "--", "sh", "-c", &script(&mark)]);
            eventually("both commands run", || alive(&mark).len() >= 4);
            run.kill().unwrap();
            run.wait().unwrap();
            std::thread::sleep(Duration::from_secs(1));
            assert!(alive(&mark).is_empty(), "{:?}", alive(&mark));
            tool.fine(&["run", "p", "--", "true"]);
        }
    }

    #[test]
    fn a_tool_within_a_tool_stops_its_own_commands() {
        let (tool, inner, mark) = (store(1), store(1), mark());
        let inner_db = inner.db().display().to_string();
        let program = env!("CARGO_BIN_EXE_procstate");
        let run = ["run", "p", "--", program, "--db", &inner_db, "run", "p", "--", "sh", "-c"];
        let mut run = start(&tool, &[&run[..], &[&format!("sleep {mark}; true"), "-I"]].concat());
        eventually("the command runs", || !alive(&mark).is_empty());
        run.kill().unwrap();
        run.wait().unwrap();
        eventually("all is gone", || alive(&mark).is_empty());
        inner.fine(&["run", "p", "--wait=30s", "--", "true"]);
    }

    /// Kills lose nothing, and repeat at most the items in progress.
    #[test]
    fn killed_at_any_moment_nothing_is_lost() {
        killed_at_random(6);
    }

    #[test]
    #[ignore = "200 kills take minutes: docs/run.md"]
    fn killed_200_times_nothing_is_lost() {
        killed_at_random(200);
    }

    fn killed_at_random(kills: usize) {
        const JOBS: usize = 4;
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| fastrand::u64(..));
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (tool, mark) = (store(kills * 8 + 40), mark());
        let done = path(&tool, "done");
        // Its line acknowledges a command, since it ends with the output that the tool reads.
        let script = format!("echo $1 >> {done}; sleep 0.02; : {mark}");
        let arguments = ["run", "p", "-j4", "--", "sh", "-c", &script, &mark, "{}"];
        let mut killed = 0;
        while killed < kills {
            let mut run = start(&tool, &arguments);
            std::thread::sleep(Duration::from_millis(random.u64(5..120)));
            if run.try_wait().unwrap().is_some() {
                break;
            }
            run.kill().unwrap();
            run.wait().unwrap();
            killed += 1;
            std::thread::sleep(Duration::from_millis(if killed % 10 == 0 { 1000 } else { 450 }));
            assert!(
                killed % 10 != 0 || alive(&mark).is_empty(),
                "children a second later: {:?}",
                alive(&mark)
            );
        }
        let (_, stderr) = tool.ends(0, &arguments);
        let text = fs::read_to_string(&done).unwrap();
        let mut times = std::collections::BTreeMap::<&str, usize>::new();
        text.lines().for_each(|line| *times.entry(line).or_default() += 1);
        assert_eq!(times.len(), kills * 8 + 40, "{stderr}");
        let twice: usize = times.values().map(|times| times - 1).sum();
        assert!(twice <= killed * JOBS, "{twice} were done again after {killed} kills");
        let history = json(&tool.fine(&["--json", "history", "p"]));
        assert_eq!(history["stats"]["workItems"], (kills * 8 + 40) as f64);
    }
}

mod what_fails {
    use super::*;

    #[test]
    fn failing_items_do_not_starve_others() {
        let tool = store(200);
        // The first sixty fail, in each pass.
        let script = "test ${1#w} -ge 60";
        for _ in 0..2 {
            let (_, stderr) = tool.ends(1, &["run", "p", "-j4", "--", "sh", "-c", script, "job", "{}"]);
            assert!(stderr.ends_with("incomplete: 200 items, 60 of them failed, 60 errors\n"), "{stderr}");
        }
    }

    #[test]
    fn a_limit_of_failures_stops_with_3() {
        let tool = store(8);
        for (limit, status, said) in [
            ("1", 3, "stopped: 2 items failed, and the limit is 1: 2 items, 2 of them failed, 3 errors\n"),
            (
                "25%",
                3,
                "stopped: 3 of 8 items failed, which is more than 25%: 3 items, 3 of them failed, 4 errors\n",
            ),
            ("100%", 1, "incomplete: 8 items, 8 of them failed, 8 errors\n"),
            ("none", 1, "incomplete: 8 items, 8 of them failed, 8 errors\n"),
        ] {
            let (_, stderr) = tool.ends(status, &["run", "p", "--max-errors", limit, "--", "false"]);
            assert!(stderr.ends_with(said), "{limit}: {stderr}");
        }
        tool.fine(&["settings", "p", "--max-failed-items", "0"]);
        tool.ends(3, &["run", "p", "--", "false"]);
        tool.ends(1, &["run", "p", "--max-errors", "none", "--", "false"]);
    }

    #[test]
    fn items_not_begun_come_first_in_the_next_run() {
        let tool = store(4);
        tool.ends(3, &["run", "p", "--max-errors", "0", "--", "false"]);
        let (stdout, _) = tool.ends(0, &["run", "p", "--", "echo"]);
        assert_eq!(stdout, "w001\nw002\nw003\nw000\n");
    }

    #[test]
    fn halt_soon_completes_running_commands_and_now_stops_them() {
        for (halt, left) in [("soon", 0), ("now", 1)] {
            let (tool, begun) = (store(3), mark());
            let begun = path(&tool, &begun);
            let script = format!(
                "if [ $1 = w000 ]; then touch {begun}; sleep 0.6; else while [ ! -e {begun} ]; do sleep 0.01; done; exit 1; fi"
            );
            let run = [
                "run",
                "p",
                "-j2",
                "--max-errors",
                "0",
                "--halt",
                halt,
                "--",
                "sh",
                "-c",
                &script,
                "job",
                "{}",
            ];
            let (_, stderr) = tool.ends(3, &run);
            assert_eq!(stderr.matches("w000: failed, stopped").count(), left, "{halt}: {stderr}");
            assert_eq!(stderr.matches("w000: completed").count(), 1 - left, "{halt}: {stderr}");
            assert!(!stderr.contains("w002"), "{stderr}");
        }
    }

    #[test]
    fn only_failed_items_are_repeated() {
        let tool = store(4);
        tool.ends(1, &["run", "p", "--", "sh", "-c", "test $1 != w002", "job", "{}"]);
        tool.fine(&["register", "p", "new"]);
        let (stdout, stderr) = tool.ends(0, &["run", "p", "--failed", "--", "echo"]);
        assert_eq!(stdout, "new\nw002\n");
        assert!(stderr.contains("[2/2]"), "{stderr}");
        assert_eq!(tool.ends(0, &["run", "p", "--failed", "--", "echo"]).0, "");
        assert_eq!(tool.ends(0, &["run", "p", "--", "echo"]).0.lines().count(), 5);
    }

    #[test]
    fn retries_count_as_one_failure() {
        let tool = store(2);
        let counter = path(&tool, "count");
        let script =
            format!("echo x >> {counter}; echo why $PROCSTATE_ATTEMPT >&2; test $PROCSTATE_ATTEMPT = 2");
        let run = ["run", "p", "-j2", "--retries", "1", "--max-errors", "0", "--", "sh", "-c", &script];
        let (_, stderr) = tool.ends(0, &run);
        assert!(stderr.contains("w000: failed, exit status 1: why 1, will be retried"), "{stderr}");
        assert!(stderr.ends_with("completed: 2 items, 0 of them failed, 2 errors\n"), "{stderr}");
        assert_eq!(fs::read_to_string(&counter).unwrap().lines().count(), 4);
    }

    #[test]
    fn the_last_error_begins_with_a_whole_line() {
        let tool = store(1);
        let script = "for n in $(seq 1 50); do echo \"line $n of what went wrong\" >&2; done; exit 4";
        tool.ends(1, &["run", "p", "--", "sh", "-c", script]);
        let work = tool.fine(&["work", "p"]);
        assert!(work.contains("exit status 4: line 41 of what went wrong"), "{work}");
    }

    #[test]
    fn a_missing_command_fails_each_item() {
        let (_, stderr) = store(2).ends(1, &["run", "p", "--", "/no/such/program"]);
        assert!(
            stderr.contains("w001: failed, could not run \"/no/such/program\": No such file"),
            "{stderr}"
        );
    }
}

mod what_it_says {
    use super::*;

    #[test]
    fn lines_of_items_are_never_mixed() {
        let tool = store(8);
        let script =
            "for n in 1 2 3; do printf $1; sleep 0.01; printf -; printf $1; echo; done; printf $1-$1";
        for tag in [false, true] {
            let run = [
                "run",
                "p",
                "-j8",
                if tag { "--tag" } else { "--once" },
                "--",
                "sh",
                "-c",
                script,
                "job",
                "{}",
            ];
            let run = if tag { &run[..] } else { &[&run[..3], &run[4..]].concat()[..] };
            let (stdout, _) = tool.ends(0, run);
            assert_eq!(stdout.lines().count(), 32);
            for line in stdout.lines() {
                let (before, line) = if tag { line.split_once('\t').unwrap() } else { ("", line) };
                let (left, right) = line.split_once('-').unwrap();
                assert!(left == right && left.len() == 4 && (!tag || before == left), "{line}");
            }
        }
    }

    #[test]
    fn binary_output_is_unchanged() {
        let tool = store(1);
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).chain([b'\n']).collect();
        let file = tool.file("bytes", &bytes);
        let output = tool.run(&["run", "p", "-I", "%", "--", "sh", "-c", &format!("cat {file}; : %")]);
        assert!(output.status.success() && output.stdout == bytes);
    }

    #[test]
    fn json_is_all_events_on_standard_output() {
        let tool = store(2);
        let (stdout, stderr) =
            tool.ends(1, &["--json", "run", "p", "--", "sh", "-c", "echo hi; test $1 = w000", "job", "{}"]);
        assert_eq!(stderr, "");
        let events: Vec<_> = stdout.lines().map(json).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["begin", "output", "end", "begin", "output", "end", "summary"]);
        assert_eq!((&events[1]["text"], &events[1]["stream"]), (&"hi".into(), &"stdout".into()));
        assert_eq!((&events[5]["error"], &events[5]["done"]), (&"exit status 1".into(), &2.into()));
        assert_eq!((&events[6]["state"], &events[6]["failed"]), (&"incomplete".into(), &1.into()));
    }

    #[test]
    fn progress_has_the_requested_form() {
        let tool = store(2);
        let said = |style: &str| tool.ends(0, &["run", "p", "--progress", style, "--", "true"]).1;
        assert_eq!(said("none"), "completed: 2 items, 0 of them failed, 0 errors\n");
        assert_eq!(said("plain").lines().count(), 3);
        assert!(said("json").lines().all(|line| json(line).is_object()));
    }

    #[test]
    fn names_and_errors_are_escaped() {
        let tool = Tool::new();
        let name = "a\u{1b}[2J\nb\u{202e}c";
        tool.fine(&["register", "p", name]);
        for run in [&["run", "p", "--tag", "--"][..], &["--json", "run", "p", "--"]] {
            let script = "printf 'x\\n'; printf '\\033[31mred\\n' > $0.err; exit 1";
            let error = path(&tool, "out");
            let (stdout, stderr) = tool.ends(1, &[run, &["sh", "-c", script, &error]].concat());
            for text in [stdout, stderr, tool.ends(0, &["work", "p"]).0] {
                assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            }
        }
    }

    #[test]
    fn a_paused_process_is_reported_at_once() {
        let tool = store(1);
        tool.fine(&["settings", "p", "--int", "flow.paused=1"]);
        let (_, stderr) = tool.ends(2, &["run", "p", "--", "true"]);
        assert!(stderr.contains("\"p\" is paused by its setting flow.paused"), "{stderr}");
        assert_eq!(tool.ends(0, &["run", "p", "--if-due", "--", "true"]).1, "");
    }

    #[test]
    fn a_missing_process_is_not_a_failed_item() {
        let tool = store(1);
        for option in ["--failed", "--dry-run", "--every=1h"] {
            let (_, stderr) = tool.ends(2, &["run", "nosuch", option, "--", "true"]);
            assert!(stderr.contains("there is no process \"nosuch\""), "{stderr}");
        }
    }

    #[test]
    fn output_that_cannot_be_written_fails_its_item() {
        let tool = store(2);
        for json in [&[][..], &["--json"]] {
            let full = fs::File::options().write(true).open("/dev/full").unwrap();
            let run =
                [json, &["run", "p", "--", "sh", "-c", "[ $1 = w000 ] || echo x", "job", "{}"]].concat();
            let output = tool.command(&run).stdout(full).stderr(Stdio::piped()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", stderr_of(&output));
            let work = tool.fine(&["work", "p"]);
            assert_eq!(work.matches("could not write its output: No space left").count(), 1, "{work}");
        }
    }

    #[test]
    fn a_closed_pipe_stops_no_work() {
        let tool = store(20);
        let mut run = start(&tool, &["run", "p", "--", "sh", "-c", "seq 1 20000; echo"]);
        drop(run.stdout.take());
        drop(run.stderr.take());
        assert!(run.wait().unwrap().success());
    }
}

mod what_a_command_gets {
    use super::*;

    #[test]
    fn parameters_are_words_variables_and_json() {
        let tool = Tool::new();
        tool.fine(&["register", "p", "w", "--int", "n=-7", "--str", "s=x y"]);
        tool.fine(&["settings", "p", "--str", "region=eu"]);
        let script = "echo \"$1 $2 $PROCSTATE_INT_n $PROCSTATE_STR_s $PROCSTATE_PROCESS\"; cat";
        let run = ["run", "p", "--stdin", "json", "--", "sh", "-c", script, "job", "{n}:{s}", "{region}/{}"];
        let stdout = tool.fine(&run);
        let (words, item) = stdout.split_once('\n').unwrap();
        assert_eq!(words, "-7:x y eu/w -7 x y p");
        let expected = r#"{"process": "p", "work": "w", "attempt": 1, "intParams": {"n": "-7"}, "stringParams": {"s": "x y"}}"#;
        assert_eq!(json(item), json(expected));
        assert_eq!(tool.fine(&["run", "p", "--", "sh", "-c", "cat"]), "");
    }

    #[test]
    fn an_unknown_parameter_fails_the_item_and_runs_nothing() {
        let tool = store(1);
        let (_, stderr) = tool.ends(1, &["run", "p", "--", "touch", &path(&tool, "{nope}")]);
        assert!(stderr.contains("the command uses {nope}"), "{stderr}");
        assert!(!tool.folder.path().join("{nope}").exists());
    }

    #[test]
    fn names_that_are_not_utf8_reach_the_command_unchanged() {
        use std::os::unix::ffi::OsStringExt;
        let tool = Tool::new();
        let name = std::ffi::OsString::from_vec(b"caf\xe9 100%".to_vec());
        assert!(tool.command(&["register", "p"]).arg(&name).status().unwrap().success());
        let output = tool.run(&["run", "p", "--", "printf", "%s"]);
        assert_eq!(output.stdout, b"caf\xe9 100%\n");
    }

    #[test]
    fn a_dry_run_only_prints_the_commands() {
        let tool = store(3);
        tool.ends(1, &["run", "p", "--", "sh", "-c", "test $1 = w001", "job", "{}"]);
        let before = tool.bytes();
        let run = ["run", "p", "--failed", "--dry-run", "--", "touch", "it's {}"];
        assert_eq!(tool.fine(&run), "touch \"it's w000\"\ntouch \"it's w002\"\n");
        assert!(tool.bytes() == before);
    }

    #[test]
    fn niceness_and_delay_are_the_commands() {
        let tool = store(3);
        let started = Instant::now();
        let stdout =
            tool.fine(&["run", "p", "-j3", "--nice", "5", "--delay", "0.2", "--", "sh", "-c", "nice"]);
        assert_eq!(stdout, "5\n5\n5\n");
        assert!(started.elapsed() >= Duration::from_millis(400));
    }
}

mod what_is_written_down {
    use super::*;

    #[test]
    fn logs_of_any_item_can_be_shown() {
        let tool = Tool::new();
        let long = "x/".repeat(400);
        let names = ["plain", "../../up", "a\nb", &long];
        tool.fine(&[&["register", "p"], &names[..]].concat());
        let logs = path(&tool, "logs");
        let script = "echo \"out of $PROCSTATE_WORK\"; echo \"err of $PROCSTATE_WORK\" >&2";
        tool.fine(&["run", "p", "--logs", &logs, "--", "sh", "-c", script]);
        for name in names {
            let (stdout, stderr) = tool.ends(0, &["logs", "p", name]);
            assert_eq!((stdout, stderr), (format!("out of {name}\n"), format!("err of {name}\n")));
            assert_eq!(tool.ends(0, &["logs", "p", name, "--stderr"]).0, "");
        }
        assert_eq!(fs::read_dir(&logs).unwrap().count(), 1, "everything is in the folder of the process");
        let (_, stderr) = tool.ends(1, &["logs", "p", "nope"]);
        assert!(stderr.contains("there is no output of \"nope\""), "{stderr}");
        // The next run replaces the previous output.
        tool.fine(&["run", "p", "--logs", &logs, "--log-max", "8", "--", "echo", "0123456789"]);
        assert_eq!(
            tool.ends(0, &["logs", "p", "plain"]),
            ("0123\n[procstate: 9 bytes left out]\nain\n".into(), String::new())
        );
    }

    #[test]
    fn without_logs_the_error_has_advice() {
        let (_, stderr) = store(1).ends(1, &["logs", "p", "w000"]);
        assert!(stderr.contains("`procstate run --logs DIR` does"), "{stderr}");
    }

    #[test]
    fn the_job_log_is_gnu_parallels() {
        let tool = store(2);
        let joblog = path(&tool, "joblog");
        for _ in 0..2 {
            tool.ends(
                1,
                &["run", "p", "--joblog", &joblog, "--", "sh", "-c", "echo hi; test $1 = w000", "job", "{}"],
            );
        }
        let text = fs::read_to_string(&joblog).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0].join(" "), "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command");
        assert_eq!(lines.len(), 5, "the second run appends to the file: {text}");
        assert!(lines.iter().all(|line| line.len() == 9), "{text}");
        assert_eq!(&lines[2][4..], ["0", "3", "1", "0", "sh -c 'echo hi; test $1 = w000' job w001"]);
    }
}

mod when_it_runs {
    use super::*;

    /// Found by the manual's own commands: `run` in the background failed if the command after it
    /// opened the store first.
    #[test]
    fn a_store_that_is_open_for_a_moment_is_waited_for() {
        let tool = store(1);
        let open = procstate::Store::open(tool.db()).unwrap();
        let mut run = start(&tool, &["run", "p", "--", "true"]);
        std::thread::sleep(Duration::from_millis(700));
        assert!(run.try_wait().unwrap().is_none(), "it waits");
        drop(open);
        assert!(run.wait().unwrap().success());
    }

    #[test]
    fn if_due_is_silent_when_there_is_nothing_to_do() {
        let tool = store(1);
        tool.fine(&["settings", "p", "--every", "1h"]);
        assert_eq!(tool.ends(0, &["run", "p", "--if-due", "--", "echo"]).0, "w000\n");
        assert_eq!(tool.ends(0, &["run", "p", "--if-due", "--", "echo"]), (String::new(), String::new()));
        assert_eq!(
            tool.ends(0, &["run", "p", "--if-due", "--dry-run", "--", "echo"]),
            (String::new(), String::new())
        );
    }

    #[test]
    fn a_store_in_use_is_waited_for_or_left() {
        let tool = store(1);
        let (begun, go) = (path(&tool, "begun"), path(&tool, "go"));
        let script = format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.01; done");
        let first = start(&tool, &["run", "p", "--", "sh", "-c", &script]);
        eventually("it runs", || Path::new(&begun).exists());
        assert_eq!(tool.ends(0, &["run", "p", "--if-due", "--", "echo"]), (String::new(), String::new()));
        let (_, stderr) = tool.ends(2, &["run", "p", "--", "echo"]);
        assert!(stderr.contains("; --wait waits until it is free"), "{stderr}");
        let (_, stderr) = tool.ends(2, &["run", "p", "--wait=0.2", "--", "echo"]);
        assert!(stderr.contains("; waited for 200ms"), "{stderr}");
        let second = start(&tool, &["run", "p", "--wait", "--", "echo"]);
        fs::write(&go, "").unwrap();
        assert!(first.wait_with_output().unwrap().status.success());
        assert_eq!(second.wait_with_output().unwrap().stdout, b"w000\n");
    }

    #[test]
    fn it_stays_resident_and_runs_on_schedule() {
        let tool = store(1);
        let mut run = start(&tool, &["run", "p", "--every", "1s", "--", "echo"]);
        let runs = || tool.run(&["--json", "history", "p"]).stdout.split(|byte| *byte == b'\n').count() - 1;
        eventually("three runs", || runs() >= 3);
        // Others can use the store between runs.
        tool.fine(&["run", "p", "--wait", "--dry-run", "--", "echo"]);
        signal(&run, "-TERM");
        let status = run.wait().unwrap();
        assert!(status.code() == Some(0) || status.code() == Some(130), "{status:?}");
    }

    #[test]
    fn a_run_that_cannot_start_leaves_no_watchdog() {
        let tool = store(1);
        let folder = path(&tool, "folder");
        let mut run = start(&tool, &["run", "p", "--every", "1s", "--joblog", &folder, "--", "true"]);
        eventually("it runs", || Path::new(&folder).exists());
        let parent_id = run.id().to_string();
        let is_child = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            parent == Some(&parent_id)
        };
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        let said = told_by(&mut run).find(|line| line.contains("trying again"));
        assert!(said.unwrap().contains("Is a directory"));
        let left: Vec<u32> = alive("watchdog").into_iter().filter(is_child).collect();
        signal(&run, "-TERM");
        run.wait().unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn invalid_options_are_refused() {
        let tool = store(1);
        for (option, value) in [
            ("--cron", "61 * * * *"),
            ("--every", "0"),
            ("--every", "soon"),
            ("--timeout", "0"),
            ("--replace", ""),
        ] {
            let (_, stderr) = tool.ends(2, &["run", "p", option, value, "--", "true"]);
            assert!(stderr.contains(option), "{stderr}");
        }
    }

    #[test]
    fn cron_waits_for_its_time() {
        let tool = store(1);
        let run = start(&tool, &["run", "p", "--cron", "0 0 29 2 *", "--", "echo"]);
        std::thread::sleep(Duration::from_millis(500));
        signal(&run, "-TERM");
        let output = run.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(0), Vec::new()));
    }
}

mod where_it_runs {
    use super::*;

    #[test]
    fn under_cron() {
        let tool = store(2);
        let program = env!("CARGO_BIN_EXE_procstate");
        // No terminal, no home, a minimal path, nothing open.
        let script = format!(
            "exec 0<&-; exec {program} --db {} run p -j2 -- sh -c 'echo $PROCSTATE_WORK'",
            tool.db().display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
        assert_eq!(output.stdout.len(), 10);
        let script = format!("exec {program} --db {} run p -- true >&- 2>&-", tool.db().display());
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn on_a_terminal_of_any_kind() {
        let tool = store(3);
        if Command::new("script").arg("--version").output().is_err() {
            println!("IGNORED: there is no program `script` to make a terminal");
            return;
        }
        let command = format!(
            "stty cols 40 rows 24; {} --db {} run p -- sh -c 'sleep 0.1'",
            env!("CARGO_BIN_EXE_procstate"),
            tool.db().display()
        );
        let typescript = |terminal: &str| {
            let output = Command::new("script")
                .args(["-qec", &command, "/dev/null"])
                .env("TERM", terminal)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let dumb = typescript("dumb");
        assert!(!dumb.contains('\u{1b}') && dumb.contains("w002: completed"), "{dumb:?}");
        let drawn = typescript("xterm");
        assert!(drawn.contains("/3"), "{drawn:?}");
        for line in drawn.split(['\r', '\n']).filter(|line| line.contains("to go")) {
            let mut visible = line.to_owned();
            while let Some(at) = visible.find('\u{1b}') {
                let end = visible[at + 1..]
                    .find(|c: char| c.is_ascii_alphabetic())
                    .map_or(visible.len(), |end| at + end + 2);
                visible.replace_range(at..end, "");
            }
            assert!(visible.chars().count() <= 40, "wider than the terminal: {visible:?}");
        }
    }

    #[test]
    fn few_files_may_be_open() {
        let tool = store(60);
        let program = env!("CARGO_BIN_EXE_procstate");
        for files in [64, 128] {
            let script =
                format!("ulimit -n {files}; exec {program} --db \"$0\" run p -j60 -- sh -c 'sleep 0.02'");
            let output = Command::new("sh").args(["-c", &script]).arg(tool.db()).output().unwrap();
            assert!(output.status.success(), "{}", stderr_of(&output));
            assert!(stderr_of(&output).contains("at once: this program may not open more files"));
        }
    }

    #[test]
    fn no_folder_for_temporary_files_is_needed() {
        let tool = store(1);
        let run = ["run", "p", "--stdin", "json", "--", "sh", "-c", "cat"];
        let output = tool.command(&run).env("TMPDIR", "/no/such/folder").output().unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
        assert!(output.stdout.starts_with(b"{\"attempt\":1"), "{output:?}");
    }

    /// As the init program of a container it collects the status of all orphans.
    #[test]
    fn as_the_first_program_of_a_container() {
        let tool = store(3);
        let unshare = ["unshare", "--pid", "--fork", "--mount-proc"];
        if !Command::new(unshare[0])
            .args(&unshare[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            println!("IGNORED: this user may not make a pid namespace");
            return;
        }
        // Each leaves an orphan that ends at once; the last one looks for zombies.
        let script = "(sleep 0.01 &) ; if [ $1 = w002 ]; then sleep 1.5; ps -eo stat= | grep -c ^Z; fi; true";
        let output = Command::new(unshare[0])
            .args(&unshare[1..])
            .arg(env!("CARGO_BIN_EXE_procstate"))
            .arg("--db")
            .arg(tool.db())
            .args(["run", "p", "--", "sh", "-c", script, "job", "{}"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr_of(&output));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "0\n");
    }
}
