//! Assembles a whole process from its records at one point in time.

use std::ops::ControlFlow;

use prost_types::Timestamp;

use crate::error::{Failure, Result};
use crate::model::List;
use crate::proto::record::{Item, Owner, RunStatus, Settings, Totals};
use crate::proto::{Process, Work};
use crate::record::{KeyRange, Payload, RecordRef, Slot};
use crate::store::process::ProcessHandle;

impl ProcessHandle {
    /// Returns the whole process at one point in time as one message.
    ///
    /// The message is in memory: 100,000 items take about 100 MB.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist;
    /// [`is_corrupt`](crate::Error::is_corrupt) if one of its records is damaged.
    #[doc(alias = "export")]
    pub fn snapshot(&self) -> Result<Process> {
        let mut parts = Parts::default();
        self.store
            .scan(&KeyRange::process(self.name()), |record| parts.add(record).map(ControlFlow::Continue))?;
        parts.assemble().ok_or_else(|| self.not_found())
    }

    /// Returns the message that [`Store::import`](crate::Store::import) takes; the same as
    /// [`snapshot`](ProcessHandle::snapshot), under the name of the tool's command.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](ProcessHandle::snapshot).
    pub fn export(&self) -> Result<Process> {
        self.snapshot()
    }
}

/// The records read so far of a process.
#[derive(Default)]
struct Parts {
    /// Everything but the lists; `None` before the owner record.
    process: Option<Process>,
    // In name order: building a map from a sorted list takes a fraction of the time of single
    // insertions.
    active: Vec<(String, Work)>,
    cleanup: Vec<(String, Timestamp)>,
    dropped: Vec<(String, Timestamp)>,
}

impl Parts {
    /// Adds one record. The owner record comes first.
    fn add(&mut self, record: RecordRef<'_>) -> Result<()> {
        let slot = record.key.slot();
        if let Some(Slot::Owner) = slot {
            let Owner { process_name, instance, .. } = Owner::from_ref(record)?;
            self.process = Some(Process { process_name, instance, ..Process::default() });
            return Ok(());
        }
        let Some(process) = &mut self.process else {
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
            Some(Slot::Item(list, name)) => self.add_item(list, name.to_owned(), record)?,
            Some(Slot::Owner | Slot::History { .. }) | None => {}
        }
        Ok(())
    }

    fn add_item(&mut self, list: List, name: String, record: RecordRef<'_>) -> Result<()> {
        match list {
            List::Active => self.active.push((name, Item::from_ref(record)?.work.unwrap_or_default())),
            List::Cleanup => self.cleanup.push((name, Payload::from_ref(record)?)),
            List::Dropped => self.dropped.push((name, Payload::from_ref(record)?)),
        }
        Ok(())
    }

    fn assemble(self) -> Option<Process> {
        Some(Process {
            active_work: self.active.into_iter().collect(),
            cleanup_work: self.cleanup.into_iter().collect(),
            dropped_work: self.dropped.into_iter().collect(),
            ..self.process?
        })
    }
}
