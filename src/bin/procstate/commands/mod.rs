//! The commands, a file a family.

mod change;
mod intake;
mod logs;
mod look;
pub(crate) mod recover;
pub(crate) mod run;
mod salvage;
mod show;
mod transfer;
mod verify;

use std::path::Path;

use clap::CommandFactory;
use procstate::Store;

use crate::args::{Args, Command};
use crate::failure::{Failure, Found};
use crate::names::from_argument;
use crate::output::{Output, say};

pub(crate) fn dispatch(args: &Args, output: &mut Output) -> Result<Found, Failure> {
    if let Command::Completions { shell } = &args.command {
        return completions(*shell, output);
    }
    if let Command::Restore(restore) = &args.command {
        return recover::restore(restore, output);
    }
    if let Command::Watchdog { token, parent } = &args.command {
        return run::child::watchdog::watch(token, *parent)
            .map(|()| Found::AllWell)
            .map_err(|error| Failure::failed(&error));
    }
    let db = args.db.as_deref().ok_or_else(|| {
        Failure::Failed("which store? Name its folder with --db DIR or in PROCSTATE_DB".to_owned())
    })?;
    match &args.command {
        Command::Init => init(db),
        Command::Import(import) => transfer::import(db, import),
        Command::Export(export) => transfer::export(db, export, output),
        Command::Ls => look::ls(db, output),
        Command::Show { name } => show::show(db, name, output),
        Command::Work { name, work: None } => look::work_list(db, name, output),
        Command::Work { name, work: Some(work) } => show::work(db, name, &from_argument(work), output),
        Command::Register(register) => intake::register(db, register, output),
        Command::Unregister(unregister) => intake::unregister(db, unregister, output),
        Command::Settings(settings) => change::settings(db, settings, output),
        Command::Release { name } => change::release(db, name, output),
        Command::Purge { name, older_than } => change::purge(db, name, *older_than, output),
        Command::History { name } => look::history(db, name, output),
        Command::Stats => look::stats(db, output),
        Command::Verify(scratch) => verify::verify(db, scratch.scratch.clone(), output),
        Command::Backup { file } => recover::backup(db, file, output),
        Command::Restore(restore) => recover::restore(restore, output),
        Command::Compact { remove_damaged } => recover::compact(db, *remove_damaged, output),
        Command::Log { from } => recover::log(db, *from, output),
        Command::Salvage { output: target, scratch } => {
            salvage::salvage(db, target, scratch.scratch.clone(), output)
        }
        Command::Run(run) => run::run(db, run, output),
        Command::Logs(args) => logs::logs(db, args, output),
        Command::Completions { .. } | Command::Watchdog { .. } => Ok(Found::AllWell),
    }
}

fn init(db: &Path) -> Result<Found, Failure> {
    if db.join("MANIFEST").exists() {
        return Err(Failure::Failed(format!(
            "there is a store at {} already; it was left as it is",
            db.display()
        )));
    }
    Store::open(db)?.close()?;
    say(&format!("created an empty store at {}", db.display()));
    Ok(Found::AllWell)
}

fn completions(shell: clap_complete::Shell, output: &mut Output) -> Result<Found, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "procstate", &mut script);
    output.bytes(&script)?;
    Ok(Found::AllWell)
}
