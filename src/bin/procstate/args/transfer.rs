//! What goes in and out of a store as a whole.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use procstate::recovery::Until;

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// The files; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Replace a process of the same name, with its history.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Merge into a process of the same name, and drop nothing of it: its lock, settings and
    /// schedule stay. Of work that both have the later word counts (registered, changed or
    /// unregistered last; at the same time or without a time, what comes), and of its
    /// statuses the later one, unless a run here is unfinished. The run that comes is one of
    /// the past runs, or the latest if there was none here. Merged again, nothing changes.
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
    /// Leave out fields that the schema does not know, instead of refusing them.
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Scratch {
    /// Where a private copy of the index goes for a while, which is opened instead of
    /// the store's; on the store's file system it may cost no space. Default: the
    /// system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// A backup, or the folder of a store that no program has open.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) from: PathBuf,
    /// The folder of the new store; it must not be there yet, or be empty. Not with --etcd,
    /// which says where the store is to be.
    #[arg(long, value_name = "NEWDIR")]
    pub(crate) into: Option<PathBuf>,
    /// Up to this commit, or the last one before this time, as far as the log of a
    /// store in a folder allows: 1234, 2026-11-24T03:00:00Z.
    #[arg(long, value_name = "SEQ|TIME", value_parser = crate::input::until::parse)]
    pub(crate) until: Option<Until>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The processes; none: all.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// Write to this file instead of standard output; it is replaced once all is
    /// written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Binary,
}
