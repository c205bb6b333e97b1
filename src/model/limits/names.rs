//! The names that processes and work items may have.

use crate::error::{Failure, Result};
use crate::model::limits::NAME_BYTES_MAX;

/// Checks the name of a process: any UTF-8 of 1 to 1024 bytes.
pub(crate) fn check_process(name: &str) -> Result<()> {
    check("process", name)
}

/// Checks the name of a work item: any UTF-8 of 1 to 1024 bytes.
pub(crate) fn check_work(name: &str) -> Result<()> {
    check("work", name)
}

fn check(what: &'static str, name: &str) -> Result<()> {
    let why = match name.len() {
        0 => "it is empty".to_owned(),
        length if length > NAME_BYTES_MAX => {
            format!("it has {length} bytes, and the limit is {NAME_BYTES_MAX}")
        }
        _ => return Ok(()),
    };
    // The first characters identify a long name.
    let name = name.chars().take(60).collect();
    Err(Failure::Name { what, name, why }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_any_utf8_up_to_the_limit() {
        for name in ["a", "a/b", "\0", "ü", &"x".repeat(NAME_BYTES_MAX)] {
            assert!(check_process(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn refuses_empty_and_oversized_names() {
        let error = check_work("").unwrap_err();
        assert!(error.is_invalid());
        assert_eq!(error.to_string(), "work name \"\" cannot be used: it is empty");
        // 1023 + 2 bytes: the limit is in bytes, not characters.
        let long = "x".repeat(NAME_BYTES_MAX - 1) + "ü";
        let text = check_process(&long).unwrap_err().to_string();
        assert!(text.ends_with("it has 1025 bytes, and the limit is 1024"), "{text}");
        assert!(text.len() < 200, "{text}");
    }
}
