//! The representation of one work item at an endpoint.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::proto::{State, Work, WorkResponse};

/// The characters allowed unescaped in a path segment (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a work item was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Active(Box<Work>),
    Cleanup,
    Dropped,
    Nowhere,
}

pub(crate) fn work_response(process: &str, name: &str, found: Found) -> WorkResponse {
    let (state, details) = match found {
        Found::Active(work) => {
            let state = work.status.as_ref().map_or(State::Unspecified, |status| status.state());
            (active_state(state), Some(*work))
        }
        Found::Cleanup => (CLEANUP, None),
        Found::Dropped => (DROPPED, None),
        Found::Nowhere => ("purged", None),
    };
    WorkResponse { id: name.to_owned(), state: state.to_owned(), details, uri: uri(process, name) }
}

/// The state of work on the cleanup list.
pub(crate) const CLEANUP: &str = "cleanup";

/// The state of work on the dropped list.
pub(crate) const DROPPED: &str = "dropped";

/// Returns the name of a state of active work.
pub(crate) fn active_state(state: State) -> &'static str {
    match state {
        State::Unspecified => "unspecified",
        State::New => "queued",
        State::Active => "active",
        State::Aborted => "aborted",
        State::Incomplete => "incomplete",
        State::Completed => "completed",
    }
}

fn uri(process: &str, name: &str) -> String {
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    format!("/processes/{}/work/{}", segment(process), segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Status;

    #[test]
    fn states_are_named() {
        let names = ["unspecified", "queued", "active", "aborted", "incomplete", "completed"];
        for (number, name) in (0..).zip(names) {
            let work =
                Work { status: Some(Status { state: number, ..Status::default() }), ..Work::default() };
            let response = work_response("p", "w", Found::Active(work.clone().into()));
            assert_eq!((response.state.as_str(), response.details), (name, Some(work)));
        }
        for (found, name) in
            [(Found::Cleanup, "cleanup"), (Found::Dropped, "dropped"), (Found::Nowhere, "purged")]
        {
            let response = work_response("p", "w", found);
            assert_eq!((response.state.as_str(), response.details), (name, None));
        }
    }

    #[test]
    fn a_uri_keeps_names_apart() {
        assert_eq!(uri("a/b", "c d\0ü"), "/processes/a%2Fb/work/c%20d%00%C3%BC");
    }
}
