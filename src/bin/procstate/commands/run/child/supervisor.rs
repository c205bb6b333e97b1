//! Who watches a running command.

/// What a running command is asked, and told of.
pub(crate) trait Supervisor {
    /// Takes what the command has written.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// Whether it should stop, and how soon. Asked often.
    fn must_stop(&mut self) -> Urgency;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    GoOn,
    Stop,
    /// Without time to clean up.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
