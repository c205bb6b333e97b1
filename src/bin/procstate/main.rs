//! The command-line tool of procstate: inspects and changes a store, and runs commands for its work
//! items.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod commands;
mod failure;
mod input;
mod open;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;
use terminal::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    terminal::log::to_stderr(args.verbose);
    terminal::panics::say_nothing_of_caught_ones();
    let mut output = Output::new(args.json);
    let result = commands::dispatch(&args, &mut output).and_then(|found| {
        output.flush()?;
        Ok(found)
    });
    match result {
        Ok(found) => ExitCode::from(found.exit_code()),
        Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::output::say(&format!("procstate: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}
