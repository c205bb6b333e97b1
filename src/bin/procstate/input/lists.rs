//! The work items given to a command, as arguments and in lists.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use procstate::{Params, ProcessHandle, Store};

use crate::args::Items;
use crate::failure::Failure;
use crate::input::{self, Input};
use crate::input::{json_lines, names};

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One name per line.
    Lines,
    /// Names that end with NUL.
    Null,
    /// One JSON object per line.
    JsonLines,
}

/// An item with its position.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) params: Params,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Argument,
    Entry { source: Rc<str>, unit: &'static str, number: usize },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("the command line"),
            Self::Entry { source, unit, number } => write!(f, "{source}, {unit} {number}"),
        }
    }
}

/// Reads all items, without duplicates, in order.
///
/// `command` is the name of the command for messages.
pub(crate) fn read(
    items: &Items,
    form: Form,
    params: &Params,
    command: &str,
) -> Result<Vec<Listed>, Failure> {
    // Used to validate names before the store is opened.
    let anywhere = Store::in_memory().process("any")?;
    let mut list = List { form, params, command, anywhere, listed: Vec::new() };
    let literal = items.work.len().saturating_sub(crate::args::arguments_behind_dashes());
    for (n, argument) in items.work.iter().enumerate() {
        if argument == "-" && n < literal {
            list.add_file(Path::new("-"))?;
        } else {
            list.add_argument(argument)?;
        }
    }
    items.from.iter().try_for_each(|path| list.add_file(path))?;
    unique(list.listed)
}

struct List<'a> {
    form: Form,
    params: &'a Params,
    command: &'a str,
    anywhere: ProcessHandle,
    listed: Vec<Listed>,
}

impl List<'_> {
    fn add_argument(&mut self, argument: &OsStr) -> Result<(), Failure> {
        self.add(names::from_argument(argument), self.params.clone(), Place::Argument)
    }

    fn add(&mut self, name: String, params: Params, place: Place) -> Result<(), Failure> {
        match self.anywhere.work(&name) {
            Err(error) if error.is_invalid() => Err(Failure::Failed(format!("{place}: {error}"))),
            _ => {
                self.listed.push(Listed { name, params, place });
                Ok(())
            }
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let input = input::read(path)?;
        if self.form == Form::Null {
            self.add_entries(&input.source, &input.bytes, 0, "entry")
        } else {
            input.refuse_foreign(self.command)?;
            self.refuse_null(&input)?;
            let text = input.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&input.bytes);
            self.add_entries(&input.source, text, b'\n', "line")
        }
    }

    /// Refuses a NUL in a list of lines.
    ///
    /// Work names may contain one, but a NUL-separated list would be read as a single long name.
    fn refuse_null(&self, input: &Input) -> Result<(), Failure> {
        let Some(at) = input.bytes.iter().position(|byte| *byte == 0) else { return Ok(()) };
        let line = input.bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Err(Failure::Failed(format!(
            "{}, line {line}: it contains a NUL; if the names end with NUL, use --null",
            input.source
        )))
    }

    fn add_entries(
        &mut self,
        source: &str,
        bytes: &[u8],
        end: u8,
        unit: &'static str,
    ) -> Result<(), Failure> {
        let source: Rc<str> = source.into();
        for (number, entry) in (1..).zip(bytes.split(|byte| *byte == end)) {
            let entry = if end == b'\n' { entry.strip_suffix(b"\r").unwrap_or(entry) } else { entry };
            if entry.is_empty() {
                continue;
            }
            let place = Place::Entry { source: source.clone(), unit, number };
            self.add_entry(entry, place)?;
        }
        Ok(())
    }

    fn add_entry(&mut self, entry: &[u8], place: Place) -> Result<(), Failure> {
        let (name, own) = match self.form {
            Form::Null => (names::from_bytes(entry), None),
            Form::Lines if entry.starts_with(b"{") && json_lines::parse(entry).is_ok() => {
                return Err(Failure::Failed(format!(
                    "{place}: this is a JSON object, which --json-lines reads; if it is a name, give it as an argument or in a list with --null"
                )));
            }
            Form::Lines => (names::from_words(entry), None),
            Form::JsonLines => {
                let line = json_lines::parse(entry);
                let line = line.map_err(|why| Failure::Failed(format!("{place}, {why}")))?;
                (line.work, Some(line.params))
            }
        };
        let mut params = self.params.clone();
        if let Some(own) = own {
            params.int_params.extend(own.int_params);
            params.string_params.extend(own.string_params);
        }
        self.add(name, params, place)
    }
}

/// Removes duplicates, unless they have different parameters.
fn unique(all: Vec<Listed>) -> Result<Vec<Listed>, Failure> {
    let mut first: HashMap<String, usize> = HashMap::with_capacity(all.len());
    let mut listed: Vec<Listed> = Vec::with_capacity(all.len());
    for item in all {
        match first.entry(item.name.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(listed.len());
                listed.push(item);
            }
            Entry::Occupied(occupied) => match listed.get(*occupied.get()) {
                Some(before) if before.params != item.params => return Err(contradiction(before, &item)),
                _ => {}
            },
        }
    }
    Ok(listed)
}

fn contradiction(before: &Listed, item: &Listed) -> Failure {
    Failure::Failed(format!(
        "{}: {:?} has other parameters here than in {}; nothing was changed",
        item.place, item.name, before.place
    ))
}
