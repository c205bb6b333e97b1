//! The read path: the memtable merged over the index.
//!
//! It takes a view of the memtable and reads the index beside it. It changes nothing, and the
//! only lock it takes is that of the memtable, for as long as it takes to look up a key or to
//! clone two pointers. A checkpoint waits for readers that began before it froze the memtable.

mod reader;

pub(crate) use reader::Reader;
