//! Names records for users.

use crate::model::List;
use crate::record::{Address, Slot};

/// Returns the process, the kind of the record (`owner`, `settings`, `status`, `totals`, `active`,
/// `cleanup`, `dropped`, `history`), and its work item.
pub(crate) fn named_in_process(address: Address) -> (String, &'static str, Option<String>) {
    let (record, work) = match address.slot {
        Slot::Owner => ("owner", None),
        Slot::Settings => ("settings", None),
        Slot::Status => ("status", None),
        Slot::Totals => ("totals", None),
        Slot::Item(List::Active, work) => ("active", Some(work)),
        Slot::Item(List::Cleanup, work) => ("cleanup", Some(work)),
        Slot::Item(List::Dropped, work) => ("dropped", Some(work)),
        Slot::History { .. } => ("history", None),
    };
    (address.process, record, work)
}
