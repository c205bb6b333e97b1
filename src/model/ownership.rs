//! Who may run a process now.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::{Due, Schedule};
use super::{run, run_limits, time};
use crate::proto::record::{RunStatus, Settings};

/// The facts that decide a claim.
#[derive(Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) now: Timestamp,
    /// How much longer the owner may go without a heartbeat; `None` for an owner that is dead or
    /// has finished.
    pub(crate) owner_lives_for: Option<Duration>,
    pub(crate) status: Option<&'a RunStatus>,
    pub(crate) settings: &'a Settings,
    /// The version of the settings record.
    pub(crate) settings_version: u64,
    pub(crate) terms: Terms,
}

/// What the caller of a claim asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Start a run whether or not one is due.
    pub(crate) forced: bool,
    /// The minimum time between the starts of two runs; `None`: use the settings.
    pub(crate) min_interval: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another instance holds the process, until this time unless it sends a heartbeat.
    Held {
        until: Timestamp,
    },
    NotDue {
        at: Timestamp,
    },
    /// Start a new run.
    Start,
    /// Resume a run that never finished.
    Resume,
}

/// Returns the monotonic time until which an owner whose last heartbeat was at `sign` counts as
/// alive.
///
/// Claimers and the owner itself both use it, so the owner knows that its claim has lapsed before
/// another instance can take over.
pub(crate) fn alive_until(sign: Duration, timeout: Duration) -> Duration {
    sign.saturating_add(timeout)
}

/// Decides a claim.
///
/// # Errors
///
/// Returns an error if the decision depends on a schedule that cannot be used.
pub(crate) fn decide(situation: &Situation<'_>) -> Result<Decision, String> {
    let now = situation.now;
    let unfinished = situation.status.is_some_and(run::is_unfinished);
    if let Some(lives_for) = situation.owner_lives_for
        && unfinished
    {
        let until = now.saturating_add(lives_for).unwrap_or(Timestamp::MAX);
        return Ok(Decision::Held { until });
    }
    if unfinished {
        return Ok(Decision::Resume);
    }
    if situation.terms.forced {
        return Ok(Decision::Start);
    }
    if is_requested(situation.settings, situation.status) {
        return Ok(Decision::Start);
    }
    let min_interval = match situation.terms.min_interval {
        Some(interval) => interval,
        None => run_limits::min_interval(situation.settings)?.unwrap_or_default(),
    };
    let rested = rested(min_interval, last_start(situation), now);
    Ok(match (rested, due(situation)?) {
        (Due::Now, Due::Now) => Decision::Start,
        (Due::At(at), Due::Now) | (Due::Now, Due::At(at)) => Decision::NotDue { at },
        (Due::At(one), Due::At(other)) => Decision::NotDue { at: one.max(other) },
    })
}

fn due(situation: &Situation<'_>) -> Result<Due, String> {
    let schedule = Schedule::read(situation.settings)?;
    if schedule.heeds_changes() {
        let has_changed = situation.status.is_some_and(|status| settings_changed(situation, status));
        let due = || schedule.due(last_start(situation), situation.now);
        return Ok(if has_changed { Due::Now } else { due() });
    }
    // Times before the schedule was set do not count.
    let set = time::read(&situation.settings.schedule_set);
    let never_run = || time::read(&situation.settings.settings_time);
    let since = last_start(situation).max(set).or_else(never_run);
    Ok(schedule.due(since, situation.now))
}

/// Reports whether a run was requested since the latest one began.
pub(crate) fn is_requested(settings: &Settings, latest: Option<&RunStatus>) -> bool {
    settings.run_requested != 0 && settings.run_requested >= latest.map_or(0, |run| run.run)
}

