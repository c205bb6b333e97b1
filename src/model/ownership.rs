//! Who may run a process now.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::{self, Due};
use super::{run, time};
use crate::proto::record::{RunStatus, Settings};

/// What a claim goes by.
#[derive(Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) now: Timestamp,
    /// How long the owner may still go without a sign of life; `None` for an
    /// owner that is dead or has finished.
    pub(crate) owner_lives_for: Option<Duration>,
    pub(crate) status: Option<&'a RunStatus>,
    pub(crate) settings: &'a Settings,
    /// The version of the settings record.
    pub(crate) settings_version: u64,
    /// The caller wants a run whether or not one is due.
    pub(crate) forced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another instance is on it; if it shows no life, until this time.
    Held {
        until: Timestamp,
    },
    NotDue {
        at: Timestamp,
    },
    /// A run is to begin.
    Start,
    /// A run that never finished is to go on.
    Resume,
}

pub(crate) fn decide(situation: &Situation<'_>) -> Decision {
    let now = situation.now;
    let unfinished = situation.status.is_some_and(run::is_unfinished);
    if let Some(lives_for) = situation.owner_lives_for
        && unfinished
    {
        return Decision::Held { until: now.saturating_add(lives_for).unwrap_or(Timestamp::MAX) };
    }
    if unfinished {
        return Decision::Resume;
    }
    if situation.forced || situation.status.is_some_and(|status| settings_changed(situation, status)) {
        return Decision::Start;
    }
    match schedule::due(time::period(&situation.settings.schedule_frequency), last_start(situation), now) {
        Due::Now => Decision::Start,
        Due::At(at) => Decision::NotDue { at },
    }
}

fn last_start(situation: &Situation<'_>) -> Option<Timestamp> {
    time::read(&situation.status?.status.as_ref()?.start_time)
}

/// Whether the settings changed after the latest run started. Sequence numbers
/// tell, whatever the clocks did; for a run that came in by import only its
/// times can.
fn settings_changed(situation: &Situation<'_>, status: &RunStatus) -> bool {
    if status.run != 0 {
        return situation.settings_version >= status.run;
    }
    match (time::read(&situation.settings.settings_time), last_start(situation)) {
        (Some(changed), Some(started)) => changed > started,
        (changed, _) => changed.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{period_to_wire, to_wire};
    use crate::proto::Status;

    const LIFE: Option<Duration> = Some(Duration::from_secs(30));

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn started(text: &str, run: u64) -> RunStatus {
        let status = Status { start_time: Some(to_wire(at(text))), ..Status::default() };
        RunStatus { status: Some(status), run, ..RunStatus::default() }
    }

    fn finished(text: &str, run: u64) -> RunStatus {
        let mut status = started(text, run);
        let inner = status.status.as_mut().unwrap();
        inner.finish_time = inner.start_time;
        status
    }

    fn hourly() -> Settings {
        Settings { schedule_frequency: period_to_wire(Duration::from_secs(3600)), ..Settings::default() }
    }

    fn situation<'a>(status: Option<&'a RunStatus>, settings: &'a Settings) -> Situation<'a> {
        Situation {
            now: at("2026-01-01T10:30:00Z"),
            owner_lives_for: None,
            status,
            settings,
            settings_version: 1,
            forced: false,
        }
    }

    #[test]
    fn a_live_owner_holds_even_against_force_and_a_new_slot() {
        let (status, settings) = (started("2026-01-01T08:00:00Z", 5), hourly());
        let situation =
            Situation { owner_lives_for: LIFE, forced: true, ..situation(Some(&status), &settings) };
        assert_eq!(decide(&situation), Decision::Held { until: at("2026-01-01T10:30:30Z") });
    }

    #[test]
    fn a_dead_owner_is_taken_over_in_its_own_slot() {
        let (status, settings) = (started("2026-01-01T10:29:59Z", 5), hourly());
        assert_eq!(decide(&situation(Some(&status), &settings)), Decision::Resume);
    }

    #[test]
    fn a_finished_run_is_not_held_and_not_due_in_its_slot() {
        let (status, settings) = (finished("2026-01-01T10:00:00Z", 5), hourly());
        let situation = Situation { owner_lives_for: LIFE, ..situation(Some(&status), &settings) };
        assert_eq!(decide(&situation), Decision::NotDue { at: at("2026-01-01T11:00:00Z") });
        assert_eq!(decide(&Situation { forced: true, ..situation }), Decision::Start);
    }

    #[test]
    fn changed_settings_make_it_due() {
        let (status, settings) = (finished("2026-01-01T10:00:00Z", 5), hourly());
        let changed = Situation { settings_version: 5, ..situation(Some(&status), &settings) };
        assert_eq!(decide(&changed), Decision::Start);
        let before = Situation { settings_version: 4, ..situation(Some(&status), &settings) };
        assert!(matches!(decide(&before), Decision::NotDue { .. }));
    }

    #[test]
    fn imported_state_goes_by_its_times() {
        let (status, mut settings) = (finished("2026-01-01T10:00:00Z", 0), hourly());
        settings.settings_time = Some(to_wire(at("2026-01-01T09:59:59Z")));
        let decision = |settings: &Settings| {
            decide(&Situation { settings_version: 99, ..situation(Some(&status), settings) })
        };
        assert!(matches!(decision(&settings), Decision::NotDue { .. }));
        settings.settings_time = Some(to_wire(at("2026-01-01T10:00:01Z")));
        assert_eq!(decision(&settings), Decision::Start);
    }

    #[test]
    fn without_a_run_or_a_schedule_it_is_due() {
        assert_eq!(decide(&situation(None, &hourly())), Decision::Start);
        let status = finished("2026-01-01T10:30:00Z", 5);
        assert_eq!(decide(&situation(Some(&status), &Settings::default())), Decision::Start);
    }
}
