//! A persistent sorted map: a clone is a pointer, and never changes. An insertion after that
//! copies the nodes on its path that a clone shares, and changes the others in place.
//!
//! Nothing is ever removed: a deletion in a memtable is an entry.

use std::sync::Arc;

use crate::record::Key;

/// The most entries of a node.
const FANOUT: usize = 32;

#[derive(Debug, Clone)]
pub(crate) struct Tree<V> {
    root: Arc<Node<V>>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<V> {
    Leaf(Vec<(Key, V)>),
    /// Each child with a separator that is at most its lowest key, and above all keys of the
    /// previous child; the first separator has no meaning.
    Inner(Vec<(Key, Arc<Self>)>),
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

/// The result of an insertion into a node: the replaced value, and the half that was split off.
type Inserted<V> = (Option<V>, Option<(Key, Arc<Node<V>>)>);

impl<V: Clone> Tree<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children.get(child(children, key))?.1,
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(other, _)| other.bytes()[..].cmp(key)).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
            }
        }
    }

    /// Inserts a value; returns the one it replaces.
    pub(crate) fn insert(&mut self, key: &Key, value: V) -> Option<V> {
        let (replaced, split) = insert(&mut self.root, key, value);
        if let Some((middle, right)) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            self.root = Arc::new(Node::Inner(vec![(key.clone(), left), (middle, right)]));
        }
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Returns the entries from `start` up to but not including `end`, in order.
    pub(crate) fn range<'a>(&'a self, start: &[u8], end: &'a [u8]) -> Range<'a, V> {
        let mut range = Range { inner: Vec::new(), leaf: [].iter(), end };
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = child(children, start);
                    range.inner.push(children.get(at + 1..).unwrap_or_default().iter());
                    let Some((_, next)) = children.get(at) else { return range };
                    node = next;
                }
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(key, _)| key.bytes()[..] < *start);
                    range.leaf = entries.get(at..).unwrap_or_default().iter();
                    return range;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> Range<'_, V> {
        self.range(&[], &[u8::MAX])
    }
}

/// Returns the child that a key belongs to.
fn child<V>(children: &[(Key, Arc<Node<V>>)], key: &[u8]) -> usize {
    children.partition_point(|(first, _)| first.bytes()[..] <= *key).saturating_sub(1)
}

fn insert<V: Clone>(node: &mut Arc<Node<V>>, key: &Key, value: V) -> Inserted<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let replaced = match entries.binary_search_by(|(other, _)| other.bytes().cmp(key.bytes())) {
                Ok(at) => entries.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
                Err(at) => {
                    entries.insert(at, (key.clone(), value));
                    None
                }
            };
            (replaced, split_off(entries).map(|(middle, right)| (middle, Arc::new(Node::Leaf(right)))))
        }
        Node::Inner(children) => {
            // The first child takes all lower keys.
            let at = partition(children, key).max(1) - 1;
            let Some((_, below)) = children.get_mut(at) else { return (None, None) };
            let (replaced, split) = insert(below, key, value);
            if let Some(split) = split {
                children.insert(at + 1, split);
            }
            (replaced, split_off(children).map(|(middle, right)| (middle, Arc::new(Node::Inner(right)))))
        }
    }
}

fn partition<T>(children: &[(Key, T)], key: &Key) -> usize {
    children.partition_point(|(first, _)| first.bytes() <= key.bytes())
}

/// Splits off the upper half of a full node, with its first key.
fn split_off<T>(entries: &mut Vec<(Key, T)>) -> Option<(Key, Vec<(Key, T)>)> {
    if entries.len() <= FANOUT {
        return None;
    }
    let right = entries.split_off(entries.len() / 2);
    right.first().map(|(key, _)| key.clone()).map(|key| (key, right))
}

/// Entries in order.
#[derive(Debug)]
pub(crate) struct Range<'a, V> {
    inner: Vec<std::slice::Iter<'a, (Key, Arc<Node<V>>)>>,
    leaf: std::slice::Iter<'a, (Key, V)>,
    end: &'a [u8],
}

impl<'a, V> Range<'a, V> {
    /// Moves to the next leaf.
    fn descend(&mut self) -> Option<()> {
        let mut node = loop {
            match self.inner.last_mut()?.next() {
                Some((_, node)) => break node,
                None => self.inner.pop(),
            };
        };
        loop {
            match &**node {
                Node::Leaf(entries) => {
                    self.leaf = entries.iter();
                    return Some(());
                }
                Node::Inner(children) => {
                    let mut rest = children.iter();
                    node = &rest.next()?.1;
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
                prop_assert_eq!(tree.insert(&key(at), n as u32), model.insert(key(at), n as u32));
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
                tree.insert(&key(order(n)), u32::from(n));
            }
            let found: Vec<Key> = tree.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(found.len(), 20_000);
            assert!(found.is_sorted());
            assert!((0..20_000).all(|n| tree.get(key(order(n)).bytes()) == Some(&u32::from(n))));
        }
    }
}
