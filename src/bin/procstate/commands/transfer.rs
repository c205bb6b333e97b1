//! Imports and exports processes.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use procstate::interchange::{Unknown, read_processes, to_json, write_delimited};
use procstate::{ImportMode, Process, Store};
use tempfile::NamedTempFile;

use crate::args::{Export, Format, Import};
use crate::failure::{CommandStatus, Failure};
use crate::input::{self, Input};
use crate::open::{self, Location};
use crate::terminal::output::{Output, count, say};
use procstate::text::visible_json;

pub(crate) fn import(place: &Location, import: &Import) -> Result<CommandStatus, Failure> {
    let processes = read_all(import)?;
    let store = open::for_changing(place)?;
    let mode = match (import.replace, import.merge) {
        (true, _) => ImportMode::Replace,
        (false, true) => ImportMode::Merge,
        (false, false) => ImportMode::New,
    };
    if mode == ImportMode::New {
        refuse_existing(&store, &processes)?;
    }
    let total = processes.len();
    let mut merged = 0;
    for (process, _) in processes {
        if import.merge && store.process(&process.process_name)?.exists()? {
            merged += 1;
        }
        store.import(process, mode)?;
    }
    store.close()?;
    if merged < total || total == 0 {
        say(&format!("imported {}", count(total - merged, "process")));
    }
    if merged > 0 {
        say(&format!("merged {} into the store", count(merged, "process")));
    }
    Ok(CommandStatus::Success)
}

/// Reads the processes of all files, each with the name of its file.
fn read_all(import: &Import) -> Result<Vec<(Process, String)>, Failure> {
    let unknown = if import.ignore_unknown { Unknown::Ignore } else { Unknown::Reject };
    let mut processes: Vec<(Process, String)> = Vec::new();
    let mut seen: HashMap<String, String> = HashMap::new();
    for path in &import.files {
        let input = input::read(path)?;
        input.refuse_foreign("import")?;
        let Input { source, bytes } = input;
        for process in read_processes(&source, &bytes, unknown)? {
            // Checked before anything is written.
            Store::check_import(&process).map_err(|error| Failure::Failed(format!("{source}: {error}")))?;
            let first = seen.insert(process.process_name.clone(), source.clone());
            if let Some(first) = first.filter(|_| !import.merge) {
                return Err(Failure::Failed(format!(
                    "{source}: process {:?} is already in {first}; nothing was imported",
                    process.process_name
                )));
            }
            processes.push((process, source.clone()));
        }
    }
    Ok(processes)
}

fn refuse_existing(store: &Store, processes: &[(Process, String)]) -> Result<(), Failure> {
    for (process, source) in processes {
        if store.process(&process.process_name)?.exists()? {
            return Err(Failure::Failed(format!(
                "{source}: process {:?} is already in the store; --replace replaces it, --merge merges into it. Nothing was imported",
                process.process_name
            )));
        }
    }
    Ok(())
}

pub(crate) fn export(
    place: &Location,
    export: &Export,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    let store = open::for_looking(place)?;
    let names = if export.names.is_empty() { store.processes()? } else { export.names.clone() };
    for name in &names {
        // Checks all names before anything is written.
        store.process(name)?.settings()?;
    }
    match &export.output {
        None => names.iter().try_for_each(|name| output.bytes(&encode(&store, name, export.format)?))?,
        Some(path) => export_to_file(&store, &names, export.format, path)?,
    }
    Ok(CommandStatus::Success)
}

fn encode(store: &Store, name: &str, format: Format) -> Result<Vec<u8>, Failure> {
    let process = store.process(name)?.snapshot()?;
    let mut bytes = Vec::new();
    match format {
        Format::Binary => write_delimited(&process, &mut bytes),
        Format::Json => {
            let text = to_json(&process)
                .map_err(|error| Failure::Failed(format!("process {name:?}: {error} (--format binary)")))?;
            bytes.extend_from_slice(visible_json(&text).as_bytes());
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

/// Exports to a file, which gets its name once it is complete.
fn export_to_file(store: &Store, names: &[String], format: Format, path: &Path) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::Failed(format!("could not write {}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    for name in names {
        file.write_all(&encode(store, name, format)?).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
