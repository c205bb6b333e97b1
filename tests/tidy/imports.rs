//! Determines which files of `src` use each other, from `use` statements and paths.
//!
//! A re-export is not a use: a name re-exported by `mod.rs` leads to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The module of a file without its tests.
struct Module {
    /// The path from the crate root.
    path: Vec<String>,
    /// Re-exported names and their paths.
    exports: BTreeMap<String, Vec<String>>,
    /// The paths that it uses.
    uses: BTreeSet<Vec<String>>,
}

/// The files that each file uses.
pub(crate) struct Imports(BTreeMap<PathBuf, BTreeSet<PathBuf>>);

impl Imports {
    /// Analyses these files, which are the whole crate in `root` without tests.
    pub(crate) fn of(root: &Path, files: &[PathBuf]) -> Self {
        let modules: BTreeMap<PathBuf, Module> =
            files.iter().map(|file| (file.clone(), Module::read(root, file))).collect();
        let by_path: BTreeMap<Vec<String>, &PathBuf> =
            modules.iter().map(|(file, module)| (module.path.clone(), file)).collect();
        let used = |file: &PathBuf, module: &Module| {
            let resolved = module.uses.iter().filter_map(|used| resolve(used, &by_path, &modules, 0));
            resolved.filter(|found| found != file).collect()
        };
        Self(modules.iter().map(|(file, module)| (file.clone(), used(file, module))).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Returns a cycle of files that use each other, if any.
    pub(crate) fn circle(&self) -> Option<Vec<&Path>> {
        let mut done = BTreeSet::new();
        self.0.keys().find_map(|file| self.circle_from(file, &mut Vec::new(), &mut done))
    }

    fn circle_from<'a>(
        &'a self,
        file: &'a Path,
        way: &mut Vec<&'a Path>,
        done: &mut BTreeSet<&'a Path>,
    ) -> Option<Vec<&'a Path>> {
        if let Some(first) = way.iter().position(|passed| *passed == file) {
            return Some(way[first..].to_vec());
        }
        if done.contains(file) {
            return None;
        }
        way.push(file);
        let found = self.0.get(file)?.iter().find_map(|next| self.circle_from(next, way, done));
        way.pop();
        done.insert(file);
        found
    }
}

/// Returns the file that defines `path`.
fn resolve(
    path: &[String],
    by_path: &BTreeMap<Vec<String>, &PathBuf>,
    modules: &BTreeMap<PathBuf, Module>,
    depth: usize,
) -> Option<PathBuf> {
    assert!(depth < 20, "{path:?} leads nowhere");
    let length = (1..=path.len()).rev().find(|length| by_path.contains_key(&path[..*length]))?;
    let file = by_path[&path[..length]];
    let Some(name) = path.get(length) else { return Some(file.clone()) };
    match modules[file].exports.get(name) {
        Some(exported) => {
            let path: Vec<String> = exported.iter().chain(&path[length + 1..]).cloned().collect();
            resolve(&path, by_path, modules, depth + 1)
        }
        None => Some(file.clone()),
    }
}

impl Module {
    fn read(root: &Path, file: &Path) -> Self {
        let path = module_path(root, file);
        let text = fs::read_to_string(file).unwrap();
        let (statements, code) = split(&text);
        let mut module = Self { path, exports: BTreeMap::new(), uses: BTreeSet::new() };
        for (statement, is_export) in statements {
            for (name, used) in expand(&statement) {
                let Some(used) = module.absolute(&used) else { continue };
                if is_export {
                    module.exports.insert(name, used);
                } else {
                    module.uses.insert(used);
                }
            }
        }
        for path in paths(&code) {
            module.uses.extend(module.absolute(&path));
        }
        module
    }

    /// Returns the path from the crate root; `None` if it leads to another crate.
    fn absolute(&self, used: &[String]) -> Option<Vec<String>> {
        let supers = used.iter().take_while(|segment| *segment == "super").count();
        let own = |up: usize| self.path[..self.path.len().saturating_sub(up)].to_vec();
        match used.first()?.as_str() {
            "crate" => Some(used.to_vec()),
            "super" => Some([own(supers), used[supers..].to_vec()].concat()),
            "self" => Some([own(0), used[1..].to_vec()].concat()),
            // A child module, or another crate, which is then not found.
            _ => Some([own(0), used.to_vec()].concat()),
        }
    }
}

fn module_path(root: &Path, file: &Path) -> Vec<String> {
    let inner = file.strip_prefix(root).unwrap().with_extension("");
    let names = inner.iter().map(|name| name.to_string_lossy().into_owned());
    let names = names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str()));
    std::iter::once("crate".to_owned()).chain(names).collect()
}

/// Returns the `use` statements of a file with whether each is a re-export, and the rest, without
/// tests and comments.
fn split(text: &str) -> (Vec<(String, bool)>, String) {
    let (mut statements, mut code) = (Vec::new(), String::new());
    let mut open: Option<(String, bool)> = None;
    let mut is_test = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        if is_test && line.starts_with("mod ") && line.ends_with('{') {
            break;
        }
        let begun = line.trim_start().strip_prefix("pub(crate) ").or(line.trim_start().strip_prefix("pub "));
        let begun = begun.or(line.trim_start().strip_prefix("pub(super) ")).unwrap_or(line.trim_start());
        if let Some((statement, _)) = &mut open {
            statement.push_str(line.trim());
        } else if begun.starts_with("use ") && !is_test {
            open = Some((begun.trim().to_owned(), begun != line.trim_start()));
        } else if !is_test {
            code.push_str(line);
            code.push('\n');
        }
        if open.as_ref().is_some_and(|(statement, _)| statement.ends_with(';')) {
            statements.extend(open.take());
        }
        is_test = line.trim() == "#[cfg(test)]" || (is_test && line.trim().starts_with("#["));
    }
    (statements, code)
}

/// Returns the names that a `use` statement imports with their paths.
fn expand(statement: &str) -> Vec<(String, Vec<String>)> {
    let tree = statement.trim_start_matches("use ").trim_end_matches(';');
    let mut found = Vec::new();
    expand_tree(tree, &[], &mut found);
    found
}

fn expand_tree(tree: &str, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    let (path, inner) = match tree.split_once('{') {
        Some((path, inner)) => (path, inner.strip_suffix('}')),
        None => (tree, None),
    };
    let (path, alias) = path.split_once(" as ").map_or((path, None), |(path, alias)| (path, Some(alias)));
    let segments = path.split("::").map(str::trim).filter(|segment| !segment.is_empty());
    let mut path: Vec<String> = before.iter().cloned().chain(segments.map(str::to_owned)).collect();
    if let Some(inner) = inner {
        branches(inner).into_iter().for_each(|branch| expand_tree(branch, &path, found));
        return;
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let name = alias.map(|alias| alias.trim().to_owned()).or(path.last().cloned());
    found.extend(name.map(|name| (name, path)));
}

/// Splits a use tree at its commas.
fn branches(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inner[start..]);
    found.into_iter().filter(|branch| !branch.trim().is_empty()).collect()
}

/// Returns the paths in code that start at the crate or a parent module.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !is_path(c));
    let paths = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
    paths.map(|path| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()).collect()
}
