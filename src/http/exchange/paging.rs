//! How many things a page of a list has.

use super::problem::{Answer, Problem};

/// How many things a page has, unless asked for fewer or more; and the most.
pub(crate) const PAGE: usize = 100;
pub(crate) const PAGE_MAX: usize = 1000;

pub(crate) fn page_size(asked: Option<usize>) -> Answer<usize> {
    let size = asked.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&size) {
        return Ok(size);
    }
    Err(Problem::bad_request(format!("a page of {size}; ask for 1 to {PAGE_MAX}")))
}
