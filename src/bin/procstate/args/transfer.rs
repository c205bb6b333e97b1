//! Arguments of commands that move whole processes and stores.

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
    /// Merge into a process of the same name and drop nothing of it: its lock, settings and
    /// schedule stay. For work that both have, the later registration, change or
    /// unregistration wins (the imported one if the times are equal or absent), and so does
    /// the later status, unless a run here is unfinished. The imported run becomes one of the
    /// past runs, or the latest run if there was none. Merging again changes nothing.
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
    /// Skip fields that the schema does not know, instead of refusing them.
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Scratch {
    /// The folder for a temporary private copy of the index, which is opened in place of the
    /// store's own; on the store's file system the copy may take no space. Default: the
    /// system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// A backup, or the folder of a store that no program has open.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) from: PathBuf,
    /// The folder of the new store; it must not exist, or be empty. Not with --etcd, which names
    /// the new store.
    #[arg(long, value_name = "NEWDIR")]
    pub(crate) into: Option<PathBuf>,
    /// Restore up to this commit, or up to the last commit before this time, as far back as
    /// the log of the store reaches: 1234, 2026-11-24T03:00:00Z.
    #[arg(long, value_name = "SEQ|TIME", value_parser = crate::input::until::parse)]
    pub(crate) until: Option<Until>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The processes; all if none is given.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// The format.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// Write to this file instead of standard output; the file is replaced once everything
    /// is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Binary,
}
