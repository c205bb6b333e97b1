//! Runs the commands in docs/http.md.

use std::process::Command;

use procstate::{Params, Runner};

use super::client::Site;

#[test]
fn the_commands_of_the_manual_run() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("IGNORED: there is no curl");
        return;
    }
    let site = Site::new();
    let process = site.store.process("gckeys").unwrap();
    process.register_all((0..3).map(|n| (format!("project-{n}"), Params::new()))).unwrap();
    let worker = Runner::builder(&site.store, "gckeys").worker_fn(|_| Err("no".into()));
    worker.build().unwrap().run_once().unwrap();
    let manual = std::fs::read_to_string("docs/http.md").unwrap();
    let commands: Vec<&str> =
        manual.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(commands.len() >= 5);
    let script = format!("set -euxo pipefail\n{}", commands.concat());
    let url = format!("http://{}", site.address());
    let output = Command::new("bash").args(["-c", &script]).env("URL", url).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let stdout = text(&output.stdout);
    for expected in ["event: ready", "event: missed", "# EOF", "\"queued\":", "project-1"] {
        assert!(stdout.contains(expected), "no {expected} in {stdout}");
    }
    assert_eq!(process.settings().unwrap().params.get_int("keysPerAccount"), Some(9));
}
