//! The commands, one file per family.

mod change;
mod intake;
mod log;
mod logs;
mod look;
pub(crate) mod offline;
pub(crate) mod run;
pub(crate) mod serve;
mod show;
mod steer;
mod top;
mod transfer;

use clap::CommandFactory;
use procstate::Store;

use crate::args::{Args, Command};
use crate::failure::{CommandStatus, Failure};
use crate::input::names::from_argument;
use crate::open::Location;
use crate::terminal::output::{Output, say};

pub(crate) fn dispatch(args: &Args, output: &mut Output) -> Result<CommandStatus, Failure> {
    if let Command::Completions { shell } = &args.command {
        return completions(*shell, output);
    }
    if let Command::Restore(restore) = &args.command {
        return restore_where(args, restore, output);
    }
    if let Command::Watchdog { token, parent } = &args.command {
        return run::child::watchdog::watch(token, *parent)
            .map(|()| CommandStatus::Success)
            .map_err(|error| Failure::failed(&error));
    }
    let place = &Location::of(args)?;
    match &args.command {
        Command::Init => init(place),
        Command::Import(import) => transfer::import(place, import),
        Command::Export(export) => transfer::export(place, export, output),
        Command::Ls => look::ls(place, output),
        Command::Show { name } => show::show(place, name, output),
        Command::Work { name, work: None } => look::work_list(place, name, output),
        Command::Work { name, work: Some(work) } => show::work(place, name, &from_argument(work), output),
        Command::Register(register) => intake::register(place, register, output),
        Command::Unregister(unregister) => intake::unregister(place, unregister, output),
        Command::Settings(settings) => change::settings(place, settings, output),
        Command::Pause { name } => steer::pause(place, name, output),
        Command::Resume { name } => steer::resume(place, name, output),
        Command::Retry(retry) => steer::retry(place, retry, output),
        Command::Release { name } => change::release(place, name, output),
        Command::Purge { name, older_than } => change::purge(place, name, *older_than, output),
        Command::History { name } => look::history(place, name, output),
        Command::Stats => look::stats(place, output),
        Command::Verify(scratch) => offline::verify::verify(place.folder()?, scratch.scratch.clone(), output),
        Command::Backup { file } => offline::recover::backup(place, file, output),
        Command::Restore(restore) => offline::recover::restore(restore, output),
        Command::Compact { remove_damaged } => {
            offline::recover::compact(place.folder()?, *remove_damaged, output)
        }
        Command::Log(args) => log::log(place, args, output),
        Command::Salvage { output: target, scratch } => {
            offline::salvage::salvage(place.folder()?, target, scratch.scratch.clone(), output)
        }
        Command::Run(run) => run::run(place.to_have()?, run, output),
        Command::Top(args) => top::top(place, args, output),
        Command::Serve(serve) => serve::serve(place.to_have()?, serve, args.token_file.as_deref(), output),
        Command::Logs(args) => logs::logs(place, args, output),
        Command::Completions { .. } | Command::Watchdog { .. } => Ok(CommandStatus::Success),
    }
}

#[cfg_attr(not(feature = "etcd"), allow(unused_variables, reason = "only used with etcd"))]
fn restore_where(
    args: &Args,
    restore: &crate::args::Restore,
    output: &mut Output,
) -> Result<CommandStatus, Failure> {
    #[cfg(feature = "etcd")]
    if let Some(options) = crate::open::etcd(&args.etcd)? {
        return offline::recover::restore_to_etcd(restore, &options, output);
    }
    offline::recover::restore(restore, output)
}

fn init(place: &Location) -> Result<CommandStatus, Failure> {
    #[cfg(feature = "etcd")]
    if let Location::Etcd(options) = place {
        Store::connect(options)?.close()?;
        say("the store in etcd exists under this prefix");
        return Ok(CommandStatus::Success);
    }
    let db = place.folder()?;
    if db.join("MANIFEST").exists() {
        return Err(Failure::Failed(format!(
            "a store already exists at {}; it was not changed",
            db.display()
        )));
    }
    Store::open(db)?.close()?;
    say(&format!("created an empty store at {}", db.display()));
    Ok(CommandStatus::Success)
}

fn completions(shell: clap_complete::Shell, output: &mut Output) -> Result<CommandStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "procstate", &mut script);
    output.bytes(&script)?;
    Ok(CommandStatus::Success)
}
