//! Public items: their paths, signatures, and examples.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item as Source, ItemImpl, TraitItem, Type, Visibility};

use crate::listing::{features, text};
use crate::sources::{Name, Sources, ident_of, is_left_out};

#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The path for users: `procstate::Store::open`.
    pub(crate) path: String,
    /// The declaration without its body.
    pub(crate) signature: String,
    /// The required features.
    pub(crate) features: BTreeSet<String>,
    pub(crate) examples: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Other,
}

impl Item {
    /// Reports whether users call it.
    pub(crate) fn is_called(&self) -> bool {
        self.kind == Kind::Function
    }

    /// Reports whether it has an example of its own, or one that calls it by name.
    pub(crate) fn is_shown_in(&self, examples: &str) -> bool {
        let name = self.path.rsplit("::").next().unwrap_or_default();
        let calls = [".", "::", " ", "(", "!", "&"].map(|before| format!("{before}{name}("));
        !self.examples.is_empty() || calls.iter().any(|call| examples.contains(call.as_str()))
    }
}

/// Returns everything that users can name, by public path.
pub(crate) fn of(sources: &Sources) -> Vec<Item> {
    let mut walk = Walk { sources, found: Vec::new(), names: BTreeMap::new() };
    walk.module(&Vec::new(), "procstate", &BTreeSet::new());
    walk.impls();
    walk.found
}

struct Walk<'a> {
    sources: &'a Sources,
    found: Vec<Item>,
    /// The public path and required features of a type, by where it is defined.
    names: BTreeMap<Name, (String, BTreeSet<String>)>,
}

