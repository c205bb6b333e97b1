//! How many items of a run may fail before it stops.

use std::fmt;
use std::str::FromStr;

/// How many items may fail for good before a run stops.
///
/// A run that stops takes no more items, lets the running ones finish, and ends aborted.
///
/// An item whose retry succeeded has not failed. The next run begins with the items that this one
/// did not reach.
///
/// Its text is a number, a percentage like `12.5%`, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum FailureLimit {
    /// Unlimited: the run tries every item.
    #[default]
    None,
    /// The run stops when more than this many items have failed.
    Items(u64),
    /// The run stops when more than this share, from 0.0 to 1.0, of the items that were active at
    /// the claim have failed.
    Share(f64),
}

impl FailureLimit {
    pub(crate) fn is_valid(self) -> bool {
        !matches!(self, Self::Share(share) if !(0.0..=1.0).contains(&share))
    }

    /// Returns why `failed` of `active` items are too many, or `None` if they are not.
    pub(crate) fn excess(self, failed: f64, active: u64) -> Option<String> {
        #[allow(clippy::cast_precision_loss, reason = "a count of items is far below 2^52")]
        let (limit, active) = match self {
            Self::None => return None,
            Self::Items(items) => (items as f64, active as f64),
            Self::Share(share) => (share * active as f64, active as f64),
        };
        if failed <= limit {
            return None;
        }
        Some(match self {
            Self::Share(share) => {
                format!("stopped: {failed} of {active} items failed, which is more than {}%", share * 100.0)
            }
            _ if failed <= 1.0 => format!("stopped: {failed} item failed, and the limit is {limit}"),
            _ => format!("stopped: {failed} items failed, and the limit is {limit}"),
        })
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Items(items) => write!(f, "{items}"),
            Self::Share(share) => {
                // Multiplying the share by 100 is inexact in the last digits.
                let percent = format!("{:.10}", share * 100.0);
                write!(f, "{}%", percent.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

impl FromStr for FailureLimit {
    /// The reason why the text is not a limit.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WHAT: &str = "it must be a number, a share like 10%, or none";
        if text == "none" {
            return Ok(Self::None);
        }
        let Some(share) = text.strip_suffix('%') else {
            return text.parse().map(Self::Items).map_err(|_| WHAT.to_owned());
        };
        match share.parse::<f64>() {
            Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self::Share(share / 100.0)),
            Ok(_) => Err("a share must be from 0% to 100%".to_owned()),
            Err(_) => Err(WHAT.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_number_a_share_or_none() {
        for (text, limit) in [
            ("none", FailureLimit::None),
            ("3", FailureLimit::Items(3)),
            ("12.5%", FailureLimit::Share(0.125)),
            ("7%", FailureLimit::Share(0.07)),
            ("0%", FailureLimit::Share(0.0)),
            ("100%", FailureLimit::Share(1.0)),
        ] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
        }
        for wrong in ["", "-1", "101%", "NaN%", "x", "1.5"] {
            assert!(wrong.parse::<FailureLimit>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn more_than_the_limit_is_too_many() {
        assert_eq!(FailureLimit::None.excess(1e9, 1), None);
        assert_eq!(FailureLimit::Items(2).excess(2.0, 9), None);
        assert_eq!(
            FailureLimit::Items(2).excess(3.0, 9).unwrap(),
            "stopped: 3 items failed, and the limit is 2"
        );
        assert_eq!(FailureLimit::Share(0.5).excess(5.0, 10), None);
        assert_eq!(
            FailureLimit::Share(0.5).excess(6.0, 10).unwrap(),
            "stopped: 6 of 10 items failed, which is more than 50%"
        );
        assert_eq!(
            FailureLimit::Items(0).excess(1.0, 1).unwrap(),
            "stopped: 1 item failed, and the limit is 0"
        );
    }

    #[test]
    fn a_share_is_from_nothing_to_all() {
        for (share, valid) in [(0.0, true), (1.0, true), (1.1, false), (-0.1, false), (f64::NAN, false)] {
            assert_eq!(FailureLimit::Share(share).is_valid(), valid, "{share}");
        }
    }
}
