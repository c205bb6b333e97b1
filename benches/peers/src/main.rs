//! Compares procstate with other embedded stores: the same work under the same promise.

mod bulk;
mod conduct;
mod goals;
mod jobs;
mod kill;
mod kill_test;
mod latency;
mod machine;
mod measure;
mod peers;
mod plan;
mod program;
mod records;
mod report;
mod resources;
mod results;
mod statistics;
mod syncs;
mod turns;
mod victim;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::peers::Peer;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Only these peers, and procstate.
    #[arg(long, global = true, value_delimiter = ',', value_name = "PEER,...")]
    peers: Vec<Peer>,
    /// The folder of the report.
    #[arg(long, global = true, default_value = "results", value_name = "DIR")]
    output: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in less than a minute, with rough figures.
    Quick,
    /// Everything, in a quarter of an hour, on an otherwise idle machine.
    Full,
    /// Stores of up to 10,000,000 items.
    Growth,
    /// Kill each peer during updates, and check what it acknowledged.
    KillTest,
    /// Compare jobs that do nothing with job libraries.
    Jobs(jobs::Jobs),
    /// Compare bulk registration with SQLite rows.
    Bulk(bulk::Bulk),
    #[command(hide = true)]
    JobTurn(jobs::procstate::JobTurn),
    #[command(hide = true)]
    BulkTurn(bulk::BulkTurn),
    /// A single measurement, started by the others.
    #[command(hide = true)]
    Measure(measure::Task),
    /// Update until killed.
    #[command(hide = true)]
    Victim(victim::Victim),
}

impl Arguments {
    fn peers(&self) -> Vec<Peer> {
        let all = Peer::value_variants().iter().copied();
        let is_wanted = |peer: &Peer| self.peers.contains(peer) || *peer == Peer::Procstate;
        if self.peers.is_empty() { all.collect() } else { all.filter(is_wanted).collect() }
    }

    fn report(&self, cases: &[plan::Case], name: &str, prefix: &str) -> Result<()> {
        let results = conduct::conduct(cases, &self.peers(), &command())?;
        report::write(&results, &self.output, name, prefix)
    }
}

/// Returns the command line of this program.
fn command() -> String {
    format!("cargo run --release -- {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Command::Quick => arguments.report(&plan::all(plan::QUICK), "results", ""),
        Command::Full => arguments.report(&plan::all(plan::FULL), "results", ""),
        Command::Growth => arguments.report(&plan::sizes(plan::GROWTH), "growth", "growth-"),
        Command::KillTest => {
            let broken = kill_test::run(&arguments.peers())?;
            ensure!(broken == 0, "{broken} promises were broken");
            Ok(())
        }
        Command::Jobs(jobs) => jobs::run(jobs, &arguments.output, &command()),
        Command::Bulk(bulk) => bulk::run(bulk, &arguments.output, &command()),
        Command::JobTurn(turn) => jobs::procstate::turn(turn),
        Command::BulkTurn(turn) => bulk::turn(turn),
        Command::Measure(task) => measure::run(task),
        Command::Victim(victim) => victim::run(victim),
    }
}
