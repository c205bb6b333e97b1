//! Calls that return one message.

use super::super::protocol::PROTOCOL;
use super::super::wire;
use super::Service;
use crate::engine::{Durability, Outcome};
use crate::error::Result;
use crate::proto::engine as proto;
use crate::proto::engine::committed;
use crate::proto::record::Owner;

pub(super) fn hello(service: &Service, _: proto::Hello) -> Result<proto::Welcome> {
    Ok(proto::Welcome {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        opening: service.liveness().opening().to_owned(),
        read_only: service.is_read_only,
        last_seq: service.engine().newest_seq()?,
    })
}

pub(super) fn get(service: &Service, get: proto::Get) -> Result<proto::Found> {
    let record = service.engine().get(&wire::key(get.key)?)?;
    Ok(proto::Found { record: record.map(wire::record) })
}

pub(super) fn count(service: &Service, count: proto::Count) -> Result<proto::Counted> {
    let records = service.engine().count(&wire::range(count.start, count.end))?;
    Ok(proto::Counted { records })
}

pub(super) fn commit(service: &Service, commit: proto::Commit) -> Result<proto::Committed> {
    let durability = if commit.synced { Durability::Synced } else { Durability::Buffered };
    let outcome = match service.engine().commit(wire::to_batch(commit)?, durability)? {
        Outcome::Committed(seq) => committed::Outcome::Seq(seq),
        Outcome::Failed(index) => committed::Outcome::Failed(index as u64),
    };
    Ok(proto::Committed { outcome: Some(outcome) })
}

pub(super) fn sync(service: &Service, _: proto::Sync) -> Result<proto::Done> {
    service.engine().sync()?;
    Ok(proto::Done {})
}

pub(super) fn stats(service: &Service, _: proto::Hello) -> Result<proto::Stats> {
    Ok(wire::stats(&service.engine().stats()?))
}

pub(super) fn life(service: &Service, life: proto::Life) -> Result<proto::Lives> {
    let owner = Owner { opening: life.opening, claim: life.claim, ..Owner::default() };
    let left = service.liveness().lives_for(&owner, None, service.store.inner.clock.monotonic())?;
    Ok(proto::Lives { left: left.map(wire::duration) })
}
