//! How a command ends.

use std::error::Error;
use std::{fmt, io};

/// The result of a command that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandStatus {
    Success,
    /// The requested name does not exist, or work was left undone.
    Findings,
    /// A run stopped because too many items failed.
    Limit,
    /// The program was interrupted.
    Interrupted,
}

impl CommandStatus {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Limit => 3,
            // As shells report a program killed by SIGINT.
            Self::Interrupted => 130,
        }
    }
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The requested name does not exist.
    Absent(String),
    /// It could not run.
    Failed(String),
    /// The output pipe is closed, which is not an error.
    ClosedPipe,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Absent(_) => 1,
            Self::Failed(_) => 2,
        }
    }

    pub(crate) fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::Failed(chain(error))
    }
}

/// Formats an error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl From<procstate::Error> for Failure {
    fn from(error: procstate::Error) -> Self {
        if error.is_not_found() { Self::Absent(chain(&error)) } else { Self::failed(&error) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Failed(format!("could not write the output: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(text) | Self::Failed(text) => f.write_str(text),
            Self::ClosedPipe => f.write_str("the output pipe is closed"),
        }
    }
}
