//! Checks the rules of the code base that the compiler does not enforce.

#[path = "tidy/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers from the bottom up: a module may use itself and earlier ones.
const LAYERS: [&str; 19] = [
    "sync", "text", "error", "proto", "clock", "crc", "model", "record", "disk", "archive", "folder",
    "index", "engine", "recovery", "store", "run", "runner", "tokio", "remote",
];

/// Outermost modules, which no layer below the tool may use.
const OUTERMOST: [&str; 6] = ["http", "interchange", "fuzzing", "serialize", "testing", "typed"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn library() -> Vec<PathBuf> {
    let bin = Path::new("src/bin");
    sources(Path::new("src")).into_iter().filter(|path| !path.starts_with(bin)).collect()
}

/// Returns the module under `src/` of a file.
fn layer(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap().components().next().unwrap();
    below.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Returns the modules that a line names after `crate::`.
fn imports(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .filter(|(at, _)| !line[..*at].ends_with('$'))
        .filter_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            Some(&rest[..end]).filter(|name| !name.is_empty())
        })
        .collect()
}

#[test]
fn imports_go_downwards_only() {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut checked = 0;
    for path in library() {
        let layer = layer(&path);
        if layer == "lib" || OUTERMOST.contains(&layer.as_str()) {
            continue;
        }
        let own = rank(&layer).unwrap_or_else(|| panic!("{layer} has no place among the layers"));
        let text = fs::read_to_string(&path).unwrap();
        for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim_start().starts_with("//"))
        {
            for name in imports(text) {
                assert!(!OUTERMOST.contains(&name), "{}:{}: uses {name}", path.display(), line + 1);
                let used = rank(name).unwrap_or_else(|| panic!("{}: no rank for {name}", path.display()));
                assert!(used <= own, "{}:{}: {layer} uses {name}, above it", path.display(), line + 1);
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} imports were seen");
}

#[test]
fn no_files_use_one_another_in_a_circle() {
    let tool = Path::new("src/bin/procstate");
    for (root, files) in [(Path::new("src"), library()), (tool, sources(tool))] {
        let files: Vec<PathBuf> = files.into_iter().filter(|path| !is_test(path)).collect();
        let found = imports::Imports::of(root, &files);
        assert!(found.len() > 100, "only {} imports were seen", found.len());
        if let Some(circle) = found.circle() {
            let names: Vec<String> = circle.iter().map(|file| file.display().to_string()).collect();
            panic!("each of these uses the next, and the last one the first:\n  {}", names.join("\n  "));
        }
    }
}

/// A folder should be readable from its file names.
#[test]
fn folders_are_small() {
    const FILES_MAX: usize = 12;
    let mut files: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in sources(Path::new("src")) {
        *files.entry(path.parent().unwrap().to_owned()).or_default() += 1;
    }
    for (folder, count) in files {
        assert!(count <= FILES_MAX, "{}: {count} files side by side", folder.display());
    }
}

#[test]
fn only_the_index_names_sled() {
    for path in library() {
        let text = fs::read_to_string(&path).unwrap();
        if layer(&path) != "index" {
            let line = text.lines().find(|line| line.contains("sled::"));
            assert_eq!(line, None, "{}", path.display());
        }
    }
}

#[test]
fn the_tool_uses_the_public_api_only() {
    for path in sources(Path::new("src/bin")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("#[path"), "{}", path.display());
    }
}

