//! Watches the processes of a store while they run.

mod failing;
mod fitting;
mod picture;
mod rate;
mod sample;
mod screen;

use std::io;
use std::sync::mpsc::{self, SyncSender, TryRecvError};
use std::time::Duration;

use procstate::{Error, Result as StoreResult};

use self::sample::{Sample, Watcher};
use self::screen::Screen;
use crate::args::Top;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location, Looked};
use crate::terminal::output::{Output, can_draw, say};

/// The polling interval for keys and the screen size.
const TICK: Duration = Duration::from_millis(100);

/// The minimum refresh interval.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// How long one refresh searches the items of a process.
const SEARCH_MAX: Duration = Duration::from_millis(100);

pub(crate) fn top(place: &Location, args: &Top, output: &mut Output) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    if !store.is_remote() {
        say("no program has the store open, so this is a single snapshot");
    }
    if store.is_remote() && !args.once && !output.is_json() && can_draw(&io::stdout()) {
        return live(store, args.interval.max(INTERVAL_MIN), output);
    }
    let glances = Watcher::default().look(&store, None)?;
    picture::print(&glances, output)?;
    Ok(CommandStatus::Success)
}

fn live(store: Looked, interval: Duration, output: &mut Output) -> Result<CommandStatus, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("could not draw on the terminal: {error}"));
    let (show, looks) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("looks".to_owned())
        .spawn(move || watch(&store, interval, &show))
        .map_err(failed)?;
    let mut screen = Screen::open().map_err(failed)?;
    // Counting a million items takes a while.
    Screen::draw(&["reading ...".to_owned()]).map_err(failed)?;
    let mut glances = Vec::new();
    let mut drawn_size = (0, 0);
    let end = loop {
        let size = Screen::size();
        match looks.try_recv() {
            Ok(Ok(new)) => glances = new,
            Ok(Err(error)) => break Some(error),
            Err(TryRecvError::Empty) if size == drawn_size || glances.is_empty() => {
                if screen.wait(TICK).map_err(failed)? {
                    break None;
                }
                continue;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break None,
        }
        Screen::draw(&picture::lines(glances.iter().collect(), size.0, size.1)).map_err(failed)?;
        drawn_size = size;
    };
    drop(screen);
    end.map_or(Ok(CommandStatus::Success), |error| conclude(error, &glances, output))
}

/// Samples the store until the receiver is gone or an error occurs.
fn watch(store: &Looked, interval: Duration, show: &SyncSender<StoreResult<Vec<Sample>>>) {
    let mut watcher = Watcher::default();
    loop {
        let look = watcher.look(store, Some(SEARCH_MAX));
        let is_last = look.is_err();
        if show.send(look).is_err() || is_last {
            return;
        }
        std::thread::sleep(interval);
    }
}

/// Prints the last picture if the watched program is gone.
fn conclude(error: Error, glances: &[Sample], output: &mut Output) -> Result<CommandStatus, Failure> {
    if !(error.is_unreachable() || error.is_closed()) {
        return Err(error.into());
    }
    picture::print(glances, output)?;
    output.flush()?;
    say("the program that had the store open has closed it, or is gone");
    Ok(CommandStatus::Success)
}