impl Walk<'_> {
    fn module(&mut self, name: &Name, path: &str, needs: &BTreeSet<String>) {
        let sources = self.sources;
        let module = &sources.modules[name];
        let signature = format!("mod {path}");
        self.push(path, signature, needs.clone(), &module.docs, Kind::Other);
        for item in &module.items {
            if let Source::Mod(inner) = item
                && is_public(&inner.vis)
            {
                let inner_name: Name = name.iter().cloned().chain([inner.ident.to_string()]).collect();
                let needs = with(needs, &inner.attrs);
                self.module(&inner_name, &format!("{path}::{}", inner.ident), &needs);
            } else if let Some(ident) = ident_of(item) {
                let (path, defined) = (format!("{path}::{ident}"), name.clone());
                self.item(item, &path, defined, needs);
            }
        }
        for import in module.imports.iter().filter(|import| import.is_public) {
            let (path, needs) = (format!("{path}::{}", import.name), with(needs, &import.attrs));
            match sources.resolve(name, &import.path) {
                Some(defined) if sources.modules.contains_key(&defined) => {
                    self.module(&defined, &path, &needs)
                }
                Some(defined) => self.defined(&defined, &path, &needs),
                None => {
                    let signature = format!("use {} as {path}", import.path.join("::"));
                    self.push(&path, signature, needs, &[], Kind::Other);
                }
            }
        }
    }

    fn defined(&mut self, defined: &Name, path: &str, needs: &BTreeSet<String>) {
        let Some((ident, module)) = defined.split_last() else { return };
        let sources = self.sources;
        let Some(module_items) = sources.modules.get(module) else { return };
        let item = module_items.items.iter().find(|item| ident_of(item).is_some_and(|found| found == ident));
        let Some(item) = item else {
            // Generated from the schema at build time.
            self.names.insert(defined.clone(), (path.to_owned(), needs.clone()));
            let signature = format!("{path} (a message of proto/process/v1/process.proto)");
            return self.push(path, signature, needs.clone(), &[], Kind::Other);
        };
        self.item(item, path, module.to_vec(), needs);
    }

    fn item(&mut self, item: &Source, path: &str, module: Name, needs: &BTreeSet<String>) {
        let Some(ident) = ident_of(item) else { return };
        let note = |walk: &mut Self, needs: &BTreeSet<String>| {
            let defined = module.iter().cloned().chain([ident.to_string()]).collect();
            walk.names.entry(defined).or_insert_with(|| (path.to_owned(), needs.clone()));
        };
        match item {
            Source::Fn(item) if is_public(&item.vis) => {
                let signature = signature(&item.sig, path);
                self.push(path, signature, with(needs, &item.attrs), &item.attrs, Kind::Function);
            }
            Source::Const(item) if is_public(&item.vis) => {
                let signature = format!("const {path}: {}", text(&item.ty));
                self.push(path, signature, with(needs, &item.attrs), &item.attrs, Kind::Other);
            }
            Source::Type(item) if is_public(&item.vis) => {
                let signature = format!("type {path}{} = {}", text(&item.generics), text(&item.ty));
                self.push(path, signature, with(needs, &item.attrs), &item.attrs, Kind::Other);
            }
            Source::Struct(item) if is_public(&item.vis) => {
                let needs = with(needs, &item.attrs);
                let signature = format!("{}struct {path}{}", derives(&item.attrs), text(&item.generics));
                self.push(path, signature, needs.clone(), &item.attrs, Kind::Other);
                self.fields(&item.fields, path, &needs, false);
                note(self, &needs);
            }
            Source::Enum(item) if is_public(&item.vis) => {
                let needs = with(needs, &item.attrs);
                let signature = format!("{}enum {path}{}", derives(&item.attrs), text(&item.generics));
                self.push(path, signature, needs.clone(), &item.attrs, Kind::Other);
                for variant in &item.variants {
                    let path = format!("{path}::{}", variant.ident);
                    self.push(&path, path.clone(), needs.clone(), &variant.attrs, Kind::Other);
                    self.fields(&variant.fields, &path, &needs, true);
                }
                note(self, &needs);
            }
            Source::Trait(item) if is_public(&item.vis) => {
                let needs = with(needs, &item.attrs);
                let signature = format!("trait {path}{}: {}", text(&item.generics), text(&item.supertraits));
                self.push(path, signature, needs.clone(), &item.attrs, Kind::Other);
                for part in &item.items {
                    if let TraitItem::Fn(part) = part {
                        let path = format!("{path}::{}", part.sig.ident);
                        let given = if part.default.is_some() { " {..}" } else { "" };
                        let signature = format!("{}{given}", self::signature(&part.sig, &path));
                        self.push(&path, signature, needs.clone(), &part.attrs, Kind::Other);
                    }
                }
                note(self, &needs);
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Fields, path: &str, needs: &BTreeSet<String>, all: bool) {
        for (n, field) in fields.iter().enumerate().filter(|(_, field)| all || is_public(&field.vis)) {
            let name = field.ident.as_ref().map_or_else(|| n.to_string(), ToString::to_string);
            let path = format!("{path}::{name}");
            let signature = format!("{path}: {}", text(&field.ty));
            self.push(&path, signature, with(needs, &field.attrs), &[], Kind::Other);
        }
    }

    /// Adds implementations for the types that users can name.
    fn impls(&mut self) {
        let sources = self.sources;
        for (module, content) in &sources.modules {
            for item in &content.items {
                if let Source::Impl(item) = item
                    && !is_left_out(&item.attrs)
                {
                    self.implemented(module, item);
                }
            }
        }
    }

    fn implemented(&mut self, module: &Name, item: &ItemImpl) {
        let Type::Path(of) = &*item.self_ty else { return };
        let segments: Name = of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let Some(defined) = self.sources.resolve(module, &segments) else { return };
        let Some((path, needs)) = self.names.get(&defined).cloned() else { return };
        let needs = with(&with(&needs, &item.attrs), &self.sources.modules[module].docs);
        if let Some((_, of, _)) = &item.trait_ {
            let signature = format!("impl{} {} for {path}", text(&item.generics), text(of));
            self.push(&format!("{path}: {}", text(of)), signature, needs, &[], Kind::Other);
            return;
        }
        for part in &item.items {
            match part {
                ImplItem::Fn(part) if is_public(&part.vis) => {
                    let path = format!("{path}::{}", part.sig.ident);
                    let signature = signature(&part.sig, &path);
                    self.push(&path, signature, with(&needs, &part.attrs), &part.attrs, Kind::Function);
                }
                ImplItem::Const(part) if is_public(&part.vis) => {
                    let path = format!("{path}::{}", part.ident);
                    let signature = format!("const {path}: {}", text(&part.ty));
                    self.push(&path, signature, with(&needs, &part.attrs), &part.attrs, Kind::Other);
                }
                _ => {}
            }
        }
    }

    fn push(
        &mut self,
        path: &str,
        signature: String,
        needs: BTreeSet<String>,
        attrs: &[Attribute],
        kind: Kind,
    ) {
        if is_left_out(attrs) || is_hidden(attrs) {
            return;
        }
        let (path, examples) = (path.to_owned(), examples(attrs));
        self.found.push(Item { path, signature, features: needs, examples, kind });
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("doc") && text(&attr.meta).contains("hidden"))
}

fn with(needs: &BTreeSet<String>, attrs: &[Attribute]) -> BTreeSet<String> {
    needs.iter().cloned().chain(features(attrs)).collect()
}

fn derives(attrs: &[Attribute]) -> String {
    let kept = attrs.iter().filter(|attr| {
        ["derive", "must_use", "non_exhaustive"].iter().any(|kept| attr.path().is_ident(kept))
    });
    kept.map(|attr| format!("#[{}] ", text(&attr.meta))).collect()
}

fn signature(signature: &syn::Signature, path: &str) -> String {
    let mut named = signature.clone();
    named.ident = syn::Ident::new("HERE", named.ident.span());
    text(&named.to_token_stream()).replacen("HERE", path, 1)
}

/// Returns the code blocks of its documentation.
fn examples(attrs: &[Attribute]) -> String {
    let mut is_code = false;
    let mut code = String::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        let syn::Meta::NameValue(pair) = &attr.meta else { continue };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value else { continue };
        let line = line.value();
        if let Some(kind) = line.trim().strip_prefix("```") {
            is_code = !is_code && !kind.contains("text");
        } else if is_code {
            code.push_str(&line);
            code.push('\n');
        }
    }
    code
}
