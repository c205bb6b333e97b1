//! The report: JSON, Markdown, and plots.

mod chart;
mod markdown;
pub mod numbers;
mod plots;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::goals::{Goal, goals};
use crate::results::Results;

#[derive(Serialize)]
struct Report<'a> {
    goals: &'a [Goal],
    #[serde(flatten)]
    results: &'a Results,
}

/// Writes `NAME.json`, `NAME.md`, and plots whose names start with `prefix`.
pub fn write(results: &Results, folder: &Path, name: &str, prefix: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let goals = goals(results);
    let json = serde_json::to_string(&Report { goals: &goals, results })?;
    fs::write(folder.join(format!("{name}.json")), json)?;
    let plots = plots::draw(results, folder, prefix)?;
    let markdown = markdown::write(results, &goals, &plots);
    fs::write(folder.join(format!("{name}.md")), &markdown)?;
    println!("{}", markdown::goals(&goals));
    println!("written: {name}.md, {name}.json and {} plots in {}", plots.len(), folder.display());
    Ok(())
}
