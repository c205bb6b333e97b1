//! Members that tests use one after the other.

use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Cluster;

/// A member that one test at a time uses, each under another prefix, so that no other test changes
/// its revision meanwhile.
pub struct Lent {
    cluster: Option<Cluster>,
    pub prefix: String,
}

static FREE: Mutex<Vec<Cluster>> = Mutex::new(Vec::new());

impl Lent {
    /// Prints IGNORED and returns `None` if etcd is not installed.
    pub fn new() -> Option<Self> {
        let free = FREE.lock().unwrap().pop();
        let cluster = free.or_else(|| Cluster::start(1))?;
        Some(Self { cluster: Some(cluster), prefix: unused_prefix() })
    }
}

impl Deref for Lent {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        FREE.lock().unwrap().extend(self.cluster.take());
    }
}

/// Returns a prefix that no other test of this program uses.
pub fn unused_prefix() -> String {
    static USED: AtomicUsize = AtomicUsize::new(0);
    format!("test-{}/", USED.fetch_add(1, Ordering::Relaxed))
}
