//! Determines the store that files belong to.

use std::collections::BTreeMap;

/// The kind of a file that contains a store id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A damaged manifest that still shows an id.
    Manifest,
    Segment,
    Snapshot,
    Index,
}

/// The id of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `None` if no file contains one.
    pub(crate) id: Option<[u8; 16]>,
    /// Whether it is certain: because the manifest is intact and SYNCED does not name another store,
    /// or because all files agree and are of several kinds.
    pub(crate) is_certain: bool,
}

impl Identity {
    /// Returns the id that most files contain, for a store without a manifest.
    pub(crate) fn of_files(files: impl IntoIterator<Item = (Kind, [u8; 16])>) -> Self {
        let mut kinds = BTreeMap::<[u8; 16], Vec<Kind>>::new();
        for (kind, id) in files {
            kinds.entry(id).or_default().push(kind);
        }
        let different = |kinds: &Vec<Kind>| {
            let mut kinds = kinds.clone();
            kinds.sort_unstable();
            kinds.dedup();
            kinds.len()
        };
        let most = kinds.iter().max_by_key(|(_, kinds)| (kinds.len(), different(kinds)));
        let is_certain = kinds.len() == 1 && most.is_some_and(|(_, kinds)| different(kinds) > 1);
        Self { id: most.map(|(id, _)| *id), is_certain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_id_is_taken_and_certain_if_several_kinds_agree() {
        use Kind::{Index, Segment, Snapshot};
        let of = |files: &[(Kind, u8)]| {
            let identity = Identity::of_files(files.iter().map(|(kind, id)| (*kind, [*id; 16])));
            (identity.id.map(|id| id[0]), identity.is_certain)
        };
        assert_eq!(of(&[]), (None, false));
        assert_eq!(of(&[(Segment, 1), (Segment, 1)]), (Some(1), false));
        assert_eq!(of(&[(Segment, 1), (Index, 1)]), (Some(1), true));
        assert_eq!(of(&[(Segment, 2), (Index, 1), (Snapshot, 1)]), (Some(1), false));
        assert_eq!(of(&[(Segment, 2), (Segment, 2), (Index, 1), (Snapshot, 1)]), (Some(1), false));
    }
}
