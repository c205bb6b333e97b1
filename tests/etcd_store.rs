//! Tests a store in etcd end to end: shared between programs, in the tool, and moved to and from a
//! folder.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{etcd, won};
use procstate::{
    Claim, ClaimOptions, EtcdOptions, ImportMode, Instance, Params, Process, Progress, Store, Work, recovery,
};

fn options() -> Option<EtcdOptions> {
    common::etcd_options()
}

#[test]
fn two_programs_share_a_store_and_one_of_them_owns_the_run() {
    let Some(options) = options() else { return };
    let (one, other) = (Store::connect(&options).unwrap(), Store::connect(&options).unwrap());
    one.process("p").unwrap().register("a", Params::new()).unwrap();
    let run = won(&one.process("p").unwrap());
    let Claim::Held { by, .. } = other.process("p").unwrap().claim(&Instance::new()).unwrap() else {
        panic!("both programs own the run")
    };
    assert_eq!(by, run.instance());
    // Closing the store releases the run immediately.
    std::mem::forget(run);
    one.close().unwrap();
    let Claim::Won(run) = other.process("p").unwrap().claim(&Instance::new()).unwrap() else {
        panic!("the run was not released")
    };
    run.finish().unwrap();
}

#[test]
fn a_run_that_was_taken_over_is_fenced() {
    let Some(options) = options() else { return };
    let (one, other) = (Store::connect(&options).unwrap(), Store::connect(&options).unwrap());
    let (mine, theirs) = (one.process("p").unwrap(), other.process("p").unwrap());
    mine.register("a", Params::new()).unwrap();
    let short = ClaimOptions::new().force(true).heartbeat_timeout(Duration::from_secs(1));
    let Claim::Won(run) = mine.claim_with(&Instance::new(), &short).unwrap() else { panic!("not won") };
    let began = Instant::now();
    let taken = loop {
        match theirs.claim_with(&Instance::new(), &short).unwrap() {
            Claim::Won(taken) => break taken,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the run was not taken over");
    };
    assert!(run.is_lapsed(), "the run was taken over before it lapsed");
    assert_eq!(run.progress_now().unwrap(), Progress::Conflict);
    taken.finish().unwrap();
}

#[test]
fn only_the_newest_of_frequent_progress_is_written() {
    let Some(options) = options() else { return };
    let store =
        Store::builder().sync_interval(Duration::from_millis(100)).connect(options.coalesce(true)).unwrap();
    let process = store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    let mut run = won(&process);
    let before = store.last_seq();
    for _ in 0..10_000 {
        run.add_stat("calls", 1.0);
        assert_eq!(run.progress().unwrap(), Progress::Updated);
    }
    let calls = || process.snapshot().unwrap().process_status.unwrap().stats.get("calls").copied();
    let deadline = Instant::now() + Duration::from_secs(30);
    while calls() != Some(10_000.0) {
        assert!(Instant::now() < deadline, "the last report was not written: {:?}", calls());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(store.last_seq() - before < 5_000, "each report was written");
    // A later report picks up changes by others.
    process.set_params(Params::new().int("n", 1)).unwrap();
    let merged = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        run.add_stat("calls", 1.0);
        run.progress().unwrap() == Progress::Merged
    });
    assert!(merged);
    while run.next_work().unwrap().is_some() {}
    run.finish().unwrap();
}

fn many(items: usize) -> Process {
    let params = Params::new().string("path", "x".repeat(100));
    let work = |n| (format!("item-{n:06}"), Work { params: Some(params.clone()), ..Work::default() });
    Process {
        process_name: "p".to_owned(),
        active_work: (0..items).map(work).collect(),
        ..Process::default()
    }
}

#[test]
fn a_process_of_many_items_is_imported_whole() {
    let Some(options) = options() else { return };
    let store = Store::connect(&options).unwrap();
    let process = many(40_000);
    let reader = Store::connect(&options).unwrap();
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| store.import(process.clone(), ImportMode::New).unwrap());
        while !importing.is_finished() {
            let seen = reader.process("p").unwrap().counts().map_or(0, |counts| counts.states.values().sum());
            assert!(seen == 0 || seen == 40_000, "{seen} items are visible");
        }
    });
    assert!(reader.process("p").unwrap().snapshot().unwrap() == process);
}