/// Names after `crate::`: `crate::http` is the module itself, `crate::interchange` and
/// `crate::tokio` are public, and `crate::remote` contains the engine's own calls.
#[test]
fn http_uses_the_public_api_only() {
    const PUBLIC: [&str; 7] = ["http", "interchange", "proto", "recovery", "remote", "text", "tokio"];
    for path in sources(Path::new("src/http")) {
        let text = fs::read_to_string(&path).unwrap();
        for (line, text) in text.lines().enumerate() {
            for name in imports(text) {
                assert!(PUBLIC.contains(&name), "{}:{}: uses {name}", path.display(), line + 1);
            }
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Split so that this file does not match.
    let marks =
        ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X", "dbg".to_owned() + "!("];
    for folder in ["src", "tests", "benches", "examples", "proto", "fuzz/fuzz_targets", "fuzz/src"] {
        for path in sources(Path::new(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for mark in &marks {
                assert!(!text.contains(mark.as_str()), "{}: {mark}", path.display());
            }
        }
    }
}

/// Returns the words after each `option` in the text.
fn values<'a>(text: &'a str, option: &str) -> Vec<&'a str> {
    let after = text.split(option).skip(1).filter_map(|rest| rest.strip_prefix(' '));
    // Upper case stands for any name.
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    after
        .map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
        .filter(|name| !name.is_empty())
        .collect()
}

/// A filter that matches no test passes in silence.
#[test]
fn documented_commands_name_tests_that_exist() {
    let tests = library().into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let names: Vec<&str> =
            text.split("#[test]").skip(1).filter_map(|test| test.split('(').next()).collect();
        path.display().to_string() + &names.join(" ")
    });
    let tests: Vec<String> = tests.collect();
    let mut documents: Vec<PathBuf> = vec!["justfile".into(), "fuzz/run".into(), ".ci/run".into()];
    for folder in [".", "docs", "benches/peers"] {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let mut checked = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let mut check = |exists: bool, name: &str| {
            assert!(exists, "{}: nothing is called {name}", document.display());
            checked += 1;
        };
        for (option, folder) in [("--test", "tests"), ("--bench", "benches"), ("--example", "examples")] {
            for name in values(&text, option) {
                let path = Path::new(folder).join(name);
                check(path.join("main.rs").exists() || path.with_extension("rs").exists(), name);
            }
        }
        for filter in values(&text, "--lib") {
            check(tests.iter().any(|test| test.contains(filter)), filter);
        }
    }
    assert!(checked > 30, "only {checked} names were seen");
}

/// Reports whether a file contains only tests.
fn is_test(path: &Path) -> bool {
    let names = path.with_extension("");
    names
        .iter()
        .any(|name| ["claim_model", "lease_model", "suite", "tests"].contains(&&*name.to_string_lossy()))
}

#[test]
fn files_and_functions_are_small() {
    const FILE_LINES_MAX: usize = 400;
    const FUNCTION_LINES_MAX: usize = 50;
    for path in sources(Path::new("src")).into_iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].ends_with('{'));
        let code = &lines[..tests.unwrap_or(lines.len())];
        assert!(code.len() <= FILE_LINES_MAX, "{}: {} lines", path.display(), code.len());
        let mut start = None;
        for (line, text) in code.iter().enumerate() {
            let indent = text.len() - text.trim_start().len();
            let is_function = text.contains("fn ") && text.trim_end().ends_with('{');
            if is_function && start.is_none() {
                start = Some((line, indent));
            }
            if let Some((first, first_indent)) = start
                && text.trim() == "}"
                && indent == first_indent
            {
                let length = line - first + 1;
                assert!(length <= FUNCTION_LINES_MAX, "{}:{}: {length} lines", path.display(), first + 1);
                start = None;
            }
        }
    }
}

/// Returns the names of the packages built with these features.
fn packages(edges: &str, features: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}"];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--edges", edges, "--features", features]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_default_features_need_few_packages() {
    let packages = packages("normal", "default");
    assert!(packages.contains("sled"), "{packages:?}");
    for heavy in ["axum", "clap", "crossterm", "hyper", "serde_json", "tokio"] {
        assert!(!packages.contains(heavy), "{heavy}");
    }
    // Includes this package. An increase needs a justification here.
    const PACKAGES_MAX: usize = 45;
    assert!(packages.len() <= PACKAGES_MAX, "{} packages: {packages:?}", packages.len());
}

#[test]
fn serving_over_http_builds_no_c() {
    let packages = packages("normal,build", "http");
    assert!(packages.contains("axum"), "{packages:?}");
    for builder in ["autotools", "bindgen", "cc", "cmake", "nasm-rs", "pkg-config", "vcpkg"] {
        assert!(!packages.contains(builder), "{builder} is needed: cargo tree --features http -i {builder}");
    }
}
