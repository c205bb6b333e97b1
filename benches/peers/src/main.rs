//! procstate beside other embedded stores: the same work, by the same promise.

mod measure;
mod peers;
mod records;
mod resources;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// One measurement; the bench starts these.
    #[command(hide = true)]
    Measure(measure::Task),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Some(Command::Measure(task)) => measure::run(&task),
        None => Ok(()),
    }
}
