//! The verification in the background, which precedes the first checkpoint.

use std::time::Instant;

use super::checkpointer::Checkpointer;
use crate::engine::durable::open;
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;

impl Checkpointer {
    /// Verifies the store, if that is due, and lets commits continue; poisons it if there is damage.
    ///
    /// Stopping the thread interrupts it.
    pub(crate) fn verify(&self, index: &dyn IndexBackend) -> Result<()> {
        let shared = &self.shared;
        if !shared.verification.is_pending() {
            return Ok(());
        }
        let began = Instant::now();
        tracing::info!("verifying the store; commits wait");
        let verified = open::verify(&shared.files, index, &|| shared.checkpoint_thread.is_stopped());
        if let Ok(false) = verified {
            return Ok(());
        }
        let done = verified.and_then(|_| shared.files.verifying.remove());
        if done.is_ok() {
            tracing::info!(took = ?began.elapsed(), "the store is verified");
            self.release_covered_log();
        }
        let done = done.inspect_err(|error| shared.poison.poison(error));
        shared.verification.end();
        self.commits.end_verification();
        done
    }
}
