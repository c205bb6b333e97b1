//! What a store holds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use crate::engine::Recovery;
use crate::error::Result;
use crate::proto::record::Owner;
use crate::record::{Address, Key, KeyRange, Payload, Record, Slot};
use crate::recovery::Salvaged;
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

/// Whether `record` is the owner record without an owner that salvage writes for a process
/// that has lost its own: the only record that it may invent.
pub(super) fn is_new_owner(salvaged: &Salvaged, key: &Bytes, record: &(u64, Bytes)) -> bool {
    let address = Key::from_bytes(key.clone()).and_then(|key| key.address());
    let Some(Address { process, slot: Slot::Owner }) = address else { return false };
    let nobody = Owner { process_name: process, ..Owner::default() };
    salvaged.suspicious > 0 && *record == (salvaged.seq, nobody.to_payload())
}
