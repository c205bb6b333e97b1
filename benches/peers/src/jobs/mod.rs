//! Jobs that do nothing, registered, run and finished, by procstate and by job libraries with
//! embedded stores.

pub mod procstate;
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::machine;
use crate::program::argument;
use crate::turns::{self, Took};

#[derive(Clone, Debug, Args)]
pub struct Jobs {
    /// A thousand items and three rounds.
    #[arg(long)]
    pub quick: bool,
    /// The number of items; default 10,000.
    #[arg(long)]
    pub items: Option<usize>,
    /// How often each entrant has its turn; default seven times.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Who gets no turn: apalis takes long over many items.
    #[arg(long, value_delimiter = ',')]
    pub without: Vec<Entrant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Entrant {
    /// By the promise of the peers, for registering too.
    Procstate,
    /// As procstate registers if nothing else is asked for.
    ProcstateSynced,
    #[cfg(feature = "tokio")]
    ProcstateTokio,
    Apalis,
    /// As its own `setup` leaves a connection: `synchronous=OFF`.
    ApalisOff,
    Effectum,
}

impl Entrant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Procstate => "procstate, `Runner`, registered `Buffered`",
            Self::ProcstateSynced => "procstate, `Runner`, registered `Synced`",
            #[cfg(feature = "tokio")]
            Self::ProcstateTokio => "procstate, `tokio::AsyncRunner`, registered `Buffered`",
            Self::Apalis => "apalis with SQLite",
            Self::ApalisOff => "apalis with SQLite, `synchronous=OFF`",
            Self::Effectum => "effectum",
        }
    }

    /// Returns what it can lose in a power loss; the program's death loses nothing.
    fn after_power_loss(self) -> &'static str {
        match self {
            #[cfg(feature = "tokio")]
            Self::ProcstateTokio => Self::Procstate.after_power_loss(),
            Self::Procstate => {
                "all but the items registered, and the ends, of the last 200 ms; an item whose end is missing is run again"
            }
            Self::ProcstateSynced => {
                "all registered items are there (synced); the ends of the last ones may be missing, and are run again"
            }
            Self::Apalis | Self::Effectum => {
                "a consistent older state: the last registered items and the last ends may be missing"
            }
            Self::ApalisOff => "the database may be corrupt",
        }
    }

    /// Reports whether it makes the promise of the class, and counts for the goal.
    fn is_rival(self) -> bool {
        matches!(self, Self::Apalis | Self::Effectum)
    }

    /// Returns the package in `jobs` that measures it, and its arguments.
    fn package(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Apalis => Some(("apalis", &["NORMAL"])),
            Self::ApalisOff => Some(("apalis", &["OFF"])),
            Self::Effectum => Some(("effectum", &[])),
            _ => None,
        }
    }
}

/// Measures all that can be built, and writes `jobs.md`.
pub fn run(jobs: &Jobs, output: &Path, command: &str) -> Result<()> {
    let items = jobs.items.unwrap_or(if jobs.quick { 1000 } else { 10_000 });
    let rounds = jobs.rounds.unwrap_or(if jobs.quick { 3 } else { 7 });
    ensure!(items > 0 && rounds > 0, "no items or no rounds");
    let mut failures = Vec::new();
    let all = Entrant::value_variants().iter().copied();
    let entrants: Vec<Entrant> = all.filter(|who| !jobs.without.contains(who)).collect();
    let packages = entrants.iter().filter_map(|who| who.package()).map(|(package, _)| package);
    for package in packages.collect::<BTreeSet<_>>() {
        failures.extend(build(package).err().map(|error| format!("{error:#}")));
    }
    let load = machine::load();
    let (entrants, failed) = turns::take(&entrants, rounds, |who, folder| turn(who, folder, items))?;
    failures.extend(failed);
    let folder = tempfile::tempdir()?;
    let about =
        report::About { machine: machine::describe(folder.path()), command, load, items, rounds, failures };
    let markdown = report::write(&about, &entrants);
    std::fs::create_dir_all(output)?;
    std::fs::write(output.join("jobs.md"), &markdown)?;
    println!("{markdown}");
    Ok(())
}

fn turn(who: Entrant, folder: &Path, items: usize) -> Result<Took> {
    let Some((package, arguments)) = who.package() else {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["job-turn", &argument(&who)]).arg(folder).arg(items.to_string());
        return turns::run(&mut command);
    };
    let mut command = Command::new(program(package));
    turns::run(command.arg(folder).arg(items.to_string()).args(arguments))
}

/// Each is a package with its own lock file: cargo links only one SQLite.
fn build(package: &str) -> Result<()> {
    let manifest = folder(package).join("Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--target-dir"]);
    cargo.arg(folder(package).join("target")).arg("--manifest-path").arg(manifest);
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(status.success(), "{package} cannot be built: {status}");
    Ok(())
}

fn folder(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs").join(package)
}

fn program(package: &str) -> PathBuf {
    folder(package).join("target/release").join(format!("jobs-{package}{}", std::env::consts::EXE_SUFFIX))
}
