//! The tool on a store that a program has open: every command works as on a closed store.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::copy_as_it_is;
use procstate::http::Server;
use procstate::{Params, Runner, Store};
use serde_json::Value;
use tempfile::TempDir;

const PROCESS: &str = r#"{"processName": "nightly", "instance": "old", "scheduleFrequency": "3600s",
    "activeWork": {"a": {"params": {"intParams": {"n": "7"}, "stringParams": {"s": "x y"}}}, "b/c": {}, "d": {},
        "\u001b[31mred": {"status": {"state": "INCOMPLETE", "totalErrors": "1",
            "errors": [{"time": "2026-01-01T00:00:00Z", "text": "it \u0007 failed"}]}}},
    "cleanupWork": {"gone": "2026-01-01T00:00:00Z"},
    "droppedWork": {"old": "2025-01-01T00:00:00Z"},
    "settings": {"stringParams": {"region": "eu"}},
    "processStatus": {"state": "COMPLETED", "startTime": "2026-01-01T00:00:00Z",
        "finishTime": "2026-01-01T00:01:00Z", "progressTime": "2026-01-01T00:01:00Z", "stats": {"workItems": 3}},
    "aggregateStats": {"workItems": 9}}"#;

/// The timeout for output of a program.
const PATIENCE: Duration = Duration::from_secs(60);

