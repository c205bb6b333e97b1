//! An alternate terminal screen.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::terminal::log;

/// The code of ^C in raw mode.
const INTERRUPT: u8 = 3;

/// A screen, which restores the terminal when dropped.
pub(super) struct Screen {
    signals: Signals,
    has_keys: bool,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let has_keys = io::stdin().is_terminal();
        let screen = Self { signals, has_keys };
        log::silence(true);
        if has_keys {
            terminal::enable_raw_mode()?;
        }
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Returns the number of columns and rows.
    pub(super) fn size() -> (usize, usize) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    /// Draws lines, which must fit.
    pub(super) fn draw(lines: &[String]) -> io::Result<()> {
        // One write, so that the terminal never shows half a picture.
        let mut picture = Vec::new();
        for (row, line) in (0..).zip(lines) {
            queue!(picture, MoveTo(0, row), Clear(ClearType::CurrentLine), Print(line))?;
        }
        queue!(picture, Clear(ClearType::FromCursorDown))?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&picture)?;
        stdout.flush()
    }

    /// Waits for this time; returns early if a key asks to quit.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<bool> {
        if self.signals.pending().next().is_some() {
            return Ok(true);
        }
        if !self.has_keys {
            std::thread::sleep(time);
            return Ok(self.signals.pending().next().is_some());
        }
        let stdin = io::stdin();
        let timeout = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 64];
        let read = rustix::io::read(&stdin, &mut keys)?;
        let keys = keys.get(..read).unwrap_or_default();
        // An empty read means that the terminal is gone.
        Ok(keys.is_empty() || keys.iter().any(|key| matches!(*key, b'q' | b'Q' | INTERRUPT)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        if self.has_keys {
            let _ = terminal::disable_raw_mode();
        }
        log::silence(false);
    }
}
