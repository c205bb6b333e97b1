//! Resource usage of programs and folders, and a description of the machine.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use procstate::Timestamp;

/// Returns the size of all files in a folder, as allocated by the file system.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Returns the resident memory of this program.
pub fn memory_bytes() -> u64 {
    number("/proc/self/status", "VmRSS:") * 1024
}

/// Returns the peak of its resident memory.
pub fn memory_bytes_max() -> u64 {
    number("/proc/self/status", "VmHWM:") * 1024
}

/// Returns the bytes that this program passed to write calls.
pub fn written_bytes() -> u64 {
    number("/proc/self/io", "wchar:")
}

/// Returns the bytes that this thread passed to write calls.
pub fn written_bytes_here() -> u64 {
    number("/proc/thread-self/io", "wchar:")
}

/// Returns the number of write calls of this thread.
pub fn writes_here() -> u64 {
    number("/proc/thread-self/io", "syscw:")
}

/// Returns the bytes that threads named `name` passed to write calls.
pub fn written_bytes_of(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let named = tasks.filter(|task| {
        // The kernel keeps 15 bytes of a name.
        let comm = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        comm.trim().len() >= name.len().min(15) && name.starts_with(comm.trim())
    });
    named.map(|task| number(task.join("io"), "wchar:")).sum()
}

/// Returns the number after `name` in a kernel file; 0 if missing.
fn number(file: impl AsRef<Path>, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// One line: date, processor, kernel.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = Timestamp::now().to_string();
    format!(
        "{}: {} cores of {}, Linux {}",
        date.split('T').next().unwrap_or_default(),
        std::thread::available_parallelism().map_or(0, usize::from),
        cpu.trim_start_matches(['\t', ' ', ':']),
        kernel.trim(),
    )
}
