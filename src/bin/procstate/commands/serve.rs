//! Serves a store.

use std::io;
use std::path::Path;
use std::time::Duration;

use procstate::Store;
use procstate::http::{Options, Server};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::Serve;
use crate::failure::{CommandStatus, Failure};
use crate::open::{self, Location};
use crate::terminal::output::{Output, say};

/// How long open responses may take at shutdown.
const END_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) fn serve(
    place: &Location,
    args: &Serve,
    token_file: Option<&Path>,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let name = name(place);
    let failed = |error: io::Error| Failure::Failed(format!("could not serve {name}: {error}"));
    let mut options = Options::new().read_only(args.read_only);
    if let Some(token) = open::token(token_file)? {
        options = options.token(token);
    }
    // Installed before the address is printed: from then on a client may send a signal.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let store = open::to_have(place).map_err(|error| Failure::failed(&error))?;
    let server = Server::builder(&store).options(options);
    // A store without a folder has no socket, and needs none.
    let server = if store.path().is_some() { server.control_socket().map_err(failed)? } else { server };
    let server = args.listen.iter().fold(server, |server, address| server.listen(address.as_str()));
    let server = server.start().map_err(failed)?;
    for address in server.addresses() {
        if output.is_json() {
            output.json(&json!({"url": format!("http://{address}")}))?;
        } else {
            output.line(&format!("http://{address}"))?;
        }
    }
    output.flush()?;
    say(&format!("serving {name}; interrupt it to end"));
    signals.forever().next();
    server.shutdown(END_TIME_MAX);
    store.close()?;
    Ok(CommandStatus::Success)
}

fn name(place: &Location) -> String {
    place.folder().map_or_else(|_| "the store".to_owned(), |folder| folder.display().to_string())
}

/// Serves a store while a command of this tool has it open.
///
/// If that fails, the command continues without.
pub(crate) fn beside(store: &Store) -> Option<Server> {
    // Stores without a folder are shared anyway.
    store.path()?;
    let server = Server::builder(store).control_socket().and_then(|server| server.start());
    server.inspect_err(|error| say(&format!("other commands must wait for this one: {error}"))).ok()
}
