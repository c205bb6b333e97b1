//! Serving a store.

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
use crate::open;
use crate::terminal::output::{Output, say};

/// How long the answers that are under way may take at the end.
const END_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) fn serve(
    db: &Path,
    args: &Serve,
    token_file: Option<&Path>,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("could not serve {}: {error}", db.display()));
    let mut options = Options::new().read_only(args.read_only);
    if let Some(token) = open::token(token_file)? {
        options = options.token(token);
    }
    // Before anybody could send one.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let store = open::existing(db).map_err(|error| Failure::failed(&error))?;
    let server = Server::builder(&store).options(options).control_socket().map_err(failed)?;
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
    say(&format!("serving {}; interrupt it to end", db.display()));
    signals.forever().next();
    server.shutdown(END_TIME_MAX);
    store.close()?;
    Ok(CommandStatus::Success)
}

/// Serves a store for as long as a command of this tool has it open. If that cannot be, the
/// command goes on without.
pub(crate) fn beside(store: &Store) -> Option<Server> {
    let server = Server::builder(store).control_socket().and_then(|server| server.start());
    server.inspect_err(|error| say(&format!("other commands must wait for this one: {error}"))).ok()
}
