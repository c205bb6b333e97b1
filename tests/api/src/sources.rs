//! The parsed modules of the library, and path resolution in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::{Attribute, Item, ItemMod, UseTree, Visibility};

/// A path from the root of the crate.
pub(crate) type Name = Vec<String>;

#[derive(Default)]
pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) imports: Vec<Import>,
}

/// A name imported by a `use`.
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Name,
    pub(crate) is_public: bool,
    pub(crate) attrs: Vec<Attribute>,
}

pub(crate) struct Sources {
    pub(crate) modules: BTreeMap<Name, Module>,
}

impl Sources {
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Self { modules: BTreeMap::new() };
        sources.add(Vec::new(), root, root.parent().unwrap());
        sources
    }

    /// Adds the module `name` from the file `file`, with submodules in `folder`.
    fn add(&mut self, name: Name, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add_items(name, parsed.attrs, parsed.items, folder);
    }

    fn add_items(&mut self, name: Name, docs: Vec<Attribute>, items: Vec<Item>, folder: &Path) {
        let mut module = Module { docs, ..Module::default() };
        for item in items {
            match item {
                Item::Mod(item) if is_left_out(&item.attrs) => drop(item),
                Item::Mod(item) => {
                    self.add_module(&name, &item, folder);
                    module.items.push(Item::Mod(ItemMod { content: None, ..item }));
                }
                Item::Use(item) => {
                    let is_public = matches!(item.vis, Visibility::Public(_));
                    let mut names = Vec::new();
                    flatten(&item.tree, Vec::new(), &mut names);
                    module.imports.extend(names.into_iter().map(|(name, path)| Import {
                        name,
                        path,
                        is_public,
                        attrs: item.attrs.clone(),
                    }));
                }
                item => module.items.push(item),
            }
        }
        self.modules.insert(name, module);
    }

    fn add_module(&mut self, parent: &Name, item: &ItemMod, folder: &Path) {
        let name: Name = parent.iter().cloned().chain([item.ident.to_string()]).collect();
        let below = folder.join(item.ident.to_string());
        match &item.content {
            Some((_, items)) => self.add_items(name, item.attrs.clone(), items.clone(), &below),
            None => {
                let (flat, nested) = (below.with_extension("rs"), below.join("mod.rs"));
                self.add(name, if nested.exists() { &nested } else { &flat }, &below);
            }
        }
    }

    /// Resolves `path` in the module `within`; `None` if it is not of this crate.
    pub(crate) fn resolve(&self, within: &Name, path: &[String]) -> Option<Name> {
        self.resolve_within(within, path, 8)
    }

    fn resolve_within(&self, within: &Name, path: &[String], depth: usize) -> Option<Name> {
        let depth = depth.checked_sub(1)?;
        let (mut base, mut rest) = (within.clone(), path);
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" => base.clear(),
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = others;
        }
        let Some((first, others)) = rest.split_first() else { return Some(base) };
        let inner: Name = base.iter().cloned().chain([first.clone()]).collect();
        if self.modules.contains_key(&inner) {
            return if others.is_empty() { Some(inner) } else { self.resolve_within(&inner, others, depth) };
        }
        let module = self.modules.get(&base)?;
        if module.items.iter().any(|item| ident_of(item).is_some_and(|ident| *ident == first.as_str())) {
            return Some(base.into_iter().chain(rest.iter().cloned()).collect());
        }
        let import = module.imports.iter().find(|import| import.name == *first)?;
        let path: Name = import.path.iter().chain(others).cloned().collect();
        (path != rest).then(|| self.resolve_within(&base, &path, depth)).flatten()
    }
}

fn flatten(tree: &UseTree, path: Name, names: &mut Vec<(String, Name)>) {
    let longer = |ident: &syn::Ident| path.iter().cloned().chain([ident.to_string()]).collect::<Name>();
    match tree {
        UseTree::Path(tree) => flatten(&tree.tree, longer(&tree.ident), names),
        UseTree::Name(name) if name.ident == "self" => {
            names.extend(path.last().map(|last| (last.clone(), path.clone())));
        }
        UseTree::Name(name) => names.push((name.ident.to_string(), longer(&name.ident))),
        UseTree::Rename(name) => names.push((name.rename.to_string(), longer(&name.ident))),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path.clone(), names)),
        UseTree::Glob(_) => {}
    }
}

/// Reports whether only tests and fuzz targets include it.
pub(crate) fn is_left_out(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let text = attr.path().is_ident("cfg").then(|| crate::listing::text(&attr.meta));
        text.is_some_and(|text| {
            ["test", "doctest", "fuzzing", "shuttle"].iter().any(|only| text.contains(only))
        })
    })
}

pub(crate) fn ident_of(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}
