//! A persistent sorted map: a clone is a pointer, and never changes. An insertion after that
//! copies the nodes on its path that a clone shares, and changes the others in place.
//!
//! Nothing is ever removed: a deletion in a memtable is an entry.

use std::iter::Zip;
use std::slice::Iter;
use std::sync::Arc;

use super::sorted_keys::SortedKeys;
use crate::record::Key;

/// A node is split when it has so many entries.
const FANOUT: usize = 32;

#[derive(Debug, Clone)]
pub(crate) struct Tree<V> {
    root: Arc<Node<V>>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<V> {
    Leaf(SortedKeys, Vec<V>),
    /// One key less than children: it is not above any of the child behind it, and above all of
    /// the one before it.
    Inner(SortedKeys, Vec<Arc<Self>>),
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(SortedKeys::default(), Vec::new())), len: 0 }
    }
}

/// What an insertion did to a node: the value it replaced, and the part that was split off, with a
/// key that is not above any of it.
type Inserted<V> = (Option<V>, Option<(Key, Arc<Node<V>>)>);

impl<V: Clone> Tree<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(keys, children) => node = children.get(keys.count_up_to(key))?,
                Node::Leaf(keys, values) => return values.get(keys.find(key).ok()?),
            }
        }
    }

    /// Inserts a value under `key`, which `to_key` makes if it is new; returns the value it replaces.
    pub(crate) fn insert(&mut self, key: &[u8], to_key: impl FnOnce() -> Key, value: V) -> Option<V> {
        let (replaced, split) = insert(&mut self.root, key, to_key, value);
        if let Some((middle, right)) = split {
            let mut keys = SortedKeys::default();
            keys.insert(0, middle);
            self.root = Arc::new(Node::Inner(keys, vec![self.root.clone(), right]));
        }
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Returns the entries from `start` up to but not including `end`, in order.
    pub(crate) fn range<'a>(&'a self, start: &[u8], end: &'a [u8]) -> Range<'a, V> {
        let mut range = Range { inner: Vec::new(), leaf: [].iter().zip(&[]), end };
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(keys, children) => {
                    let mut rest = children.get(keys.count_up_to(start)..).unwrap_or_default().iter();
                    let Some(next) = rest.next() else { return range };
                    range.inner.push(rest);
                    node = next;
                }
                Node::Leaf(keys, values) => {
                    let at = keys.find(start).unwrap_or_else(|at| at);
                    range.leaf = keys.from(at).iter().zip(values.get(at..).unwrap_or_default());
                    return range;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> Range<'_, V> {
        self.range(&[], &[u8::MAX])
    }
}

fn insert<V: Clone>(
    node: &mut Arc<Node<V>>,
    key: &[u8],
    to_key: impl FnOnce() -> Key,
    value: V,
) -> Inserted<V> {
    match Arc::make_mut(node) {
        Node::Leaf(keys, values) => match keys.find(key) {
            Ok(at) => (values.get_mut(at).map(|old| std::mem::replace(old, value)), None),
            Err(at) => {
                keys.insert(at, to_key());
                values.insert(at, value);
                (None, split_leaf(keys, values, at))
            }
        },
        Node::Inner(keys, children) => {
            let at = keys.count_up_to(key);
            let Some(below) = children.get_mut(at) else { return (None, None) };
            let (replaced, split) = insert(below, key, to_key, value);
            let Some((middle, right)) = split else { return (replaced, None) };
            keys.insert(at, middle);
            children.insert(at + 1, right);
            (replaced, split_inner(keys, children, at + 1))
        }
    }
}

/// Splits a leaf that is full, into which an entry came at `inserted`.
fn split_leaf<V>(keys: &mut SortedKeys, values: &mut Vec<V>, inserted: usize) -> Option<(Key, Arc<Node<V>>)> {
    let at = place_to_split(values.len(), inserted)?;
    let right = keys.split_off(at);
    let middle = right.first().cloned()?;
    Some((middle, Arc::new(Node::Leaf(right, values.split_off(at)))))
}

/// The same of an inner node.
fn split_inner<V>(
    keys: &mut SortedKeys,
    children: &mut Vec<Arc<Node<V>>>,
    inserted: usize,
) -> Option<(Key, Arc<Node<V>>)> {
    let at = place_to_split(children.len(), inserted)?;
    let right = keys.split_off(at);
    let middle = keys.pop()?;
    Some((middle, Arc::new(Node::Inner(right, children.split_off(at)))))
}

/// Where names come in order, the next is behind this one: what is before it stays together, or
/// every node would be half empty.
fn place_to_split(len: usize, inserted: usize) -> Option<usize> {
    let middle = if inserted > len / 4 * 3 { inserted } else { len / 2 };
    (len >= FANOUT).then_some(middle)
}

/// Entries in order.
#[derive(Debug)]
pub(crate) struct Range<'a, V> {
    inner: Vec<Iter<'a, Arc<Node<V>>>>,
    leaf: Zip<Iter<'a, Key>, Iter<'a, V>>,
    end: &'a [u8],
}

