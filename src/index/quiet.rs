//! Suppresses the output of panics that are caught.
//!
//! sled panics on damaged files. The index catches that and returns an error; the output of the
//! program's panic hook, or the alarm that it raises, would only mislead.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// Whether panics of this thread are caught here.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call` and catches its panic, hiding it from the program's hook.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    install();
    let before = IS_CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    outcome
}

/// Installs a hook in front of the program's current one, once.
///
/// A hook that the program sets later sees all panics again.
fn install() {
    static INSTALLED: Once = Once::new();
    // A panicking thread may not change the hook.
    if INSTALLED.is_completed() || std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| panic::set_hook(before(panic::take_hook())));
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// Returns a hook that passes uncaught panics on to the `usual` one.
fn before(usual: Hook) -> Hook {
    Box::new(move |panic| {
        // The thread may be exiting.
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
    fn caught_panics_do_not_reach_the_hook() {
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
        // Restores the reporting of test failures.
        drop(panic::take_hook());
        assert!(panicked && passed_on && within == 0, "{within}");
        assert_eq!(heard.load(Ordering::SeqCst), 1);
    }
}
