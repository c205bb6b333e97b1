//! A program that updates a store, prints each acknowledged update, and is killed.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::peers::{Class, Peer};
use crate::records::Step;

#[derive(Clone, Debug, Args)]
pub struct Victim {
    #[arg(long)]
    pub peer: Peer,
    #[arg(long)]
    pub class: Class,
    #[arg(long)]
    pub folder: PathBuf,
    /// The number of updated items per process.
    #[arg(long)]
    pub items: usize,
    /// The number of threads, each with its own process.
    #[arg(long)]
    pub threads: usize,
    /// The maximum number of updates per thread.
    #[arg(long)]
    pub calls: u64,
}

/// A line of a victim's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Claimed { process: usize, owner: String },
    Acknowledged { process: usize, total: u64 },
}

impl Said {
    /// Parses a line; `None` if the kill cut it off.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('.')?.split(' ');
        let (kind, process, rest) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        match kind {
            "owner" => Some(Self::Claimed { process, owner: rest.to_owned() }),
            "ack" => Some(Self::Acknowledged { process, total: rest.parse().ok()? }),
            _ => None,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Claimed { process, owner } => format!("owner {process} {owner}.\n"),
            Self::Acknowledged { process, total } => format!("ack {process} {total}.\n"),
        }
    }

    /// Prints it with one write call, so that lines of several threads do not mix.
    fn say(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.line().as_bytes())?;
        Ok(out.flush()?)
    }
}

pub fn run(victim: &Victim) -> Result<()> {
    let store = victim.peer.open(&victim.folder, victim.class)?;
    std::thread::scope(|scope| {
        let threads = (0..victim.threads).map(|process| {
            let store = &store;
            scope.spawn(move || -> Result<()> {
                let mut session = store.session(process)?;
                let owner = session.claim(victim.items)?;
                Said::Claimed { process, owner }.say()?;
                for total in 1..=victim.calls {
                    session.update(Step::new(total, victim.items))?;
                    Said::Acknowledged { process, total }.say()?;
                }
                Ok(())
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread that does not panic"))
    })?;
    // Without closing the store: everything acknowledged must be there nevertheless.
    std::process::exit(0)
}

impl Victim {
    pub fn arguments(&self) -> Result<Vec<String>> {
        let folder = self.folder.to_str().context("a folder with a name in UTF-8")?;
        Ok(vec![
            "victim".into(),
            format!("--peer={}", crate::program::argument(&self.peer)),
            format!("--class={}", crate::program::argument(&self.class)),
            format!("--folder={folder}"),
            format!("--items={}", self.items),
            format!("--threads={}", self.threads),
            format!("--calls={}", self.calls),
        ])
    }

    pub fn start(&self) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        Ok(command.args(self.arguments()?).stdout(Stdio::piped()).spawn()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let claimed = Said::Claimed { process: 3, owner: "instance-1".to_owned() };
        let acknowledged = Said::Acknowledged { process: 3, total: 12 };
        for said in [claimed, acknowledged] {
            assert_eq!(Said::parse(said.line().trim_end()), Some(said));
        }
    }

    #[test]
    fn a_truncated_line_is_ignored() {
        for line in ["", "ack", "ack 3", "ack 3 1", "owner 3 instan"] {
            assert_eq!(Said::parse(line), None, "{line}");
        }
    }
}
