//! Properties of every state, and of some.

use stateright::Property;

use super::Bounds;
use super::world::{PERIOD, PROCESS, World};
use crate::model::item;
use crate::model::ownership::Decision;
use crate::model::run;
use crate::proto::State;
use crate::proto::record::{Owner, RunStatus};
use crate::record::Key;
use crate::store::Versioned;

pub(super) const ONE_OWNER: &str = "at most one holds the process and is not lapsed";
pub(super) const ONLY_THE_OWNER_WRITES: &str = "no write of a lost owner lands";
pub(super) const LAPSES_FIRST: &str = "an owner is lapsed before another takes over";
pub(super) const STAYS_DONE: &str = "an item whose end was acknowledged stays completed in its run";
pub(super) const THE_DEAD_ARE_REPLACED: &str = "once the timeout has passed, a claim wins the process";

/// Two writes begin and end the item.
const COMPLETED: &str = "a run has finished, with the item completed in it";

pub(super) fn all(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let completes = bounds.writes > 1;
    all_of_any().into_iter().filter(|property| completes || property.name != COMPLETED).collect()
}

fn all_of_any() -> Vec<Property<Bounds>> {
    vec![
        Property::always(ONE_OWNER, |bounds, world: &World| {
            world.claimers.iter().filter(|claimer| claimer.is_sure(bounds, world.mono)).count() <= 1
        }),
        Property::always(ONLY_THE_OWNER_WRITES, |_, world: &World| !world.seen.a_lost_owner_wrote),
        Property::always(LAPSES_FIRST, |_, world: &World| !world.seen.a_live_owner_was_replaced),
        Property::always(STAYS_DONE, |_, world: &World| stays_done(world)),
        Property::always(THE_DEAD_ARE_REPLACED, the_dead_are_replaced),
        Property::sometimes("a run is resumed by another owner", |_, world: &World| {
            world.claimers.iter().flat_map(|claimer| &claimer.run).any(|run| run.is_resumed())
        }),
        Property::sometimes("a lost owner is about to write", |_, world: &World| {
            world.claimers.iter().any(|claimer| claimer.is_fenced_off(world))
        }),
        Property::sometimes(COMPLETED, |_, world: &World| {
            let status: Versioned<RunStatus> = world.store.get(&Key::status(PROCESS));
            status.is_present() && !run::is_unfinished(&status.value) && !world.seen.completed_in.is_empty()
        }),
    ]
}

/// A later run may repeat it.
fn stays_done(world: &World) -> bool {
    let work = world.item();
    let is_completed = item::status(&work).is_some_and(|status| status.state() == State::Completed);
    world.seen.completed_in.iter().all(|run| work.run > *run || (work.run == *run && is_completed))
}

/// Whatever stalls: a claim from now on wins the process, or learns when it will be available,
/// within a period.
fn the_dead_are_replaced(bounds: &Bounds, world: &World) -> bool {
    let mut later = world.clone();
    later.pass(bounds.timeout);
    let owner: Versioned<Owner> = later.store.get(&Key::owner(PROCESS));
    let status: Versioned<RunStatus> = later.store.get(&Key::status(PROCESS));
    match later.decide(bounds, &owner, &status) {
        Decision::Start | Decision::Resume => true,
        Decision::NotDue { at } => at.duration_since(later.now()).unsigned_abs() <= PERIOD,
        Decision::Held { .. } => false,
    }
}