fn tool(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procstate"));
    command
        .current_dir(folder)
        .args(arguments)
        .env("PROCSTATE_DB", "state")
        .env_remove("PROCSTATE_URL")
        .env_remove("PROCSTATE_TOKEN")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = tool(folder, arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn fine(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", says(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn says(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}\n{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A running `procstate serve`, stopped on drop.
struct Served {
    child: Child,
    urls: Vec<String>,
}

impl Served {
    fn new(folder: &Path, arguments: &[&str]) -> Self {
        Self::with(folder, arguments, |command| command)
    }

    fn with(folder: &Path, arguments: &[&str], with: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = tool(folder, &[&["serve"], arguments].concat());
        with(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("interrupt it to end") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let listens = arguments.iter().filter(|argument| **argument == "--listen").count();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, urls: lines.take(listens).map(Result::unwrap).collect() }
    }

    fn terminate(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a folder with a store and files to import.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nightly.json"), PROCESS).unwrap();
    fs::write(folder.path().join("other.json"), PROCESS.replace("nightly", "other")).unwrap();
    fine(folder.path(), &["init"]);
    fine(folder.path(), &["import", "nightly.json"]);
    fine(folder.path(), &["register", "weekly", "w", "x", "--int", "n=1"]);
    folder
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("state/control.sock")
}

/// Replaces every time in a text by the same one.
fn timeless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("20") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let is_time = from.as_bytes().get(10) == Some(&b'T') && from.as_bytes().get(4) == Some(&b'-');
        let length = if is_time { from.find('Z').map_or(2, |end| end + 1) } else { 2 };
        out.push_str(if is_time { "TIME" } else { &from[..length] });
        rest = &from[length..];
    }
    out + rest
}

#[test]
fn every_command_does_the_same_on_a_store_that_is_served() {
    let closed = folder();
    let open = tempfile::tempdir().unwrap();
    copy_as_it_is(closed.path(), open.path());
    let served = Served::new(open.path(), &["--listen", "127.0.0.1:0"]);
    let socket = fs::symlink_metadata(socket(open.path())).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);

    let timeless = |text: &str| {
        let in_place = |text: String, folder: &TempDir| text.replace(folder.path().to_str().unwrap(), "DIR");
        in_place(in_place(timeless(text), &closed), &open)
    };
    let same = |arguments: &[&str], input: &str| {
        let (here, there) = (run(closed.path(), arguments, input), run(open.path(), arguments, input));
        let (mut one, mut other) = (timeless(&says(&here)), timeless(&says(&there)));
        if arguments.contains(&"stats") {
            // An active log has preallocated files.
            for text in [&mut one, &mut other] {
                text.retain(|c| !c.is_ascii_digit());
            }
        }
        assert_eq!(one, other, "{arguments:?}");
    };
    for arguments in [
        &["stats"][..],
        &["--json", "stats"],
        &["ls"],
        &["--json", "ls"],
        &["show", "nightly"],
        &["--json", "show", "nightly"],
        &["show", "missing"],
        &["work", "nightly"],
        &["--json", "work", "nightly"],
        &["work", "nightly", "a"],
        &["--json", "work", "nightly", "gone"],
        &["work", "nightly", "missing"],
        &["work", "missing"],
        &["history", "nightly"],
        &["--json", "history", "nightly"],
        &["history", "missing"],
        &["settings", "nightly"],
        &["--json", "settings", "nightly"],
        &["settings", "missing"],
        &["log"],
        &["--json", "log"],
        &["log", "--from", "2"],
        &["log", "--from", "999"],
        &["export"],
        &["export", "nightly"],
        &["export", "missing"],
        &["export", "--format", "binary"],
        &["export", "-o", "exported"],
        &["backup", "backup"],
        &["backup", "backup"],
        &["--json", "backup", "backup-2"],
        &["backup", "state/backup"],
    ] {
        same(arguments, "");
        // Only the owner of the folder knows that a file would be inside it, and one exists
        // already.
        let is_told_apart = arguments == ["backup", "state/backup"] || arguments.contains(&"backup-2");
        if let Some(url) = served.urls.first().filter(|_| !is_told_apart) {
            let remote =
                tool(open.path(), arguments).env_remove("PROCSTATE_DB").env("PROCSTATE_URL", url).output();
            let (remote, here) = (says(&remote.unwrap()), says(&run(closed.path(), arguments, "")));
            assert!(arguments.contains(&"stats") || timeless(&remote) == timeless(&here), "{arguments:?}");
        }
    }
    for file in ["exported", "backup"] {
        let bytes = |folder: &TempDir| fs::read(folder.path().join(file)).unwrap();
        assert!(bytes(&closed) == bytes(&open), "{file}");
    }
    for (arguments, input) in [
        (&["register", "nightly", "e", "--int", "k=1", "--str", "s=t"][..], ""),
        (&["register", "nightly", "e", "--int", "k=1", "--str", "s=t"], ""),
        (&["--json", "register", "nightly", "e", "f"], ""),
        (&["register", "nightly", "--json-lines", "-"], "{\"work\": \"g\"}\n{\"work\": \"h\"}\n"),
        (&["register", "weekly", "--exact", "-"], "x\ny\n"),
        (&["register", "weekly", "--exact", "-"], ""),
        (&["unregister", "nightly", "a", "missing"], ""),
        (&["unregister", "nightly", "missing"], ""),
        (&["--json", "unregister", "nightly", "d"], ""),
        (&["settings", "nightly", "--every", "2h", "--int", "k=2"], ""),
        (&["settings", "monthly", "--str", "a=b"], ""),
        (&["settings", "monthly", "--cron", "nonsense"], ""),
        (&["settings", "monthly", "--cron", "0 3 * * *"], ""),
        (&["pause", "nightly"], ""),
        (&["pause", "nightly"], ""),
        (&["--json", "resume", "nightly"], ""),
        (&["resume", "nightly"], ""),
        (&["pause", "missing"], ""),
        (&["retry", "nightly", "b/c"], ""),
        (&["retry", "nightly", "--failed"], ""),
        (&["retry", "nightly", "missing"], ""),
        (&["release", "nightly"], ""),
        (&["--json", "release", "nightly"], ""),
        (&["release", "missing"], ""),
        (&["purge", "nightly", "--older-than", "1d"], ""),
        (&["--json", "purge", "nightly", "--older-than", "1d"], ""),
        (&["purge", "missing", "--older-than", "1d"], ""),
        (&["import", "nightly.json"], ""),
        (&["import", "--merge", "nightly.json"], ""),
        (&["import", "--replace", "nightly.json"], ""),
        (&["import", "other.json"], ""),
        (&["import", "-"], "nonsense"),
        (&["logs", "nightly", "a"], ""),
        (&["ls"], ""),
        (&["export"], ""),
        (&["log"], ""),
    ] {
        same(arguments, input);
    }
    served.terminate();
    assert!(!self::socket(open.path()).exists());
    assert!(fine(open.path(), &["verify"]).contains("sound"));
}

#[test]
fn a_killed_server_leaves_no_obstacle() {
    let folder = folder();
    let folder = folder.path();
    let mut served = Served::new(folder, &[]);
    fine(folder, &["register", "nightly", "e"]);
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    assert!(socket(folder).exists());
    assert!(fine(folder, &["work", "nightly"]).contains("queued"));
    fine(folder, &["register", "nightly", "f"]);
    let again = Served::new(folder, &[]);
    fine(folder, &["register", "nightly", "g"]);
    again.terminate();
    assert!(fine(folder, &["--json", "show", "nightly"]).contains("\"g\""));
}

#[test]
fn a_program_without_a_socket_is_reported() {
    let folder = folder();
    let store = Store::open(folder.path().join("state")).unwrap();
    for arguments in [&["ls"][..], &["register", "nightly", "e"], &["log"], &["log", "--follow"]] {
        let output = run(folder.path(), arguments, "");
        let text = says(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("in use by pid {}", std::process::id())), "{text}");
        assert!(text.contains("it serves no control socket") && text.contains("procstate serve"), "{text}");
    }
    // A foreign file is neither used nor deleted.
    fs::write(socket(folder.path()), "thesis").unwrap();
    let text = says(&run(folder.path(), &["ls"], ""));
    assert!(text.contains("it is not a socket"), "{text}");
    assert!(Server::builder(&store).control_socket().is_err());
    assert_eq!(fs::read(socket(folder.path())).unwrap(), b"thesis");
}

