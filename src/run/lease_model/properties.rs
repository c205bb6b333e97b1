//! Properties of every state, and of some.

use stateright::Property;

use super::Bounds;
use super::world::{PROCESS, World};
use crate::model::ownership::Decision;
use crate::proto::record::Owner;
use crate::record::Key;
use crate::store::Versioned;

pub(super) const ONE_OWNER: &str = "at most one holds the process and is not lapsed";
pub(super) const ONLY_THE_OWNER_WRITES: &str = "no write of a lost owner lands";
pub(super) const LAPSES_FIRST: &str = "an owner is lapsed before another takes over";
pub(super) const ONCE: &str = "no write lands twice";
pub(super) const TOLD_TRULY: &str = "what was refused does not land, and what was accepted has";
pub(super) const THE_DEAD_ARE_REPLACED: &str = "once the lease has ended, a claim wins the process";

pub(super) fn all(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let mut properties = vec![
        Property::always(ONE_OWNER, |bounds: &Bounds, world: &World| {
            world.claimers.iter().filter(|claimer| claimer.is_sure(bounds, world.now)).count() <= 1
        }),
        Property::always(ONLY_THE_OWNER_WRITES, |_, world: &World| !world.seen.a_lost_owner_wrote),
        Property::always(LAPSES_FIRST, |_, world: &World| !world.seen.a_live_owner_was_replaced),
        Property::always(ONCE, |_, world: &World| !world.seen.a_write_landed_twice),
        Property::always(TOLD_TRULY, |_, world: &World| {
            !world.seen.a_refused_write_landed && !world.seen.an_accepted_write_is_not_there
        }),
        Property::always(THE_DEAD_ARE_REPLACED, |bounds: &Bounds, world: &World| {
            let later = world.later(bounds);
            let owner: Versioned<Owner> = later.store.get(&Key::owner(PROCESS));
            let lives = later.owner_lives(bounds, &owner.value);
            let status = later.store.get(&Key::status(PROCESS));
            matches!(later.decide(lives, &status), Decision::Start | Decision::Resume)
        }),
        Property::sometimes("a run is resumed by another owner", |_, world: &World| {
            world.claimers.iter().flat_map(|claimer| &claimer.run).any(|run| run.is_resumed())
        }),
        Property::sometimes("a lost owner is about to write", |_, world: &World| {
            world.claimers.iter().any(|claimer| claimer.is_fenced_off(world))
        }),
    ];
    if bounds.waits {
        properties
            .push(Property::sometimes("an owner is replaced before its lease ends", |_, world: &World| {
                world.seen.a_silent_owner_was_replaced
            }));
    }
    if bounds.losses > 0 {
        properties.extend([
            Property::sometimes("a commit in doubt had landed", |_, world: &World| {
                world.seen.a_doubt_was_landed
            }),
            Property::sometimes("a commit in doubt had not landed", |_, world: &World| {
                world.seen.a_doubt_was_not_landed
            }),
        ]);
    }
    properties
}
