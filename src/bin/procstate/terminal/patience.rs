//! Writes to a reader that may be slow or blocked.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The size that a writable pipe accepts at once.
const PIECE: usize = 4096;

/// How often `is_enough` is checked while the reader blocks.
const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Writes `bytes`, waiting for the reader until `is_enough`, which drops the rest.
///
/// # Errors
///
/// If they cannot be written.
pub(crate) fn write_all(to: impl AsFd, bytes: &[u8], is_enough: &dyn Fn() -> bool) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        let is_ready = match poll(&mut [PollFd::new(&to, PollFlags::OUT)], Some(&INTERVAL)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        if !is_ready {
            if is_enough() {
                return Ok(());
            }
            continue;
        }
        let piece = left.get(..PIECE).unwrap_or(left);
        match rustix::io::write(&to, piece) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Read;

    use super::*;

    #[test]
    fn everything_is_written_to_a_reader() {
        let (mut reader, writer) = io::pipe().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let read = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        write_all(&writer, &bytes, &|| false).unwrap();
        drop(writer);
        assert!(read.join().unwrap() == bytes);
    }

    #[test]
    fn a_blocked_reader_is_abandoned() {
        let (_reader, writer) = io::pipe().unwrap();
        let asked = Cell::new(0);
        let is_enough = || asked.replace(asked.get() + 1) == 2;
        write_all(&writer, &vec![0; 1 << 20], &is_enough).unwrap();
        assert_eq!(asked.get(), 3);
    }
}
