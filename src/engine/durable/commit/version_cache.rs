//! Caches the versions of records on which every update of a run has preconditions: owner and
//! settings.

use rustc_hash::FxHashMap;

use crate::record::{Key, Kind};

/// The size at which the cache is emptied.
const KEYS_MAX: usize = 4096;

/// Correct as long as every write is reported to it.
#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    known: FxHashMap<Key, Option<u64>>,
}

impl VersionCache {
    /// Returns the version of a record, `None` if it does not exist.
    ///
    /// Calls `read` if it is not cached.
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

    /// Invalidates a record that is being written.
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
    fn reads_once_until_a_write() {
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
    fn caches_no_items() {
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
