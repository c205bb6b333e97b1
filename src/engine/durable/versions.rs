//! Versions that the index has of what preconditions ask for again and again, such
//! as the owner of a process: every update of a run does.

use std::collections::HashMap;

use crate::record::Key;

/// Beyond this many it starts anew.
const KEYS_MAX: usize = 4096;

/// Right until a checkpoint changes the index; then it is cleared.
#[derive(Debug, Default)]
pub(super) struct Versions {
    known: HashMap<Key, Option<u64>>,
}

impl Versions {
    /// The version of a record in the index, `None` if it is not there. What is not
    /// known is asked of `read`.
    pub(super) fn get<E>(
        &mut self,
        key: &Key,
        read: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Option<u64>, E> {
        if let Some(version) = self.known.get(key) {
            return Ok(*version);
        }
        let version = read()?;
        if self.known.len() >= KEYS_MAX {
            self.clear();
        }
        self.known.insert(key.clone(), version);
        Ok(version)
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_until_it_is_cleared() {
        let mut versions = Versions::default();
        let mut asked = 0;
        let mut get = |versions: &mut Versions| {
            versions.get::<()>(&Key::owner("p"), || {
                asked += 1;
                Ok(Some(asked))
            })
        };
        assert_eq!((get(&mut versions), get(&mut versions)), (Ok(Some(1)), Ok(Some(1))));
        versions.clear();
        assert_eq!(get(&mut versions), Ok(Some(2)));
    }

    #[test]
    fn is_bounded() {
        let mut versions = Versions::default();
        for n in 0..KEYS_MAX * 3 {
            versions.get::<()>(&Key::owner(&n.to_string()), || Ok(None)).unwrap();
            assert!(versions.known.len() <= KEYS_MAX);
        }
    }
}