#[test]
fn a_client_without_the_token_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let token = "0123456789abcdef-token";
    fs::write(folder.join("token"), token).unwrap();
    let served = Served::new(folder, &["--listen", "127.0.0.1:0", "--read-only", "--token-file", "token"]);
    let [url] = &*served.urls else { panic!("{:?}", served.urls) };
    let ask = |arguments: &[&str]| {
        let arguments = [&["--url", url], arguments].concat();
        tool(folder, &arguments).env_remove("PROCSTATE_DB").output().unwrap()
    };
    let refused = ask(&["ls"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(says(&refused).contains("it requires another token"), "{}", says(&refused));
    let listed = ask(&["--token-file", "token", "ls"]);
    assert!(says(&listed).contains("nightly"), "{}", says(&listed));
    let changed = ask(&["--token-file", "token", "register", "nightly", "e"]);
    assert_eq!(changed.status.code(), Some(2));
    assert!(says(&changed).contains("read-only; nothing was changed"), "{}", says(&changed));
}

/// Returns the lines of a child as they arrive.
fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    hear
}

#[test]
fn a_run_is_watched_and_controlled_from_a_second_terminal() {
    const ITEMS: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = Store::open(folder.join("state")).unwrap();
    let process = store.process("big").unwrap();
    process.register_all((0..ITEMS).map(|n| (format!("{n:05}"), Params::new()))).unwrap();
    let server = Server::builder(&store).control_socket().unwrap().start().unwrap();

    let (looked, looking) = mpsc::channel::<()>();
    let looking = std::sync::Mutex::new(Some(looking));
    let (reached, halfway) = mpsc::channel();
    let runner = Runner::builder(&store, "big")
        .worker_fn(move |work| {
            if work.name() == "05000" {
                reached.send(())?;
                // Waits until everything was inspected.
                let _ = looking.lock().unwrap().take().unwrap().recv();
            }
            Ok(())
        })
        .build()
        .unwrap();
    let mut follower =
        tool(folder, &["log", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let followed = lines(follower.stdout.take().unwrap());
    let run = std::thread::spawn(move || runner.run_now().map(|_| ()));
    halfway.recv_timeout(PATIENCE).unwrap();

    assert!(fine(folder, &["ls"]).contains("active"));
    let listed: Value = serde_json::from_str(fine(folder, &["--json", "ls"]).trim()).unwrap();
    assert_eq!(listed["active"], 10_000);
    let seen = fine(folder, &["top"]);
    assert!(seen.contains("active") && seen.contains("/10000"), "{seen}");
    assert_eq!(fine(folder, &["work", "big"]).lines().count(), ITEMS + 1);
    fine(folder, &["register", "big", "later"]);
    let has_later = |line: &String| line.contains("big/active/later");
    while !has_later(&followed.recv_timeout(PATIENCE).unwrap()) {}
    fine(folder, &["backup", "backup"]);
    let held = self::run(folder, &["release", "big"], "");
    assert_eq!(held.status.code(), Some(2), "{}", says(&held));
    drop(looked);
    run.join().unwrap().unwrap();
    drop(server);
    let (whole, last) = (process.snapshot().unwrap(), store.stats().unwrap().last_seq);
    assert!(whole.active_work.contains_key("later"));
    drop(process);
    store.close().unwrap();
    let told: Vec<String> = followed.into_iter().collect();
    let gap = told.iter().find(|line| line.starts_with("---"));
    let ended = says(&follower.wait_with_output().unwrap());
    assert!(ended.starts_with("Some(0)"), "{ended} {gap:?}");
    assert!(told.last().is_none_or(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap() <= last));

    fine(folder, &["restore", "backup", "--into", "restored"]);
    let restored = Store::open(folder.join("restored")).unwrap().process("big").unwrap().snapshot().unwrap();
    assert_eq!(restored.active_work.len(), ITEMS + 1);
}

#[test]
fn a_command_run_is_watched_and_controlled_too() {
    let folder = folder();
    let folder = folder.path();
    let command = ["run", "weekly", "--", "sh", "-c", "until [ -e go ]; do sleep 0.02; done"];
    let running = tool(folder, &command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !socket(folder).exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Waits until an item has begun.
    while !fine(folder, &["work", "weekly"]).contains("active") {
        std::thread::sleep(Duration::from_millis(10));
    }
    fine(folder, &["register", "weekly", "y"]);
    fine(folder, &["pause", "weekly"]);
    fine(folder, &["resume", "weekly"]);
    fs::write(folder.join("go"), "").unwrap();
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", says(&ended));
    assert!(!socket(folder).exists());
    let listed: Value =
        serde_json::from_str(fine(folder, &["--json", "work", "weekly", "y"]).trim()).unwrap();
    assert_eq!(listed["state"], "queued");
}

#[test]
fn top_shows_the_same_wherever_the_store_is() {
    let folder = folder();
    let folder = folder.path();
    let table = |text: String| {
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        lines.into_iter().map(|line| line.split(" ago").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let still = run(folder, &["top"], "");
    assert!(still.status.success() && says(&still).contains("no program has the store open"));
    let still = table(String::from_utf8(still.stdout).unwrap());
    assert_eq!(still[0], "PROCESS STATE OWNER PROGRESS RATE TO GO ERRORS SEEN");
    assert!(still[1].starts_with("nightly completed (old) [#######...] 3/4 - - 0 "), "{still:?}");
    assert!(still[2].starts_with("weekly unspecified - [..........] 0/2 - - 0 -"), "{still:?}");
    assert_eq!(still[4], "FAILING WORK STATE ERRORS LAST ERROR");
    assert_eq!(still[5], "nightly \\u{1b}[31mred incomplete 1 it \\u{7} failed");

    let served = Served::new(folder, &["--listen", "127.0.0.1:0"]);
    let url = &*served.urls[0];
    for arguments in [&["top"][..], &["top", "--once"], &["--url", url, "top"]] {
        let mut command = tool(folder, arguments);
        let output = if arguments.contains(&url) { command.env_remove("PROCSTATE_DB") } else { &mut command };
        let output = output.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", says(&output));
        let seen = table(String::from_utf8(output.stdout).unwrap());
        // Except for the ages.
        assert_eq!((&seen[0], &seen[4..]), (&still[0], &still[4..]));
    }
    let lines = fine(folder, &["--json", "top"]);
    let nightly: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&nightly["ended"], &nightly["total"]), (&3.into(), &4.into()));
    assert_eq!(nightly["failing"][0]["work"], "\u{1b}[31mred");
}

/// `procstate top` on a terminal created by `script`.
struct Terminal {
    child: Child,
    shown: Vec<u8>,
}

impl Terminal {
    fn new(folder: &Path) -> Option<Self> {
        let tool = env!("CARGO_BIN_EXE_procstate");
        let line = format!(
            "stty rows 30 cols 120; {tool} --db state top --interval 0.1; echo it ended with $?; stty -a"
        );
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm").current_dir(folder);
        command.env_remove("PROCSTATE_URL").env_remove("PROCSTATE_TOKEN").env_remove("PROCSTATE_DB");
        match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
            Ok(child) => Some(Self { child, shown: Vec::new() }),
            Err(error) => {
                eprintln!("IGNORED: no terminal can be made with `script`: {error}");
                None
            }
        }
    }

    /// Reads until the terminal has shown a text.
    fn wait_for(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        while !self.shown.windows(text.len()).any(|shown| shown == text.as_bytes()) {
            let mut bytes = [0; 4096];
            let read = stdout.read(&mut bytes).unwrap();
            assert!(read > 0, "{text:?} is not in {:?}", String::from_utf8_lossy(&self.shown));
            self.shown.extend(&bytes[..read]);
        }
    }

    fn key(&mut self, key: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(key).unwrap();
    }

    /// Checks that it ended and restored the terminal.
    fn check_end(mut self) {
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("it ended with 0");
        self.wait_for(" icanon");
        self.wait_for(" echo ");
        let shown = String::from_utf8(std::mem::take(&mut self.shown)).unwrap();
        assert!(shown.contains("\\u{1b}[31mred") && !shown.contains("\u{1b}[31m"), "{shown:?}");
        self.child.wait().unwrap();
    }
}

#[test]
fn top_redraws_until_a_key_ends_it() {
    let folder = folder();
    let folder = folder.path();
    let _served = Served::new(folder, &[]);
    for key in [&b"q"[..], b"\x03"] {
        let Some(mut top) = Terminal::new(folder) else { return };
        top.wait_for("\u{1b}[?1049h");
        top.wait_for("[..........] 0/2");
        fine(folder, &["register", "weekly", "y"]);
        top.wait_for("[..........] 0/3");
        fine(folder, &["unregister", "weekly", "y"]);
        fine(folder, &["pause", "nightly"]);
        top.wait_for("completed, paused");
        top.key(key);
        top.check_end();
        fine(folder, &["resume", "nightly"]);
    }
}

#[test]
fn top_ends_with_the_program_that_it_watches() {
    let folder = folder();
    let served = Served::new(folder.path(), &[]);
    let Some(mut top) = Terminal::new(folder.path()) else { return };
    top.wait_for("[#######...] 3/4");
    served.terminate();
    top.wait_for("has closed it, or is gone");
    top.check_end();
}
