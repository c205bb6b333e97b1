//! A whole process, put together from its records as they were at one point in
//! time.

use std::ops::ControlFlow;

use super::process::ProcessHandle;
use crate::error::{Failure, Result};
use crate::model::List;
use crate::proto::Process;
use crate::proto::record::{Item, Owner, RunStatus, Settings, Totals};
use crate::record::{KeyRange, Payload, RecordRef, Slot};

impl ProcessHandle {
    /// The whole process as one message, as it was at one point in time.
    ///
    /// It is held in memory: 100,000 items take some 100 MB.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store; [`is_corrupt`](crate::Error::is_corrupt) if a record of it is
    /// damaged.
    pub fn snapshot(&self) -> Result<Process> {
        let mut process = None;
        self.store.scan(&KeyRange::process(self.name()), |record| {
            add(&mut process, record).map(ControlFlow::Continue)
        })?;
        process.ok_or_else(|| self.not_found())
    }
}

/// Adds one record to the process. The owner record comes first.
fn add(process: &mut Option<Process>, record: RecordRef<'_>) -> Result<()> {
    let slot = record.key.slot();
    if let Some(Slot::Owner) = slot {
        let Owner { process_name, instance, .. } = Owner::from_ref(record)?;
        *process = Some(Process { process_name, instance, ..Process::default() });
        return Ok(());
    }
    let Some(process) = process else {
        let why = "its process has no owner record".to_owned();
        return Err(Failure::Corrupt { place: record.key.describe(), why }.into());
    };
    match slot {
        Some(Slot::Settings) => {
            let settings = Settings::from_ref(record)?;
            process.schedule_frequency = settings.schedule_frequency;
            process.settings = settings.settings;
            process.settings_time = settings.settings_time;
        }
        Some(Slot::Status) => process.process_status = RunStatus::from_ref(record)?.status,
        Some(Slot::Totals) => process.aggregate_stats = Totals::from_ref(record)?.aggregate_stats,
        Some(Slot::Item(list, name)) => add_item(process, list, name, record)?,
        Some(Slot::Owner | Slot::History { .. }) | None => {}
    }
    Ok(())
}

fn add_item(process: &mut Process, list: List, name: &str, record: RecordRef<'_>) -> Result<()> {
    let name = name.to_owned();
    match list {
        List::Active => {
            process.active_work.insert(name, Item::from_ref(record)?.work.unwrap_or_default());
        }
        List::Cleanup => {
            process.cleanup_work.insert(name, Payload::from_ref(record)?);
        }
        List::Dropped => {
            process.dropped_work.insert(name, Payload::from_ref(record)?);
        }
    }
    Ok(())
}
