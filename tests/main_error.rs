//! A `main` that returns an error prints its text.
//!
//! The program runs itself as a child, which opens a missing store.

use std::process::Command;

const STORE: &str = "PROCSTATE_TEST_STORE";

fn main() -> Result<(), procstate::Error> {
    if let Some(path) = std::env::var_os(STORE) {
        let store = procstate::Store::builder().create(false).open(path)?;
        return store.close();
    }
    a_main_that_returns_an_error_shows_its_words();
    Ok(())
}

fn a_main_that_returns_an_error_shows_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let output = Command::new(std::env::current_exe().unwrap()).env(STORE, &missing).output().unwrap();
    let expected = format!("Error: there is no store at {}: check its name.", missing.display());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}
