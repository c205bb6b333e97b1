//! What machine it is, in a line.

use std::path::Path;
use std::process::Command;

/// Processor, cores, kernel, file system of the folder, date.
pub fn describe(folder: &Path) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {cores} cores, Linux {}, {}, {}",
        cpu.trim_start_matches(['\t', ' ', ':']),
        kernel.trim(),
        file_system(folder),
        output("date", &["+%Y-%m-%d"]),
    )
}

/// The type of the file system that `folder` is on.
pub fn file_system(folder: &Path) -> String {
    let output = output("df", &["--output=fstype", &folder.to_string_lossy()]);
    output.lines().last().unwrap_or("unknown file system").to_owned()
}

/// The average number of programs that ran or waited for the disk in the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}