#[test]
fn many_items_are_registered_in_commits_within_the_limits_of_etcd() {
    // A member of its own, so that no other test changes the sequence number.
    let Some(member) = common::Lent::new() else { return };
    let store = Store::connect(&member.options).unwrap();
    let process = store.process("p").unwrap();
    let items = |n: i64| (0..2500).map(move |name| (format!("{name:04}"), Params::new().int("n", n)));
    let before = store.last_seq();
    assert_eq!(process.register_all(items(0)).unwrap().changed, 2500);
    assert!(store.last_seq() - before <= 3 + 2, "fewer than a thousand items per commit");
    // During a run, each item has its own preconditions.
    let run = won(&process);
    assert_eq!(process.register_all(items(1)).unwrap().changed, 2500);
    run.finish().unwrap();
    assert_eq!(process.register_all(items(1)).unwrap().unchanged, 2500);
    assert_eq!(process.unregister_all((0..40).map(|n| format!("{n:04}"))).unwrap().unregistered, 40);
}

#[test]
fn an_absent_server_and_an_absent_store_are_different_errors() {
    let absent = EtcdOptions::new(["http://127.0.0.1:1"]).timeout(Duration::from_secs(1));
    let error = Store::connect(&absent).unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("no majority"), "{error}");
    assert!(Store::connect(EtcdOptions::new(["nonsense"])).unwrap_err().is_invalid());
    let Some(options) = options() else { return };
    let error = Store::connect(options.create(false)).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

struct Tool {
    members: String,
    prefix: String,
}

