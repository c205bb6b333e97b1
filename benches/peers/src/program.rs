//! Starts this program again for one measurement.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::measure::{Outcome, Task};

/// Longer than any measurement that is not stuck.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Formats a value for the command line.
pub fn argument(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

pub fn measure(task: &Task) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments(task)?).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let status = wait(&mut child)?;
    ensure!(status.success(), "the measurement failed: {status}");
    // The outcome is smaller than the pipe's buffer, so that the child did not block.
    let outcome = std::io::read_to_string(child.stdout.take().context("no output")?)?;
    serde_json::from_str(&outcome).context("the outcome is not what it should be")
}

fn arguments(task: &Task) -> Result<Vec<String>> {
    let folder = task.folder.to_str().context("a folder with a name in UTF-8")?;
    Ok(vec![
        "measure".into(),
        format!("--peer={}", argument(&task.peer)),
        format!("--class={}", argument(&task.class)),
        format!("--work={}", argument(&task.work)),
        format!("--folder={folder}"),
        format!("--processes={}", task.processes),
        format!("--items={}", task.items),
        format!("--threads={}", task.threads),
        format!("--millis={}", task.millis),
        format!("--calls={}", task.calls),
    ])
}

/// Waits for the end of a child, and kills one that is stuck.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    bail!("stuck for {} s, and killed", PATIENCE.as_secs())
}
