//! What can go wrong, told to the person who has to act on it.

use std::any::Any;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::{fmt, io};

use jiff::Timestamp;

/// The result of most calls of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call failed. The text says what failed, on what, and what to do next; the
/// predicates say which kind of failure it is.
///
/// Nothing of what the failed call would have written is visible, unless the
/// call says otherwise.
///
/// ```
/// use procstate::{Error, Store};
///
/// /// What a service answers for a failed call of the store.
/// fn status(error: &Error) -> u16 {
///     match error {
///         error if error.is_not_found() => 404,
///         error if error.is_invalid() => 400,
///         error if error.is_conflict() || error.is_exists() || error.is_precondition_failed() => 409,
///         error if error.is_disk_full() => 507,
///         // Open the store again, once the cause is gone; look before trying again.
///         error if error.is_poisoned() || error.is_closed() || error.is_uncertain() => 503,
///         error if error.is_locked() || error.is_unreachable() => 503,
///         error if error.is_corrupt() => 500,
///         _ => 500,
///     }
/// }
///
/// let error = Store::in_memory().process("gckeys")?.work("project-1").unwrap_err();
/// assert_eq!(status(&error), 404);
/// # Ok::<(), procstate::Error>(())
/// ```
pub struct Error {
    failure: Box<Failure>,
}

/// Every way to fail, with its text. One list, so that the texts can be read in
/// one sitting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{what} name {name:?} cannot be used: {why}")]
    Name { what: &'static str, name: String, why: String },

    #[error("invalid argument: {0}")]
    Argument(String),

    #[error("process {process:?} cannot be stored: {why}")]
    InvalidProcess { process: String, why: String },

    #[error("{record} would take {bytes} bytes; the limit is {limit}. Nothing was written")]
    TooLarge { record: String, bytes: usize, limit: usize },

    #[error(
        "there is no process {process:?} in this store; register work for it or change its settings to create it"
    )]
    NoProcess { process: String },

    #[error(
        "process {process:?} is already in this store; ask for it to be replaced if that is what you want. Nothing was written"
    )]
    Exists { process: String },

    #[error(
        "there is no active work {work:?} in process {process:?}; `procstate work NAME` lists what there is. Nothing was changed"
    )]
    NoWork { process: String, work: String },

    #[error("{record} was to be changed {expected}, but {found}; read it again. Nothing was changed")]
    Precondition { record: String, expected: String, found: String },

    #[error("process {process:?} was taken away{}; this run writes no more", by_since(.by, .since))]
    Conflict { process: String, by: String, since: Option<Timestamp> },

    #[error("process {process:?} is held by {by:?}{} and its run shows life; wait for it to finish", since_text(.since))]
    Held { process: String, by: String, since: Option<Timestamp> },

    #[error("the run on process {process:?} has ended; claim the process again to go on")]
    RunEnded { process: String },

    #[error("store {} is in use by {holder}; only one program can have a store open at a time", .path.display())]
    Locked { path: PathBuf, holder: String },

    #[error("there is no store at {}: check its name. Only if it is to be a new one, create it with `procstate --db {} init` or by opening it from a program", .path.display(), .path.display())]
    NoStore { path: PathBuf },

    #[error("{} is not a procstate store: {why}", .path.display())]
    NotAStore { path: PathBuf, why: String },

    #[error("store {} has format {found}, and this version of procstate reads formats up to {supported}; use a newer version. Nothing was changed", .path.display())]
    NewerFormat { path: PathBuf, found: u32, supported: u32 },

    #[error("{place} is damaged: {why}")]
    Corrupt { place: String, why: String },

    #[error(
        "the log is damaged: {} at byte {offset}: {why}. It held commits from {first} on, at least to {last}, which the index does not have. Nothing was changed. Put back what was moved or deleted, or restore a backup (`procstate restore FILE --into NEWDIR`); `procstate verify` tells what is wrong, and `procstate salvage --output NEWDIR` makes a new store of all that can still be read", .path.display()
    )]
    LogDamaged { path: PathBuf, offset: u64, why: String, first: u64, last: u64 },

    #[error("the disk of {} is full ({source}). Nothing was written; the store can be read, and written to again once there is space", .path.display())]
    DiskFull { path: PathBuf, source: io::Error },

    #[error(
        "there is no room in {} for a private copy of the index: it takes {needed} bytes, and {free} are free. Nothing was changed. Make room, or name a folder on a disk with room (`--scratch DIR`, TMPDIR=DIR)", .path.display()
    )]
    NoRoom { path: PathBuf, needed: u64, free: u64 },

    #[error(
        "store {place} was stopped by an earlier error, to protect what it holds: {cause}. Remove the cause and open the store again; every acknowledged durable write is kept"
    )]
    Poisoned { place: String, cause: String },

    #[error("could not {action} {}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    #[error("{place} could not {action}: {why}")]
    Storage { place: String, action: &'static str, why: String },

    #[error("the runner of process {process:?} cannot work: {why}")]
    Runner { process: String, why: String },

    #[error(
        "the schedule of process {process:?} cannot be used: {why}; give it another (`set_cron`, `set_schedule`, `procstate settings NAME --cron EXPR`), or none"
    )]
    Schedule { process: String, why: String },

    #[error("the store was closed")]
    Closed,

    #[error("{text}")]
    #[cfg_attr(not(any(feature = "etcd", feature = "http")), allow(dead_code, reason = "elsewhere"))]
    Remote { trouble: Trouble, text: String },

    #[error("{place} cannot be used: {why}")]
    #[cfg_attr(not(any(feature = "etcd", feature = "http")), allow(dead_code, reason = "elsewhere"))]
    Unreachable { place: String, why: String },

    #[error(
        "the connection to {place} was lost before it answered ({why}): the change may or may not have been written. Look at what it was about before you try it again"
    )]
    #[cfg_attr(not(any(feature = "etcd", feature = "http")), allow(dead_code, reason = "elsewhere"))]
    Uncertain { place: String, why: String },

    #[cfg(feature = "json")]
    #[error("{source_name}{position}: {why}")]
    Input { source_name: String, position: String, why: String },
}

