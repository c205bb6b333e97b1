//! The pipes on which a command writes.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Supervisor;

/// How much is read at a time: as much as a pipe holds.
const CHUNK: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

pub(super) struct Pipes {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    buffer: Vec<u8>,
}

impl Pipes {
    pub(super) fn new(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        Self { stdout, stderr, buffer: Vec::new() }
    }

    /// Waits until there is something to read, `ended` is readable, or the time is over.
    pub(super) fn wait(&self, ended: Option<&OwnedFd>, time: Duration) -> io::Result<()> {
        let all = [
            ended.map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        ];
        let mut fds: Vec<PollFd<'_>> =
            all.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let time = Timespec::try_from(time).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut fds, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there, and does not wait for more.
    pub(super) fn read(&mut self, supervisor: &mut dyn Supervisor) -> io::Result<()> {
        read(&mut self.stdout, Stream::Stdout, &mut self.buffer, supervisor)?;
        read(&mut self.stderr, Stream::Stderr, &mut self.buffer, supervisor)
    }
}

fn read<R: Read + AsFd>(
    pipe: &mut Option<R>,
    stream: Stream,
    buffer: &mut Vec<u8>,
    supervisor: &mut dyn Supervisor,
) -> io::Result<()> {
    // What a pipe holds and no more: a command that never stops writing is looked at too.
    let mut left = 4 * CHUNK;
    while let Some(open) = pipe.as_mut().filter(|open| left > 0 && is_readable(open.as_fd())) {
        buffer.resize(CHUNK, 0);
        match open.read(buffer) {
            Ok(0) => *pipe = None,
            Ok(length) => {
                left = left.saturating_sub(length);
                supervisor.output(stream, buffer.get(..length).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
