//! The error type and every message it can carry.

use std::any::Any;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::{fmt, io};

use jiff::Timestamp;

/// The result of most calls of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call.
///
/// The text says what failed, on what, and what to do next; the predicates tell the kind of
/// failure.
///
/// A failed call leaves none of its writes visible, unless its documentation says otherwise.
///
/// ```
/// use procstate::{Error, Store};
///
/// /// The HTTP status of a failed call.
/// fn status(error: &Error) -> u16 {
///     match error {
///         error if error.is_not_found() => 404,
///         error if error.is_invalid() => 400,
///         error if error.is_conflict() || error.is_exists() || error.is_precondition_failed() => 409,
///         error if error.is_disk_full() => 507,
///         // Remove the cause, reopen the store, and check its state before a retry.
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

/// Every kind of failure with its text, in one list so that the texts can be reviewed together.
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
        "process {process:?} is already in this store; to overwrite it, ask for it to be replaced. Nothing was written"
    )]
    Exists { process: String },

    #[error(
        "there is no active work {work:?} in process {process:?}; `procstate work NAME` lists what there is. Nothing was changed"
    )]
    NoWork { process: String, work: String },

    #[error("{record} should change {expected}, but {found}; read it again. Nothing was changed")]
    Precondition { record: String, expected: String, found: String },

    #[error("process {process:?} was taken from this run{}; it can no longer write", by_since(.by, .since))]
    Conflict { process: String, by: String, since: Option<Timestamp> },

    #[error("process {process:?} is held by {by:?}{}, whose run is alive; wait for it to finish", since_text(.since))]
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
        "the log is damaged: {} at byte {offset}: {why}. It held commits from {first} on, at least to {last}, which the index does not have. Nothing was changed. Restore what was moved or deleted, or a backup (`procstate restore FILE --into NEWDIR`); `procstate verify` lists the damage, and `procstate salvage --output NEWDIR` copies everything still readable into a new store", .path.display()
    )]
    LogDamaged { path: PathBuf, offset: u64, why: String, first: u64, last: u64 },

    #[error("the disk of {} is full ({source}). Nothing was written; the store stays readable, and accepts writes again once there is space", .path.display())]
    DiskFull { path: PathBuf, source: io::Error },

    #[error(
        "there is not enough space in {} for a private copy of the index: it takes {needed} bytes, and {free} are free. Nothing was changed. Free some space, or name a folder on another disk (`--scratch DIR`, TMPDIR=DIR)", .path.display()
    )]
    NoRoom { path: PathBuf, needed: u64, free: u64 },

    #[error(
        "store {place} was stopped by an earlier error to protect its data: {cause}. Remove the cause and open the store again; every acknowledged durable write is kept"
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
        "the connection to {place} was lost before it answered ({why}): the change may or may not have been written. Check its effect before you retry"
    )]
    #[cfg_attr(not(any(feature = "etcd", feature = "http")), allow(dead_code, reason = "elsewhere"))]
    Uncertain { place: String, why: String },

    #[cfg(feature = "json")]
    #[error("{source_name}{position}: {why}")]
    Input { source_name: String, position: String, why: String },
}

/// The kind of failure that another program reported.
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

/// Formats an error and its causes on one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Returns the cause without the advice that errors of opening give, for reports that list several
/// findings and give their own advice.
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

/// Returns the message of a panic.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            // Dropping a value of a foreign type could panic again.
            std::mem::forget(payload);
            "a panic without a message".to_owned()
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
    /// Reports whether another instance owns the process: the run has lost it, or the call needs a
    /// process that is not held.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(*self.failure, Failure::Conflict { .. } | Failure::Held { .. })
    }

    /// Reports whether stored bytes differ from what was written.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.is_remote(Trouble::Corrupt)
            || matches!(*self.failure, Failure::Corrupt { .. } | Failure::LogDamaged { .. })
    }

    /// Reports whether another program, or another `Store` of this one, has the store open.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(*self.failure, Failure::Locked { .. })
    }

    /// Reports whether the store stopped after an earlier error and must be opened again.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        matches!(*self.failure, Failure::Poisoned { .. }) || self.is_remote(Trouble::Poisoned)
    }

    /// Reports whether the requested process, work item or store does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(*self.failure, Failure::NoProcess { .. } | Failure::NoWork { .. } | Failure::NoStore { .. })
            || self.is_remote(Trouble::NotFound)
    }

    /// Reports whether the caller's [`Precondition`](crate::Precondition) failed because the record
    /// has changed.
    #[must_use]
    pub fn is_precondition_failed(&self) -> bool {
        matches!(*self.failure, Failure::Precondition { .. })
    }

    /// Reports whether the disk, or the quota of etcd, is full. Nothing was written, and the store
    /// can still be read.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(*self.failure, Failure::DiskFull { .. } | Failure::NoRoom { .. })
            || self.is_remote(Trouble::DiskFull)
    }

    /// Reports whether the connection to the program that has the store open was lost before the
    /// answer arrived. The change may or may not have been written.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(*self.failure, Failure::Uncertain { .. })
    }

    /// Reports whether no compatible server could be reached. Nothing was written.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(*self.failure, Failure::Unreachable { .. })
    }

    /// Reports whether the store was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.failure, Failure::Closed)
    }

    /// Reports whether the process already exists.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(*self.failure, Failure::Exists { .. })
    }

    /// Reports whether the caller's input is invalid: a name, a message, a size.
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

    /// Converts the error of preparing a write. A full disk does not poison the store then.
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

    /// Reports whether the operating system denied access.
    pub(crate) fn is_permission_denied(&self) -> bool {
        matches!(&*self.failure, Failure::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Reports whether the operating system denied access or lacked resources, which says nothing
    /// about the stored data.
    pub(crate) fn is_of_the_system(&self) -> bool {
        /// sled reports these as text only.
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

/// Formats the text with its causes on one line, since a `main` that returns the error shows this
/// form to people.
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
    fn the_message_of_a_panic_is_kept() {
        let text = |panic: fn()| panic_text(std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("{}", 5)), "5");
        assert_eq!(text(|| std::panic::panic_any(5)), "a panic without a message");
    }

    #[test]
    fn errors_display_their_causes() {
        let error = Error::io("write", "/state", io::Error::other("the disk is full"));
        assert_eq!(chain(&error), "could not write /state: the disk is full");
        assert_eq!(format!("{error:?}"), "could not write /state: the disk is full");
    }
}