/// What kind of failure another program told of.
#[cfg_attr(not(any(feature = "etcd", feature = "http")), allow(dead_code, reason = "elsewhere"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Other,
    Corrupt,
    Poisoned,
    DiskFull,
    Invalid,
    #[cfg_attr(not(feature = "etcd"), allow(dead_code, reason = "only etcd tells of it"))]
    NotFound,
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// What is wrong, without the advice that goes with an error of opening: for where it is
/// one of several things, and others decide what that means.
pub(crate) fn reason(error: &Error) -> String {
    match error.failure() {
        Failure::LogDamaged { path, offset, why, first, last } => {
            format!(
                "{} at byte {offset}: {why}; commits {first} to {last} at least are needed",
                path.display()
            )
        }
        Failure::Corrupt { place, why } => format!("{place}: {why}"),
        _ => chain(error),
    }
}

/// What a panic said.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            // Dropping a stranger's value could panic again.
            std::mem::forget(payload);
            "a panic without a text".to_owned()
        }
    }
}

fn by_since(by: &str, since: &Option<Timestamp>) -> String {
    if by.is_empty() {
        return ": its lock was released, or an import replaced it".to_owned();
    }
    format!(" by {by:?}{}", since_text(since))
}

fn since_text(since: &Option<Timestamp>) -> String {
    since.map(|since| format!(" since {since}")).unwrap_or_default()
}

