//! Makes the picture in the README: the pages of a process that counts the lines of this
//! repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use procstate::http::Options;
use procstate::{Params, Runner, RunnerBuilder, Store, WorkContext, WorkResult};

use super::browser::Browser;
use crate::client::Site;

/// Counts the lines of a file, unless it is larger than the settings allow.
fn count_lines(work: &mut WorkContext) -> WorkResult {
    let text = std::fs::read(work.name())?;
    let limit = work.settings().get_int("maxBytes").unwrap_or(i64::MAX);
    if i64::try_from(text.len())? > limit {
        return Err(format!("{} bytes, and at most {limit} are allowed", text.len()).into());
    }
    work.add_stat("bytes", text.len() as f64);
    work.add_stat("lines", text.split(|byte| *byte == b'\n').count() as f64);
    Ok(())
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path.to_string_lossy()));
        } else {
            found.push(path);
        }
    }
    found
}

fn reader(store: &Store, folder: &str) -> RunnerBuilder {
    Runner::builder(store, folder).label("reader").worker_fn(count_lines)
}

/// Runs over a folder several times, each time over more files, the last ones with a limit.
fn read(store: &Store, folder: &str, times: usize) {
    let process = store.process(folder).unwrap();
    let files = files(folder);
    let names = files.iter().map(|path| (path.to_string_lossy().into_owned(), Params::new()));
    let names: Vec<(String, Params)> = names.collect();
    for n in 1..=times {
        process.register_all(names[..(names.len() * n).div_ceil(times)].to_vec()).unwrap();
        if n + 4 == times {
            process.set_params(Params::new().int("maxBytes", 15 << 10)).unwrap();
        }
        reader(store, folder).build().unwrap().run_once().unwrap();
    }
}

#[ignore = "makes the picture in the README, `just screenshot`"]
#[tokio::test(flavor = "multi_thread")]
async fn screenshot() {
    let browser = Browser::start().await.expect("the picture is taken in a browser");
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with(Store::open(folder.path().join("state")).unwrap(), Options::new());
    for folder in ["docs", "examples", "tests", "src"] {
        read(&site.store, folder, 24);
    }
    let running =
        reader(&site.store, "src").every(Duration::from_secs(3600)).items_per_minute(1200).spawn().unwrap();
    browser.client.set_window_size(1180, 1180).await.unwrap();
    browser.open(&site, "/processes/src").await;
    browser.sees("#connection", "live").await;
    let process = site.store.process("src").unwrap();
    while process.summary().unwrap().ended < 220 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let picture = browser.client.screenshot().await.unwrap();
    drop(running);
    assert!(picture.len() < 200_000, "{} bytes", picture.len());
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dashboard.png"), picture).unwrap();
    browser.end(&site, &[]).await;
}
