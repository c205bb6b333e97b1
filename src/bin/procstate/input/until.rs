//! A moment of a store on the command line: a commit or a time.

use procstate::Timestamp;
use procstate::recovery::Until;

pub(crate) fn parse(text: &str) -> Result<Until, String> {
    if let Ok(seq) = text.parse() {
        return Ok(Until::Seq(seq));
    }
    // It would be read as the second before.
    if text.splitn(3, ':').nth(2).is_some_and(|seconds| seconds.starts_with("60")) {
        return Err("it is a leap second; give the second before or after it".to_owned());
    }
    let time: Result<Timestamp, _> = text.parse();
    time.map(Until::Time).map_err(|_| {
        "it must be the sequence number of a commit, or a time like 2026-11-24T03:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_seconds_are_refused() {
        assert!(matches!(parse("2026-06-30T23:59:59Z"), Ok(Until::Time(_))));
        assert!(parse("2026-06-30T23:59:60Z").unwrap_err().contains("leap second"));
        assert!(parse("2026-06-30T23:59:59.1234567899Z").is_err());
    }
}
