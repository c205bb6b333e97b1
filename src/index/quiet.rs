//! Panics that are caught say nothing.
//!
//! sled panics on damaged files. That is caught and becomes an error; what the program's
//! panic hook would print of it, or send to whoever is on call, would only frighten.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught here.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call` and catches its panic, of which the program's hook does not hear.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    install();
    let before = IS_CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    outcome
}

/// Puts a hook before the one that the program has then, once. One that the program sets
/// later hears of all panics again.
fn install() {
    static INSTALLED: Once = Once::new();
    // A thread that panics may not change the hook.
    if INSTALLED.is_completed() || std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| panic::set_hook(before(panic::take_hook())));
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// A hook that passes on to the `usual` one what is not caught.
fn before(usual: Hook) -> Hook {
    Box::new(move |panic| {
        // The thread may be ending.
        if IS_CAUGHT.try_with(Cell::get).unwrap_or(false) {
            tracing::debug!(%panic, "caught");
        } else {
            usual(panic);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_is_caught_does_not_reach_the_hook() {
        let (heard, own) = (Arc::new(AtomicUsize::new(0)), std::thread::current().id());
        let others = panic::take_hook();
        let counted = heard.clone();
        panic::set_hook(before(Box::new(move |panic| {
            if std::thread::current().id() == own {
                counted.fetch_add(1, Ordering::SeqCst);
            } else {
                others(panic);
            }
        })));
        let panicked = catch(|| catch(|| panic!("within")).is_err() && panic!("caught")).is_err();
        let within = heard.load(Ordering::SeqCst);
        let passed_on = panic::catch_unwind(|| panic!("of the program's own")).is_err();
        // Failures are told of again.
        drop(panic::take_hook());
        assert!(panicked && passed_on && within == 0, "{within}");
        assert_eq!(heard.load(Ordering::SeqCst), 1);
    }
}