impl Error {
    /// Another instance owns the process: the run that asked has lost it, or the
    /// call needs a process that nobody holds.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(*self.failure, Failure::Conflict { .. } | Failure::Held { .. })
    }

    /// Stored bytes are not what was written.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.is_remote(Trouble::Corrupt)
            || matches!(*self.failure, Failure::Corrupt { .. } | Failure::LogDamaged { .. })
    }

    /// Another program, or another `Store` of this one, has the store open.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(*self.failure, Failure::Locked { .. })
    }

    /// The store stopped at an earlier error and must be opened again.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        matches!(*self.failure, Failure::Poisoned { .. }) || self.is_remote(Trouble::Poisoned)
    }

    /// The process, the work or the store that was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(*self.failure, Failure::NoProcess { .. } | Failure::NoWork { .. } | Failure::NoStore { .. })
            || self.is_remote(Trouble::NotFound)
    }

    /// What was to be changed is not as the caller's
    /// [`Precondition`](crate::Precondition) says: somebody else has changed it.
    #[must_use]
    pub fn is_precondition_failed(&self) -> bool {
        matches!(*self.failure, Failure::Precondition { .. })
    }

    /// The disk, or the space of etcd, is full. Nothing was written, and the store can still be read.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(*self.failure, Failure::DiskFull { .. } | Failure::NoRoom { .. })
            || self.is_remote(Trouble::DiskFull)
    }

    /// The connection to the program that has the store open was lost before it answered:
    /// the change may or may not have been written.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(*self.failure, Failure::Uncertain { .. })
    }

    /// Nobody serves the store where it was asked for, or not so that this program can use
    /// it. Nothing was written.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(*self.failure, Failure::Unreachable { .. })
    }

    /// The store was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.failure, Failure::Closed)
    }

    /// The process is already there.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(*self.failure, Failure::Exists { .. })
    }

    /// The caller's input is at fault: a name, a message, a size.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match *self.failure {
            Failure::Name { .. }
            | Failure::Argument(_)
            | Failure::InvalidProcess { .. }
            | Failure::TooLarge { .. } => true,
            #[cfg(feature = "json")]
            Failure::Input { .. } => true,
            Failure::Remote { trouble: Trouble::Invalid, .. } => true,
            _ => false,
        }
    }

    fn is_remote(&self, expected: Trouble) -> bool {
        matches!(*self.failure, Failure::Remote { trouble, .. } if trouble == expected)
    }

    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Failure::Io { action, path: path.into(), source }.into()
    }

    /// What a failed attempt to get ready for writing means: a full disk is no
    /// reason to stop the store.
    pub(crate) fn before_writing(self) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match *self.failure {
            Failure::Io { path, source, .. }
                if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
            {
                Failure::DiskFull { path, source }.into()
            }
            failure => failure.into(),
        }
    }

    /// The system did not let us.
    pub(crate) fn is_permission_denied(&self) -> bool {
        matches!(&*self.failure, Failure::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The system did not let us look, or has not the means: that says nothing of what is
    /// stored.
    pub(crate) fn is_of_the_system(&self) -> bool {
        /// sled tells of them in text only.
        const TEXTS: [&str; 6] = [
            "No space left",
            "Read-only file system",
            "Permission denied",
            "Too many open files",
            "Cannot allocate memory",
            "acquire lock",
        ];
        match &*self.failure {
            Failure::Io { source, .. } => {
                use io::ErrorKind::{OutOfMemory, PermissionDenied, ReadOnlyFilesystem};
                let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
                matches!(source.kind(), OutOfMemory | PermissionDenied | ReadOnlyFilesystem)
                    || too_many.iter().any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
            }
            Failure::Storage { why, .. } => TEXTS.iter().any(|text| why.contains(text)),
            Failure::DiskFull { .. } | Failure::NoRoom { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn argument(why: impl Into<String>) -> Self {
        Failure::Argument(why.into()).into()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure) }
    }
}

/// The text with its causes, in one line: a `main` that returns the error shows it to
/// people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.failure, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_kept() {
        let text = |panic: fn()| panic_text(std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("{}", 5)), "5");
        assert_eq!(text(|| std::panic::panic_any(5)), "a panic without a text");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = Error::io("write", "/state", io::Error::other("the disk is full"));
        assert_eq!(chain(&error), "could not write /state: the disk is full");
        assert_eq!(format!("{error:?}"), "could not write /state: the disk is full");
    }
}
