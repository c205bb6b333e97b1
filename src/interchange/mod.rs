//! Exchanges process state with other programs: canonical protobuf JSON, and protobuf binary.
//!
//! Reading never drops data silently: a field that the schema does not know is an error, in JSON
//! and in binary, unless [`Unknown::Ignore`] is given.
//!
//! ```
//! use procstate::interchange::{Unknown, read_processes, to_json};
//!
//! let text = br#"{"processName": "gckeys", "scheduleFrequency": "3600s"}"#;
//! let processes = read_processes("gckeys.json", text, Unknown::Reject)?;
//! assert_eq!(to_json(&processes[0])?, r#"{"processName":"gckeys","scheduleFrequency":"3600s"}"#);
//! # Ok::<(), procstate::Error>(())
//! ```

mod binary;
mod json;
mod negative_zero;
mod plain;
mod refusal;
mod schema;
mod sequence;
mod strict;
mod times;

pub use binary::write_delimited;
pub use json::to_json;
pub use refusal::Unknown;
pub use schema::{Message, to_binary};

use refusal::invalid;

use crate::error::Result;
use crate::proto::Process;

/// Reads the processes in `input`.
///
/// `source` names the input in errors (a file's path, `<stdin>`).
///
/// The content determines the format:
/// - JSON: one object per process, each on one line or on several; or arrays of them. The
///   input must start like JSON and be JSON throughout.
/// - Binary, many: length-delimited `Process` messages, as [`write_delimited`] writes them.
///   They must fill the input exactly, and each must have a name.
/// - Binary, one: a bare `Process` message; everything else is read as such.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) for the first error, with position and field.
///
/// Not errors: in JSON, a quoted number too large for a double, which becomes infinite; in binary,
/// a duplicate field or map key (the last one wins).
pub fn read_processes(source: &str, input: &[u8], unknown: Unknown) -> Result<Vec<Process>> {
    let text = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let begins_like_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    if begins_like_json && let Some(processes) = plain::read(text) {
        return Ok(processes);
    }
    if begins_like_json && json::is_json(text) {
        return json::read(source, text, unknown);
    }
    if let Some(messages) = binary::split_delimited(input) {
        return messages.into_iter().map(|message| binary::read(source, message, unknown)).collect();
    }
    if input.trim_ascii().is_empty() {
        return Err(invalid(source, String::new(), "it is empty".to_owned()));
    }
    let bare = binary::read(source, binary::Message::whole(input), unknown);
    match bare {
        // Broken JSON is more likely than a message that starts like it.
        Err(_) if begins_like_json => json::read(source, text, unknown),
        Err(error) => Err(binary::broken_stream(source, input).unwrap_or(error)),
        Ok(process) => Ok(vec![process]),
    }
}
