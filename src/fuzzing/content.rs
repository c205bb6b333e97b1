//! What a store holds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use crate::engine::Recovery;
use crate::error::Result;
use crate::record::{KeyRange, Record};
use crate::store::Store;

/// The version and the payload of each record.
pub(super) type Content = BTreeMap<Bytes, (u64, Bytes)>;

/// Opens the store in `folder`, and answers which commit is its last and what it
/// holds.
pub(super) fn read_store(folder: &Path, recovery: Recovery) -> Result<(u64, Content)> {
    let store = Store::builder().create(false).segment_bytes(16 << 10).recovery(recovery).open(folder)?;
    let mut content = Content::new();
    store.inner.engine.scan(&KeyRange::all(), &mut |record| {
        let Record { key, version, payload } = record.to_record();
        content.insert(key.bytes().clone(), (version, payload));
        ControlFlow::Continue(())
    })?;
    for name in store.processes()? {
        // Some record of it may be missing, or say what makes no sense.
        let _ = store.process(&name)?.snapshot();
    }
    let last_seq = store.inner.engine.last_seq();
    store.close()?;
    Ok((last_seq, content))
}
