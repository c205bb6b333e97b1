//! Page sizes.

use super::problem::{Answer, Problem};

/// The default and the maximum page size.
pub(crate) const PAGE: usize = 100;
pub(crate) const PAGE_MAX: usize = 1000;

pub(crate) fn page_size(asked: Option<usize>) -> Answer<usize> {
    let size = asked.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&size) {
        return Ok(size);
    }
    Err(Problem::bad_request(format!("a page cannot have {size} entries; request 1 to {PAGE_MAX}")))
}
