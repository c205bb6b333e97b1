//! The output pipes of a command.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::supervisor::{Stream, Supervisor};

/// The size of a read, which is that of a pipe.
const CHUNK: usize = 64 << 10;

pub(super) struct Pipes {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    buffer: Vec<u8>,
}

impl Pipes {
    pub(super) fn new(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        Self { stdout, stderr, buffer: Vec::new() }
    }

    /// Waits until there is output, `ended` is readable, or the time is over.
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

    /// Reads the available output.
    ///
    /// Reading is limited while the command runs, so that one that never stops writing can still be
    /// stopped.
    pub(super) fn read(&mut self, has_ended: bool, supervisor: &mut dyn Supervisor) -> io::Result<()> {
        let (stdout, stderr) = (left(&self.stdout, has_ended)?, left(&self.stderr, has_ended)?);
        read(&mut self.stdout, Stream::Stdout, stdout, &mut self.buffer, supervisor)?;
        read(&mut self.stderr, Stream::Stderr, stderr, &mut self.buffer, supervisor)
    }
}

/// Returns how much to read from a pipe: after the command has ended, everything that it wrote, but
/// nothing that its background programs add.
fn left<R: AsFd>(pipe: &Option<R>, has_ended: bool) -> io::Result<usize> {
    match pipe {
        Some(pipe) if has_ended => {
            Ok(usize::try_from(rustix::io::ioctl_fionread(pipe)?).unwrap_or(usize::MAX).max(1))
        }
        _ => Ok(4 * CHUNK),
    }
}

fn read<R: Read + AsFd>(
    pipe: &mut Option<R>,
    stream: Stream,
    mut left: usize,
    buffer: &mut Vec<u8>,
    supervisor: &mut dyn Supervisor,
) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::supervisor::Urgency;
    use super::*;

    struct Count(usize);

    impl Supervisor for Count {
        fn output(&mut self, _: Stream, bytes: &[u8]) {
            self.0 += bytes.len();
        }

        fn must_stop(&mut self) -> Urgency {
            Urgency::GoOn
        }
    }

    #[test]
    fn all_output_of_an_ended_command_is_read_from_large_pipes() {
        let mut command = Command::new("sh");
        command.args(["-c", "read go; head -c 1000000 /dev/zero"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20).unwrap();
        // Closes its standard input, which lets it continue.
        child.wait().unwrap();
        let mut count = Count(0);
        Pipes::new(Some(stdout), None).read(true, &mut count).unwrap();
        assert_eq!(count.0, 1_000_000);
    }
}
