//! What the program takes of the machine, and what machine it is.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of all files in a folder, as the file system counts them.
pub fn disk(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Resident memory of this program.
pub fn memory() -> u64 {
    number("/proc/self/status", "VmRSS:") * 1024
}

/// Bytes that this program has passed to write calls. (`write_bytes` beside it counts whole
/// folios of the page cache, up to a megabyte for a write of a few bytes.)
pub fn written_bytes() -> u64 {
    number("/proc/self/io", "wchar:")
}

/// The number behind `name` in one of the files of the kernel; 0 where it has no such.
fn number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Ends this program by SIGKILL.
pub fn die() -> ! {
    let pid = std::process::id().to_string();
    // A child, since to send a signal needs unsafe code or one more dependency.
    let _ = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    std::process::abort()
}

/// One line: processor, kernel, file system of the folder, date.
pub fn machine(folder: &Path) -> String {
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
    output("stat", &["-f", "-c", "%T", &folder.to_string_lossy()])
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}
