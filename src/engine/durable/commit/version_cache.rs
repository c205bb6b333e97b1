//! The versions of the records that every update of a run has preconditions on: the owner and
//! the settings of its process.

use rustc_hash::FxHashMap;

use crate::record::{Key, Kind};

/// The cache is emptied when it holds this many.
const KEYS_MAX: usize = 4096;

/// Right as long as it is told of every write.
#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    known: FxHashMap<Key, Option<u64>>,
}

impl VersionCache {
    /// The version of a record, `None` if there is no such record. Calls `read` for one that is
    /// not cached.
    pub(crate) fn get<E>(
        &mut self,
        key: &Key,
        read: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Option<u64>, E> {
        if !is_cached(key) {
            return read();
        }
        if let Some(version) = self.known.get(key) {
            return Ok(*version);
        }
        let version = read()?;
        if self.known.len() >= KEYS_MAX {
            self.known.clear();
        }
        self.known.insert(key.clone(), version);
        Ok(version)
    }

    /// A record is written.
    pub(crate) fn forget(&mut self, key: &Key) {
        if is_cached(key) {
            self.known.remove(key);
        }
    }
}

fn is_cached(key: &Key) -> bool {
    matches!(key.kind(), Kind::Owner | Kind::Settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;

    #[test]
    fn asks_once_until_it_is_written() {
        let mut versions = VersionCache::default();
        let mut asked = 0;
        let mut get = |versions: &mut VersionCache| {
            versions.get::<()>(&Key::owner("p"), || {
                asked += 1;
                Ok(Some(asked))
            })
        };
        assert_eq!((get(&mut versions), get(&mut versions)), (Ok(Some(1)), Ok(Some(1))));
        versions.forget(&Key::settings("p"));
        assert_eq!(get(&mut versions), Ok(Some(1)));
        versions.forget(&Key::owner("p"));
        assert_eq!(get(&mut versions), Ok(Some(2)));
    }

    #[test]
    fn keeps_no_items() {
        let mut versions = VersionCache::default();
        versions.get::<()>(&Key::item("p", List::Active, "w"), || Ok(Some(1))).unwrap();
        assert!(versions.known.is_empty());
    }

    #[test]
    fn is_bounded() {
        let mut versions = VersionCache::default();
        for n in 0..KEYS_MAX * 3 {
            versions.get::<()>(&Key::owner(&n.to_string()), || Ok(None)).unwrap();
            assert!(versions.known.len() <= KEYS_MAX);
        }
    }
}
