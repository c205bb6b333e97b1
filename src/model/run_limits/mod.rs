//! Limits that operators set for all runs of a process: how many items may fail, and how soon the
//! next run may begin. The schema has no fields for them, so like schedules they are parameters in
//! the settings, which other programs preserve.

mod failure_limit;

use std::time::Duration;

pub use failure_limit::FailureLimit;

use super::schedule;
use crate::proto::Params;
use crate::proto::record::Settings;

pub(crate) const MAX_FAILED_ITEMS: &str = "run.max_failed_items";
pub(crate) const MIN_INTERVAL: &str = "run.min_interval";

/// Returns the failure limit of the settings, if they have one.
pub(crate) fn max_failed_items(settings: &Settings) -> Result<Option<FailureLimit>, String> {
    let Some(text) = schedule::text(settings, MAX_FAILED_ITEMS) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| format!("the setting {MAX_FAILED_ITEMS} is {text:?}; {why}"))
}

/// Returns the minimum time between the starts of two runs, if the settings have one.
pub(crate) fn min_interval(settings: &Settings) -> Result<Option<Duration>, String> {
    schedule::period(settings, MIN_INTERVAL)
}

/// Reports whether a parameter is part of the schedule or a limit of runs.
pub(crate) fn is_reserved(name: &str) -> bool {
    schedule::is_reserved(name) || [MAX_FAILED_ITEMS, MIN_INTERVAL].contains(&name)
}

/// Removes these parameters.
pub(crate) fn without_reserved(mut params: Params) -> Params {
    params.string_params.retain(|name, _| !is_reserved(name));
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, text: &str) -> Settings {
        Settings { settings: Some(Params::new().string(name, text)), ..Settings::default() }
    }

    #[test]
    fn are_read_from_the_settings() {
        assert_eq!(max_failed_items(&Settings::default()), Ok(None));
        assert_eq!(max_failed_items(&with(MAX_FAILED_ITEMS, "3")), Ok(Some(FailureLimit::Items(3))));
        assert_eq!(min_interval(&Settings::default()), Ok(None));
        assert_eq!(min_interval(&with(MIN_INTERVAL, "1.5s")), Ok(Some(Duration::from_millis(1500))));
    }

    #[test]
    fn only_parameters_of_the_store_are_reserved() {
        let reserved = [MAX_FAILED_ITEMS, MIN_INTERVAL, schedule::CRON, schedule::OFFSET];
        let own = |params: Params| params.int("run.min_interval", 1).string("run.other", "x");
        let all = reserved.into_iter().fold(Params::new(), |params, name| params.string(name, "1s"));
        assert_eq!(without_reserved(own(all)), own(Params::new()));
        assert!(reserved.into_iter().all(is_reserved) && !is_reserved("run.other"));
    }

    #[test]
    fn invalid_limits_are_explained() {
        let why = max_failed_items(&with(MAX_FAILED_ITEMS, "few")).unwrap_err();
        assert!(why.starts_with("the setting run.max_failed_items is \"few\"; it must be a number"), "{why}");
        for wrong in ["soon", "-1s", ""] {
            let why = min_interval(&with(MIN_INTERVAL, wrong)).unwrap_err();
            assert!(why.starts_with("the setting run.min_interval is"), "{why}");
        }
    }
}
