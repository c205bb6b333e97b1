//! The read path: the memtable merged over the index.
//!
//! It takes a view of the memtable and reads the index with it. It changes nothing, and the only
//! lock it takes is that of the memtable, while it looks up a key or clones two pointers. A
//! checkpoint waits for readers that began before it froze the memtable.

mod reader;

pub(crate) use reader::Reader;
