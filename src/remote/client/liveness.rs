//! Liveness is decided by the program that has the store open.

use std::sync::Arc;
use std::time::Duration;

use super::super::wire;
use super::Wire;
use crate::engine::{Liveness, Pulse};
use crate::error::{Error, Result};
use crate::proto::engine as proto;
use crate::proto::record::Owner;

#[derive(Debug)]
pub(in super::super) struct RemoteLiveness {
    pub(super) wire: Arc<Wire>,
}

impl Liveness for RemoteLiveness {
    fn opening(&self) -> &str {
        self.wire.line.opening.get().map_or("", String::as_str)
    }

    fn begin(&self, _: Duration, _: Duration) -> Result<Arc<Pulse>> {
        Err(Error::argument(format!(
            "a process can be claimed only by the program that has its store open, and this one uses it through {}",
            self.wire.line.address
        )))
    }

    fn end(&self, _: u64) {}

    fn lives_for(&self, owner: &Owner, _: Option<u64>, _: Duration) -> Result<Option<Duration>> {
        if owner.opening != self.opening() {
            return Ok(None);
        }
        let life = proto::Life { opening: owner.opening.clone(), claim: owner.claim };
        let lives: proto::Lives = self.wire.read("life", &life)?;
        Ok(lives.left.map(|left| wire::to_duration(Some(left))))
    }
}
