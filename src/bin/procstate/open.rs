//! Opens the store of a command: directly in its folder, or through the program that has it open.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procstate::http::Token;
use procstate::recovery::{self, LogEntry};
use procstate::remote::Remote;
use procstate::{Error, Store};
use tempfile::TempDir;

use crate::args::Args;
use crate::failure::{Failure, chain};
use crate::terminal::log;

/// The environment variable with the token.
const TOKEN: &str = "PROCSTATE_TOKEN";

/// The number of retries while another program may be opening or closing the store.
const TRIES: u32 = 10;

const PAUSE: Duration = Duration::from_millis(30);

/// The location of a store.
pub(crate) enum Location {
    Folder(PathBuf),
    Served(Remote),
    #[cfg(feature = "etcd")]
    Etcd(procstate::EtcdOptions),
}

impl Location {
    pub(crate) fn of(args: &Args) -> Result<Self, Failure> {
        #[cfg(feature = "etcd")]
        if let Some(options) = etcd(&args.etcd)? {
            return Ok(Self::Etcd(options));
        }
        match (&args.url, &args.db) {
            (Some(url), _) => {
                let remote = Remote::url(url).map_err(|error| Failure::failed(&error))?;
                let token = token(args.token_file.as_deref())?;
                Ok(Self::Served(token.iter().fold(remote, |remote, token| remote.token(token))))
            }
            (None, Some(folder)) => Ok(Self::Folder(folder.clone())),
            (None, None) => {
                let text = "no store was given: name its folder with --db DIR or in PROCSTATE_DB, or its address with --url URL";
                Err(Failure::Failed(text.to_owned()))
            }
        }
    }

    /// Returns the location, unless it is a served store, for commands that must open the store
    /// themselves.
    pub(crate) fn to_have(&self) -> Result<&Self, Failure> {
        match self {
            Self::Served(_) => self.folder().map(|_| self),
            _ => Ok(self),
        }
    }

    /// Reports whether programs on other machines may have the store open too.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// Returns the folder, for commands on the files of a closed store.
    pub(crate) fn folder(&self) -> Result<&Path, Failure> {
        match self {
            Self::Folder(folder) => Ok(folder),
            #[cfg(feature = "etcd")]
            Self::Etcd(_) => {
                let text = "this command works on the folder of a store, but etcd manages its own files: use `etcdctl` (defrag, snapshot save) for them; `procstate --etcd URL backup FILE` and `procstate restore FILE --into NEWDIR` make a folder from the store";
                Err(Failure::Failed(text.to_owned()))
            }
            Self::Served(_) => {
                let text =
                    "this command works on the folder of the store: name it with --db DIR instead of --url";
                Err(Failure::Failed(text.to_owned()))
            }
        }
    }
}

/// Returns the store in etcd given by the arguments.
#[cfg(feature = "etcd")]
pub(crate) fn etcd(args: &crate::args::Etcd) -> Result<Option<procstate::EtcdOptions>, Failure> {
    if args.members.is_empty() {
        return Ok(None);
    }
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| Failure::Failed(format!("could not read {}: {error}", path.display())))
    };
    let mut options = procstate::EtcdOptions::new(args.members.iter().cloned());
    if let Some(prefix) = &args.prefix {
        options = options.prefix(prefix.clone());
    }
    if let Some(user) = &args.user {
        let password = std::env::var("PROCSTATE_ETCD_PASSWORD").unwrap_or_default();
        options = options.user(user.clone(), password);
    }
    if let Some(ca) = &args.ca {
        options = options.ca_certificate(read(ca)?);
    }
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        options = options.client_certificate(read(cert)?, read(key)?);
    }
    Ok(Some(options))
}

/// Connects to a store that must exist.
#[cfg(feature = "etcd")]
fn connected(place: &Location) -> Result<Store, Failure> {
    // An unusable store is not an absent name: the exit status is 2.
    to_have(place).map_err(|error| Failure::failed(&error))
}

/// Reads the token from a file or the environment.
///
/// Never from the arguments, which every user of the machine can read.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<Token>, Failure> {
    let token = match file {
        Some(file) => Token::from_file(file).map(Some),
        None if std::env::var_os(TOKEN).is_some() => Token::from_env(TOKEN).map(Some),
        None => Ok(None),
    };
    token.map_err(|error| Failure::Failed(error.to_string()))
}

/// A store opened for reading.
pub(crate) struct Looked {
    // Dropped first, so that the store releases the folder before it is removed.
    store: Store,
    /// The folder of its private copy, since opening a store writes to it.
    _copy: Option<TempDir>,
}