impl<'a, V> Range<'a, V> {
    /// Moves to the next leaf.
    fn descend(&mut self) -> Option<()> {
        let mut node = loop {
            match self.inner.last_mut()?.next() {
                Some(node) => break node,
                None => self.inner.pop(),
            };
        };
        loop {
            match &**node {
                Node::Leaf(keys, values) => {
                    self.leaf = keys.from(0).iter().zip(values);
                    return Some(());
                }
                Node::Inner(_, children) => {
                    let mut rest = children.iter();
                    node = rest.next()?;
                    self.inner.push(rest);
                }
            }
        }
    }
}

impl<'a, V> Iterator for Range<'a, V> {
    type Item = (&'a Key, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return (key.bytes()[..] < *self.end).then_some((key, value));
            }
            self.descend()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::List;

    fn key(n: u16) -> Key {
        Key::item("p", List::Active, &format!("{n:05}"))
    }

    fn insert(tree: &mut Tree<u32>, key: Key, value: u32) -> Option<u32> {
        tree.insert(key.bytes(), || key.clone(), value)
    }

    fn content(tree: &Tree<u32>) -> Vec<(Key, u32)> {
        tree.iter().map(|(key, value)| (key.clone(), *value)).collect()
    }

    proptest! {
        #[test]
        fn is_a_map_whose_clones_never_change(writes in proptest::collection::vec((0..2000_u16, any::<bool>()), 0..1500), from in 0..2000_u16, to in 0..2000_u16) {
            let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
            let mut clones = Vec::new();
            for (n, (at, clone)) in writes.into_iter().enumerate() {
                if clone && n % 100 == 0 {
                    clones.push((tree.clone(), model.clone()));
                }
                prop_assert_eq!(insert(&mut tree, key(at), n as u32), model.insert(key(at), n as u32));
            }
            clones.push((tree, model));
            for (tree, model) in clones {
                prop_assert_eq!(tree.len, model.len());
                prop_assert_eq!(content(&tree), model.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(tree.get(key(from).bytes()), model.get(&key(from)));
                let (start, end) = (key(from), key(to));
                let found: Vec<Key> = tree.range(start.bytes(), end.bytes()).map(|(key, _)| key.clone()).collect();
                let expected: Vec<Key> = model.into_keys().filter(|key| (&start..&end).contains(&key)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn grows_in_any_order() {
        for order in [|n: u16| n, |n: u16| u16::MAX - n, |n: u16| n.wrapping_mul(40_503)] {
            let mut tree = Tree::default();
            for n in 0..20_000 {
                insert(&mut tree, key(order(n)), u32::from(n));
            }
            let found: Vec<Key> = tree.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(found.len(), 20_000);
            assert!(found.is_sorted());
            assert!((0..20_000).all(|n| tree.get(key(order(n)).bytes()) == Some(&u32::from(n))));
        }
    }
}