impl Tool {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procstate"));
        command.args(["--etcd", &self.members, "--etcd-prefix", &self.prefix]).args(arguments);
        command.env_remove("PROCSTATE_DB");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn fine(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Each direction takes a backup and a restore.
#[test]
fn a_store_moves_from_a_folder_to_etcd_and_back() {
    let Some(cluster) = etcd::shared() else { return };
    let members = cluster.endpoints().join(",");
    let tool = Tool { members: members.clone(), prefix: "moved/".to_owned() };
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();

    let folder = Store::open(path("state")).unwrap();
    folder.import(many(2_000), ImportMode::New).unwrap();
    let process = folder.process("p").unwrap();
    process.set_params(Params::new().int("n", 1)).unwrap();
    won(&process).finish().unwrap();
    let before = process.snapshot().unwrap();
    folder.backup(path("up")).unwrap();
    folder.close().unwrap();

    tool.fine(&["restore", &path("up")]);
    let error = tool.refused(&["restore", &path("up")]);
    assert!(error.contains("there is a store"), "{error}");
    let store = Store::connect(EtcdOptions::new([members.clone()]).prefix("moved/")).unwrap();
    let process = store.process("p").unwrap();
    assert!(process.snapshot().unwrap() == before);
    // Restored records can be changed, and their versions work as preconditions.
    let item = process.item("item-000001").unwrap().unwrap();
    let unchanged = procstate::Precondition::Version(item.version);
    let changed = Params::new().int("n", 2);
    process.register_if("item-000001", changed.clone(), unchanged).unwrap();
    let error = process.register_if("item-000001", Params::new(), unchanged).unwrap_err();
    assert!(error.is_precondition_failed(), "{error}");
    assert!(process.item("item-000001").unwrap().unwrap().version > item.version);
    let run = won(&process);
    run.finish().unwrap();
    let after = process.snapshot().unwrap();

    tool.fine(&["backup", &path("down")]);
    recovery::restore(path("down"), path("back"), recovery::Until::End).unwrap();
    let back = Store::open(path("back")).unwrap();
    assert!(back.process("p").unwrap().snapshot().unwrap() == after);
    assert_eq!(
        back.process("p").unwrap().work("item-000001").unwrap().details.unwrap().params,
        Some(changed)
    );
}

#[test]
fn supported_commands_work_and_the_others_say_why_not() {
    let Some(cluster) = etcd::shared() else { return };
    let tool = Tool { members: cluster.endpoints().join(","), prefix: "tool/".to_owned() };
    let error = tool.refused(&["ls"]);
    assert!(error.contains("there is no store"), "{error}");
    tool.fine(&["init"]);
    tool.fine(&["register", "nightly", "a", "b", "--int", "tries=3"]);
    assert!(tool.fine(&["ls"]).contains("nightly"));
    assert!(tool.fine(&["work", "nightly"]).contains('b'));
    assert!(tool.fine(&["--json", "stats"]).contains("\"etcd\""));
    let ran = tool.fine(&["run", "nightly", "--jobs", "2", "--", "echo", "done-{}"]);
    assert!(ran.contains("done-a") && ran.contains("done-b"), "{ran}");
    assert!(tool.fine(&["history", "nightly"]).to_lowercase().contains("completed"));
    for command in [&["verify"][..], &["compact"], &["salvage", "--output", "x"], &["log"]] {
        let error = tool.refused(command);
        assert!(error.contains("etcd"), "{command:?}: {error}");
    }
}

/// A program started by a test; killed when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let host = url.trim_start_matches("http://");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{path}: {response}");
    response
}

/// The tool and a server show which program on which machine owns a process.
#[test]
fn the_location_of_an_owner_is_shown_everywhere() {
    let Some(cluster) = etcd::shared() else { return };
    let members = cluster.endpoints().join(",");
    let tool = Tool { members: members.clone(), prefix: "seen/".to_owned() };
    let store = Store::connect(EtcdOptions::new([members]).prefix("seen/")).unwrap();
    let process = store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    let run = won(&process);
    let here = format!("(pid {}) on ", std::process::id());
    let whereabouts = process.summary().unwrap().whereabouts;
    assert!(whereabouts.contains(&here), "{whereabouts}");
    let seen = |output: &str| assert!(output.contains(&here), "{output}");
    seen(&tool.fine(&["show", "p"]));
    seen(&tool.fine(&["--json", "ls"]));

    let mut serving = tool.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut serving = Started(serving.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut url = String::new();
    BufReader::new(serving.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let url = url.trim();
    seen(&get(url, "/v1/processes/p"));
    seen(&get(url, "/processes/p"));
    seen(&get(url, "/"));
    let mut through = Command::new(env!("CARGO_BIN_EXE_procstate"));
    let through = through.args(["--url", url, "show", "p"]).env_remove("PROCSTATE_DB").output().unwrap();
    seen(&String::from_utf8(through.stdout).unwrap());

    run.hand_back().unwrap();
    assert_eq!(process.summary().unwrap().whereabouts, "");
    assert!(!tool.fine(&["show", "p"]).contains(&here));
}

#[test]
fn an_exhausted_quota_refuses_writes_and_the_error_says_what_to_do() {
    let Some(cluster) = etcd::Cluster::start_with(1, &["--quota-backend-bytes=16777216"]) else { return };
    let store = Store::connect(EtcdOptions::new(cluster.endpoints())).unwrap();
    let process = store.process("p").unwrap();
    let large = Params::new().string("s", "x".repeat(900_000));
    let refused = (0..60).find_map(|n| process.register(&n.to_string(), large.clone()).err());
    let error = refused.expect("etcd accepted more than its quota");
    assert!(error.is_disk_full() && error.to_string().contains("etcdctl defrag"), "{error}");
    assert!(process.work("0").unwrap().details.is_some());
}

fn etcdctl(cluster: &etcd::Cluster, arguments: &[&str]) {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg("--endpoints").arg(cluster.endpoints().join(","));
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tool_reports_why_access_is_refused() {
    let Some(cluster) = etcd::Cluster::start(1) else { return };
    let options = || EtcdOptions::new(cluster.endpoints());
    let plain = cluster.endpoints()[0].replace("http://", "https://");
    let error = Store::connect(EtcdOptions::new([plain])).unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("TLS"), "{error}");
    etcdctl(&cluster, &["user", "add", "root:secret"]);
    etcdctl(&cluster, &["user", "grant-role", "root", "root"]);
    etcdctl(&cluster, &["auth", "enable"]);
    for options in [options(), options().user("root", "wrong")] {
        let error = Store::connect(options).unwrap_err();
        assert!(error.is_unreachable() && error.to_string().contains("password"), "{error}");
    }
    let store = Store::connect(options().user("root", "secret")).unwrap();
    store.process("p").unwrap().register("a", Params::new()).unwrap();
    won(&store.process("p").unwrap()).finish().unwrap();
}
