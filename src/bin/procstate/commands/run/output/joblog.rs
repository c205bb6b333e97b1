//! A job log in the format of GNU parallel's `--joblog`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::commands::run::template::quoted;

const HEAD: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

pub(crate) struct JobLog {
    file: Mutex<File>,
}

/// A command that has ended.
pub(crate) struct Job<'a> {
    /// The number of the command in its run.
    pub(crate) number: u64,
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    /// The number of bytes of its input and its standard output.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) words: &'a [OsString],
}

impl JobLog {
    /// Opens a log, appending to an existing file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(HEAD.as_bytes())?;
        }
        Ok(Self { file: Mutex::new(file) })
    }

    pub(crate) fn write(&self, job: &Job<'_>) -> io::Result<()> {
        self.file.lock().write_all(&line(job))
    }
}

fn line(job: &Job<'_>) -> Vec<u8> {
    let began = job.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let exit =
        job.status.and_then(|status| status.code()).unwrap_or(if job.status.is_some() { 0 } else { -1 });
    let signal = job.status.and_then(|status| status.signal()).unwrap_or_default();
    let (number, took) = (job.number, job.took.as_secs_f64());
    let mut line =
        format!("{number}\t:\t{began:.3}\t{took:10.3}\t{}\t{}\t{exit}\t{signal}\t", job.sent, job.received)
            .into_bytes();
    // One line per command: like GNU parallel, this writes NUL for a line end within it.
    line.extend(quoted(job.words).into_iter().map(|byte| if byte == b'\n' { 0 } else { byte }));
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line() {
        let words = ["echo", "a\nb", "c d"].map(OsString::from);
        let job = Job {
            number: 3,
            began: UNIX_EPOCH + Duration::from_millis(1500),
            took: Duration::from_millis(2042),
            sent: 0,
            received: 8,
            status: Some(ExitStatus::from_raw(7 << 8)),
            words: &words,
        };
        assert_eq!(line(&job), b"3\t:\t1.500\t     2.042\t0\t8\t7\t0\techo 'a\0b' 'c d'\n");
        let killed = Job { status: Some(ExitStatus::from_raw(9)), ..job };
        assert!(String::from_utf8(line(&killed)).unwrap().contains("\t8\t0\t9\techo"));
    }
}
