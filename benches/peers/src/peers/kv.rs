//! The work on any ordered key-value store with conditional transactions.

use anyhow::{Context, Result, ensure};

use super::{Session, Store, instance};
use crate::records::{Found, Step, counter, item_name, new_name, process_name, value};

pub type Record = (Vec<u8>, Vec<u8>);

/// The number of records per transaction when loading a store.
const LOAD_RECORDS: usize = 10_000;

pub trait Kv: Send + Sync {
    /// Puts records, in any number of transactions, durable at the end.
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()>;

    /// Puts `records` in one transaction, durable as promised, if the value of `owner` is
    /// `expected`; false otherwise.
    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Calls `each` with all records whose keys start with `prefix`.
    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Syncs or closes what needs it; the rest is dropped.
    fn close(self) -> Result<()>;
}

/// A [`Kv`] as a [`Store`].
pub struct KvStore<K>(pub K);

impl<K: Kv + 'static> Store for KvStore<K> {
    fn populate(&self, processes: usize, items: usize) -> Result<()> {
        let mut records = (0..processes).flat_map(|process| {
            let keys = Keys::new(process);
            let first = [
                (keys.owner.clone(), owner("", 0)),
                (keys.settings.clone(), value(0).to_vec()),
                (keys.status.clone(), value(0).to_vec()),
            ];
            first.into_iter().chain((0..items).map(move |item| (keys.item(item), value(0).to_vec())))
        });
        let mut chunks = std::iter::from_fn(|| {
            let chunk: Vec<_> = records.by_ref().take(LOAD_RECORDS).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        self.0.load(&mut chunks)
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        let keys = Keys::new(process);
        Ok(Box::new(KvSession { kv: &self.0, keys, owner: Vec::new(), items: Vec::new() }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()
    }
}

/// The keys of a process, whose records are a contiguous range that contains the range of its
/// items.
struct Keys {
    owner: Vec<u8>,
    settings: Vec<u8>,
    status: Vec<u8>,
    items: Vec<u8>,
}

impl Keys {
    fn new(process: usize) -> Self {
        let key = |kind| format!("{}/{kind}/", process_name(process)).into_bytes();
        Self { owner: key('a'), settings: key('b'), status: key('c'), items: key('d') }
    }

    fn item(&self, item: usize) -> Vec<u8> {
        [&self.items[..], item_name(item).as_bytes()].concat()
    }
}

/// The value of an owner record: the token and the owner's name.
fn owner(instance: &str, token: u64) -> Vec<u8> {
    [&token.to_le_bytes()[..], instance.as_bytes()].concat()
}

struct KvSession<'a, K> {
    kv: &'a K,
    keys: Keys,
    /// The owner record as this session wrote it.
    owner: Vec<u8>,
    /// The keys of the updated items.
    items: Vec<Vec<u8>>,
}

impl<K: Kv> KvSession<'_, K> {
    fn get(&self, key: &[u8]) -> Result<Vec<u8>> {
        self.kv.get(key)?.with_context(|| format!("no record {}", String::from_utf8_lossy(key)))
    }

    /// Swaps the owner if it is unchanged since the read, and starts a status.
    fn swap_owner(&self, instance: &str) -> Result<Vec<u8>> {
        let read = self.get(&self.keys.owner)?;
        let new = owner(instance, counter(&read) + 1);
        let records = [(&self.keys.owner[..], &new[..]), (&self.keys.status, &value(0))];
        ensure!(self.kv.commit(&self.keys.owner, &read, &records)?, "another instance was faster");
        Ok(new)
    }
}

impl<K: Kv> Session for KvSession<'_, K> {
    fn claim(&mut self, items: usize) -> Result<String> {
        let instance = instance();
        self.owner = self.swap_owner(&instance)?;
        self.items = (0..items).map(|item| self.keys.item(item)).collect();
        Ok(instance)
    }

    fn update(&mut self, step: Step) -> Result<()> {
        let (item, status) = (value(step.of_item), value(step.total));
        let records = [(&self.items[step.item][..], &item[..]), (&self.keys.status, &status)];
        let is_mine = self.kv.commit(&self.keys.owner, &self.owner, &records)?;
        ensure!(is_mine, "another instance owns the process");
        Ok(())
    }

    fn register(&mut self, number: u64) -> Result<()> {
        // A condition on any owner, which holds unless the owner changes just now.
        let owner = self.get(&self.keys.owner)?;
        let (key, value) = ([&self.keys.items[..], new_name(number).as_bytes()].concat(), value(number));
        let records = [(&key[..], &value[..]), (&self.keys.settings, &value)];
        let is_done = self.kv.commit(&self.keys.owner, &owner, &records)?;
        ensure!(is_done, "the owner changed meanwhile");
        Ok(())
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        self.swap_owner(&instance())?;
        self.swap_owner("")?;
        Ok(())
    }

    fn read(&self, item: usize) -> Result<bool> {
        Ok(self.kv.get(&self.keys.item(item))?.is_some())
    }

    fn scan(&self) -> Result<usize> {
        let mut count = 0;
        // Copies both, like a caller that keeps them.
        self.kv.scan(&self.keys.items, &mut |key, value| {
            let (name, data) = (key[self.keys.items.len()..].to_vec(), value.to_vec());
            count += usize::from(!std::hint::black_box((name, data)).1.is_empty());
        })?;
        Ok(count)
    }

    fn find(&self, items: usize) -> Result<Found> {
        let owner = self.get(&self.keys.owner)?.split_off(8);
        let status = self.get(&self.keys.status)?;
        let of_item = |item| Ok(counter(&self.get(&self.keys.item(item))?));
        let of_items = (0..items).map(of_item).collect::<Result<_>>()?;
        Ok(Found { owner: String::from_utf8(owner)?, total: counter(&status), of_items })
    }
}
