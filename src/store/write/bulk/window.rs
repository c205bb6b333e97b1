//! Divides many items into windows, so that neither the caller nor the store needs a million of
//! them in memory.

use prost::Message;

use crate::error::Result;
use crate::proto::Params;
use crate::store::process::ProcessHandle;

/// How many items are sorted and checked before any of them is written.
const ITEMS_MAX: usize = 16 << 10;

/// The maximum size of a window in bytes of names and parameters.
const BYTES_MAX: usize = 16 << 20;

/// The maximum number of items per commit.
pub(super) const ITEMS_PER_COMMIT: usize = 1000;

/// The target size of a commit in bytes of names and parameters.
const BYTES_PER_COMMIT: usize = 8 << 20;

impl ProcessHandle {
    /// Returns the next window of valid `items`, sorted by name; empty at the end.
    ///
    /// The last duplicate of a name wins.
    pub(super) fn next_window<N: Into<String>>(
        &self,
        items: &mut impl Iterator<Item = (N, Params)>,
    ) -> Result<Vec<(String, Params)>> {
        let (mut window, mut bytes) = (Vec::new(), 0);
        for (name, params) in items.by_ref() {
            let name = name.into();
            self.check_new(&name, &params)?;
            bytes += size(&name, &params);
            window.push((name, params));
            if window.len() == ITEMS_MAX || bytes >= BYTES_MAX {
                break;
            }
        }
        let is_in_order = window.is_sorted_by(|(one, _), (next, _)| one < next);
        if !is_in_order {
            window.sort_by(|(one, _), (other, _)| one.cmp(other));
            window.dedup_by(|(next, newer), (name, params)| {
                let is_same = next == name;
                if is_same {
                    std::mem::swap(newer, params);
                }
                is_same
            });
        }
        Ok(window)
    }
}

/// Splits a window into commits of at most this many items.
pub(super) fn commits(
    mut window: &[(String, Params)],
    items_max: usize,
) -> impl Iterator<Item = &[(String, Params)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let is_full = |(name, params): &(String, Params)| {
            bytes += size(name, params);
            bytes >= BYTES_PER_COMMIT
        };
        let length = window.iter().take(items_max).position(is_full).map(|at| at + 1);
        let (commit, rest) = window.split_at(length.unwrap_or(items_max.min(window.len())));
        window = rest;
        (!commit.is_empty()).then_some(commit)
    })
}

fn size(name: &str, params: &Params) -> usize {
    name.len() + params.encoded_len()
}