/// Reports whether a run that begins now only retries incomplete items, because it was requested
/// and is not due for another reason.
pub(crate) fn skips_completed(situation: &Situation<'_>) -> bool {
    let asked = is_requested(situation.settings, situation.status);
    let is_slot = || match Schedule::read(situation.settings) {
        Ok(Schedule::Always) | Err(_) => false,
        Ok(schedule) => schedule.due(last_start(situation), situation.now) == Due::Now,
    };
    asked && situation.settings.requested_skips_completed && !situation.terms.forced && !is_slot()
}

/// Returns when the minimum interval since the latest run ends.
///
/// A start that is ahead by the interval or more was recorded by a clock that has since been set
/// back, and is ignored.
fn rested(min_interval: Duration, last_start: Option<Timestamp>, now: Timestamp) -> Due {
    let add = |time: Timestamp| time.saturating_add(min_interval).unwrap_or(Timestamp::MAX);
    match last_start {
        Some(start) if now < add(start) && start < add(now) => Due::At(add(start)),
        _ => Due::Now,
    }
}

fn last_start(situation: &Situation<'_>) -> Option<Timestamp> {
    time::read(&situation.status?.status.as_ref()?.start_time)
}

/// Reports whether the settings changed after the latest run started.
///
/// Sequence numbers decide, independent of clocks; only imported runs are compared by time.
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
    use crate::proto::{Params, Status};

    const FORCED: Terms = Terms { forced: true, min_interval: None };
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
            terms: Terms::default(),
        }
    }

    fn decided(situation: &Situation<'_>) -> Decision {
        decide(situation).unwrap()
    }

    #[test]
    fn a_live_owner_holds_against_force_and_a_new_slot() {
        let (status, settings) = (started("2026-01-01T08:00:00Z", 5), hourly());
        let situation =
            Situation { owner_lives_for: LIFE, terms: FORCED, ..situation(Some(&status), &settings) };
        assert_eq!(decided(&situation), Decision::Held { until: at("2026-01-01T10:30:30Z") });
    }

    #[test]
    fn a_dead_owner_is_taken_over_in_its_own_slot() {
        let (status, settings) = (started("2026-01-01T10:29:59Z", 5), hourly());
        assert_eq!(decided(&situation(Some(&status), &settings)), Decision::Resume);
    }

    #[test]
    fn an_owner_is_alive_for_the_timeout_after_its_heartbeat() {
        let [sign, timeout] = [100, 30].map(Duration::from_secs);
        assert_eq!(alive_until(sign, timeout), Duration::from_secs(130));
        assert_eq!(alive_until(sign, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_finished_run_is_not_held_and_not_due_in_its_slot() {
        let (status, settings) = (finished("2026-01-01T10:00:00Z", 5), hourly());
        let situation = Situation { owner_lives_for: LIFE, ..situation(Some(&status), &settings) };
        assert_eq!(decided(&situation), Decision::NotDue { at: at("2026-01-01T11:00:00Z") });
        assert_eq!(decided(&Situation { terms: FORCED, ..situation }), Decision::Start);
    }

    #[test]
    fn changed_settings_make_it_due() {
        let (status, settings) = (finished("2026-01-01T10:00:00Z", 5), hourly());
        let changed = Situation { settings_version: 5, ..situation(Some(&status), &settings) };
        assert_eq!(decided(&changed), Decision::Start);
        let before = Situation { settings_version: 4, ..situation(Some(&status), &settings) };
        assert!(matches!(decided(&before), Decision::NotDue { .. }));
    }

    #[test]
    fn imported_state_is_judged_by_times() {
        let (status, mut settings) = (finished("2026-01-01T10:00:00Z", 0), hourly());
        settings.settings_time = Some(to_wire(at("2026-01-01T09:59:59Z")));
        let decision = |settings: &Settings| {
            decided(&Situation { settings_version: 99, ..situation(Some(&status), settings) })
        };
        assert!(matches!(decision(&settings), Decision::NotDue { .. }));
        settings.settings_time = Some(to_wire(at("2026-01-01T10:00:00Z")));
        assert!(matches!(decision(&settings), Decision::NotDue { .. }), "the run already has them");
        settings.settings_time = Some(to_wire(at("2026-01-01T10:00:01Z")));
        assert_eq!(decision(&settings), Decision::Start);
    }

    #[test]
    fn a_request_holds_until_a_run_begins_after_it() {
        let at_nine = "2026-01-01T09:00:00Z";
        for (run_requested, latest, is_open) in [
            (0, None, false),
            (0, Some(5), false),
            (4, None, true),
            (4, Some(5), false),
            (5, Some(5), true),
            (6, Some(5), true),
        ] {
            let settings = Settings { run_requested, ..Settings::default() };
            let latest = latest.map(|run| finished(at_nine, run));
            assert_eq!(is_requested(&settings, latest.as_ref()), is_open, "{run_requested} {latest:?}");
        }
        // It takes precedence over the schedule and the interval.
        let status = finished("2026-01-01T10:29:00Z", 5);
        let settings = Settings { run_requested: 6, ..hourly() };
        let terms = Terms { min_interval: Some(Duration::from_secs(600)), ..Terms::default() };
        assert_eq!(decided(&Situation { terms, ..situation(Some(&status), &settings) }), Decision::Start);
    }

    #[test]
    fn only_a_requested_run_that_is_not_due_otherwise_skips_completed_items() {
        let requested = Settings { run_requested: 6, requested_skips_completed: true, ..Settings::default() };
        let slotted = Settings { schedule_frequency: hourly().schedule_frequency, ..requested.clone() };
        let broken = Params::new().string("schedule.cron", "x");
        let unscheduled = Settings { settings: Some(broken), ..requested.clone() };
        let whole = Settings { requested_skips_completed: false, ..slotted.clone() };
        let unrequested = Settings { run_requested: 0, ..slotted.clone() };
        let (in_slot, before) = ("2026-01-01T10:29:00Z", "2026-01-01T09:59:00Z");
        for (case, settings, started, terms, skips) in [
            ("within its slot", &slotted, in_slot, Terms::default(), true),
            ("in a new slot", &slotted, before, Terms::default(), false),
            ("always due", &requested, before, Terms::default(), true),
            ("with a broken schedule", &unscheduled, before, Terms::default(), true),
            ("forced", &slotted, in_slot, FORCED, false),
            ("requested as a whole run", &whole, in_slot, Terms::default(), false),
            ("not requested", &unrequested, in_slot, Terms::default(), false),
        ] {
            let status = finished(started, 5);
            let situation = Situation { terms, ..situation(Some(&status), settings) };
            assert_eq!(skips_completed(&situation), skips, "{case}");
        }
    }

    #[test]
    fn without_a_run_or_a_schedule_it_is_due() {
        assert_eq!(decided(&situation(None, &hourly())), Decision::Start);
        let status = finished("2026-01-01T10:30:00Z", 5);
        assert_eq!(decided(&situation(Some(&status), &Settings::default())), Decision::Start);
    }

    #[test]
    fn a_slot_that_begins_right_after_a_run_waits_for_the_interval() {
        let (status, settings) = (finished("2026-01-01T10:59:00Z", 5), hourly());
        let with = |now: &str, minutes: u64| {
            let terms = Terms { min_interval: Some(Duration::from_secs(60 * minutes)), ..Terms::default() };
            decided(&Situation { now: at(now), terms, ..situation(Some(&status), &settings) })
        };
        assert_eq!(with("2026-01-01T11:00:01Z", 0), Decision::Start);
        assert_eq!(with("2026-01-01T11:00:01Z", 30), Decision::NotDue { at: at("2026-01-01T11:29:00Z") });
        assert_eq!(with("2026-01-01T11:29:00Z", 30), Decision::Start);
        // The slot decides if it begins later.
        assert_eq!(with("2026-01-01T10:59:10Z", 1), Decision::NotDue { at: at("2026-01-01T11:00:00Z") });
        // A start far ahead, from before the clock was set back, does not delay the run.
        assert_eq!(with("2026-01-01T09:00:00Z", 30), Decision::Start);
        assert_eq!(with("2026-01-01T09:59:00Z", 60), Decision::Start);
        assert_eq!(with("2026-01-01T10:40:00Z", 30), Decision::NotDue { at: at("2026-01-01T11:29:00Z") });
    }

    #[test]
    fn the_interval_delays_changes_but_neither_force_nor_resumption() {
        let (ended, broken) = (finished("2026-01-01T10:29:00Z", 5), started("2026-01-01T10:29:00Z", 5));
        let settings = hourly();
        let terms = Terms { min_interval: Some(Duration::from_secs(600)), ..Terms::default() };
        let changed = Situation { settings_version: 6, terms, ..situation(Some(&ended), &settings) };
        assert_eq!(decided(&changed), Decision::NotDue { at: at("2026-01-01T10:39:00Z") });
        let forced = Situation { terms: Terms { forced: true, ..terms }, ..changed };
        assert_eq!(decided(&forced), Decision::Start);
        assert_eq!(decided(&Situation { terms, ..situation(Some(&broken), &settings) }), Decision::Resume);
    }

    #[test]
    fn a_broken_schedule_fails_only_claims_that_depend_on_it() {
        let broken =
            Settings { settings: Some(Params::new().string("schedule.cron", "x")), ..Settings::default() };
        let (ended, unfinished) = (finished("2026-01-01T10:29:00Z", 5), started("2026-01-01T10:29:00Z", 5));
        assert!(decide(&situation(Some(&ended), &broken)).is_err());
        assert_eq!(decided(&situation(Some(&unfinished), &broken)), Decision::Resume);
        assert_eq!(
            decided(&Situation { terms: FORCED, ..situation(Some(&ended), &broken) }),
            Decision::Start
        );
    }

    #[cfg(feature = "cron")]
    #[test]
    fn a_cron_schedule_is_due_only_at_its_times() {
        let settings = Settings {
            settings: Some(Params::new().string("schedule.cron", "30 2 * * * Europe/Berlin")),
            schedule_set: Some(to_wire(at("2026-01-01T12:00:00Z"))),
            settings_time: Some(to_wire(at("2026-01-02T01:00:00Z"))),
            ..Settings::default()
        };
        let decided = |status: Option<&RunStatus>, now: &str| {
            decided(&Situation { now: at(now), settings_version: 99, ..situation(status, &settings) })
        };
        // No run yet: counted from when the schedule was set.
        let next = Decision::NotDue { at: at("2026-01-02T01:30:00Z") };
        assert_eq!(decided(None, "2026-01-01T12:00:00Z"), next);
        assert_eq!(decided(None, "2026-01-02T01:29:59Z"), next);
        assert_eq!(decided(None, "2026-01-02T01:30:00Z"), Decision::Start);
        // One run makes up for three days, and changes do not make a run due.
        let status = finished("2026-01-02T01:30:00Z", 5);
        assert_eq!(decided(Some(&status), "2026-01-05T09:00:00Z"), Decision::Start);
        let status = finished("2026-01-05T09:00:00Z", 5);
        let next = Decision::NotDue { at: at("2026-01-06T01:30:00Z") };
        assert_eq!(decided(Some(&status), "2026-01-05T09:00:01Z"), next);
        // A run from before the schedule was set.
        let status = finished("2025-12-31T00:00:00Z", 5);
        let next = Decision::NotDue { at: at("2026-01-02T01:30:00Z") };
        assert_eq!(decided(Some(&status), "2026-01-01T13:00:00Z"), next);
        // The start is ahead of the clock, which was set back.
        let status = finished("2026-03-01T01:30:00Z", 5);
        assert_eq!(decided(Some(&status), "2026-02-20T09:00:00Z"), Decision::Start);
    }
}
