//! Panics that are caught.

use std::panic;

/// Suppresses the message of panics that the library catches.
///
/// Reading a damaged index may make sled panic, which the library turns into an error; the default
/// message would only mislead.
pub(crate) fn say_nothing_of_caught_ones() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let is_caught = panic.location().is_some_and(|location| location.file().contains("/sled-"));
        if is_caught {
            tracing::debug!(%panic, "caught");
        } else {
            usual(panic);
        }
    }));
}
