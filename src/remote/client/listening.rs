//! Whether the commits of the other program are announced here.

/// Whether commits are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    NotYet,
    Since,
}
