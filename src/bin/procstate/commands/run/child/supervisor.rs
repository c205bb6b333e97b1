//! The supervision of a running command.

/// Receives the output of a running command, and decides when it stops.
pub(crate) trait Supervisor {
    /// Receives output.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// Returns whether and how urgently it must stop. Called often.
    fn must_stop(&mut self) -> Urgency;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    GoOn,
    Stop,
    /// Immediately, without time to clean up.
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