impl Deref for Looked {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Opens a store for reading without changing it: a private copy, or the store through the program
/// that has it open.
pub(crate) fn for_looking(place: &Location) -> Result<Looked, Failure> {
    match place {
        Location::Folder(folder) => {
            here_or_there(folder, || copied(folder), |store| Looked { store, _copy: None })
        }
        Location::Served(remote) => Ok(Looked { store: remote.open()?, _copy: None }),
        #[cfg(feature = "etcd")]
        Location::Etcd(_) => Ok(Looked { store: connected(place)?, _copy: None }),
    }
}

/// Opens an existing store for changes.
pub(crate) fn for_changing(place: &Location) -> Result<Store, Failure> {
    match place {
        Location::Folder(folder) => {
            here_or_there(folder, || existing(folder).map_err(Trouble::Opening), |store| store)
        }
        Location::Served(remote) => Ok(remote.open()?),
        #[cfg(feature = "etcd")]
        Location::Etcd(_) => connected(place),
    }
}

/// Opens the store through the program that has it open.
pub(crate) fn where_it_is_open(place: &Location) -> Result<Store, Failure> {
    let Location::Folder(folder) = place else { return for_changing(place) };
    // Determines the error for a missing store or one that is not open.
    let text = || {
        format!(
            "no program has store {} open: there is nothing to follow; leave out --follow",
            folder.display()
        )
    };
    match recovery::read_log(folder, u64::MAX, |_| Ok(())) {
        Err(error) if error.is_locked() => {
            here_or_there(folder, || existing(folder).map_err(Trouble::Opening), |store| store)
        }
        Err(error) => Err(Failure::failed(&error)),
        Ok(_) => Err(Failure::Failed(text())),
    }
}

/// Reads the log of a store.
pub(crate) fn read_log(
    place: &Location,
    from: u64,
    mut visit: impl FnMut(LogEntry) -> procstate::Result<()>,
) -> Result<u64, Failure> {
    let store = match place {
        Location::Served(_) => for_changing(place)?,
        #[cfg(feature = "etcd")]
        Location::Etcd(_) => for_changing(place)?,
        Location::Folder(folder) => {
            let mut read = || recovery::read_log(folder, from, &mut visit).map(Read::Here);
            match here_or_there(folder, || read().map_err(Trouble::Opening), Read::There)? {
                Read::Here(last) => return Ok(last),
                Read::There(store) => store,
            }
        }
    };
    store.read_log(from, visit).map_err(|error| Failure::failed(&error))
}

/// Where a log was read, or must be read.
enum Read {
    Here(u64),
    There(Store),
}

/// The log history, in bytes, that a command keeps when it closes a store.
const LOG_HISTORY_BYTES: u64 = 16 << 20;

/// Opens an existing store directly, not through another program.
pub(crate) fn to_have(place: &Location) -> procstate::Result<Store> {
    match place {
        Location::Folder(folder) => existing(folder),
        Location::Served(remote) => remote.open(),
        #[cfg(feature = "etcd")]
        Location::Etcd(options) => Store::connect(options.clone().create(false)),
    }
}

pub(crate) fn existing(path: &Path) -> procstate::Result<Store> {
    Store::builder().create(false).log_history_bytes(LOG_HISTORY_BYTES).open(path)
}

/// Why a store was not opened directly.
enum Trouble {
    Opening(Error),
    Other(Failure),
}

/// Runs `here`, or, if a program has the store open, uses that.
fn here_or_there<T>(
    folder: &Path,
    mut here: impl FnMut() -> Result<T, Trouble>,
    there: impl Fn(Store) -> T,
) -> Result<T, Failure> {
    let mut tries = 0;
    loop {
        let locked = match here() {
            Ok(done) => return Ok(done),
            Err(Trouble::Opening(error)) if error.is_locked() => error,
            Err(Trouble::Opening(error)) => return Err(not_opened(&error)),
            Err(Trouble::Other(failure)) => return Err(failure),
        };
        tries += 1;
        match Remote::folder(folder).open() {
            Ok(store) => return Ok(there(store)),
            // That program may be about to serve the store, or to end.
            Err(error) if error.is_unreachable() && tries < TRIES => std::thread::sleep(PAUSE),
            Err(error) => return Err(Failure::Failed(in_use(&locked, &error))),
        }
    }
}

fn in_use(locked: &Error, why: &Error) -> String {
    format!(
        "{}; {}. A program serves it for other commands by `procstate::http::Server` and its `control_socket` (feature http), and `procstate run` and `procstate serve` do",
        chain(locked),
        chain(why)
    )
}

/// Opens a copy of the store at `path`.
fn copied(path: &Path) -> Result<Looked, Trouble> {
    let folder = tempfile::Builder::new().prefix("procstate-").tempdir().map_err(|error| {
        let place = std::env::temp_dir();
        Trouble::Other(Failure::Failed(format!(
            "could not create a temporary folder in {}: {error}. Name another one with TMPDIR=DIR",
            place.display()
        )))
    })?;
    Store::copy_files(path, folder.path()).map_err(Trouble::Opening)?;
    log::speak_of(folder.path(), path);
    match existing(folder.path()) {
        Ok(store) => Ok(Looked { store, _copy: Some(folder) }),
        Err(error) => Err(Trouble::Other(not_opened(&error))),
    }
}

/// An unreadable store is not an absent name: the exit status is 2.
fn not_opened(error: &Error) -> Failure {
    let text = chain(error);
    // The index reports a full disk as text.
    if error.is_disk_full() || text.contains("No space left") {
        return Failure::Failed(format!(
            "there is not enough space in {} for a private copy of the store, which is opened instead of it. The store was not changed. Free some space, or name a folder on another disk with TMPDIR=DIR",
            std::env::temp_dir().display()
        ));
    }
    Failure::Failed(text)
}
