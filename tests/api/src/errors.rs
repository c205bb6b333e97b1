//! Checks that `docs/errors.md` has the text of every error, and every method that tells its kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::{Attribute, ImplItem, Item, Visibility};

use crate::ROOT;

/// Returns the longest constant part of a text, if any.
fn fixed_part(text: &str) -> Option<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                parts.push(String::new());
            }
            // The text between placeholders.
            c if depth == 0 => parts.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let first_sentence = |part: String| {
        part.split(['.', '(', ';', ':', ',', '`']).next().unwrap_or_default().trim().to_owned()
    };
    parts.into_iter().map(first_sentence).max_by_key(String::len).filter(|part| part.len() > 3)
}

fn text_of(attrs: &[Attribute]) -> Option<String> {
    let attr = attrs.iter().find(|attr| attr.path().is_ident("error"))?;
    let syn::Meta::List(list) = &attr.meta else { return None };
    let first = list.tokens.clone().into_iter().next()?;
    let text: syn::LitStr = syn::parse2(first.into()).ok()?;
    Some(text.value())
}

#[test]
fn the_page_of_errors_is_complete() {
    let source = fs::read_to_string(Path::new(ROOT).join("src/error.rs")).unwrap();
    let page = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
    let items = syn::parse_file(&source).unwrap().items;
    let (mut texts, mut methods) = (Vec::new(), BTreeSet::new());
    for item in items {
        match item {
            Item::Enum(item) if item.ident == "Failure" => {
                texts.extend(item.variants.iter().filter_map(|variant| text_of(&variant.attrs)));
            }
            Item::Impl(item) => methods.extend(item.items.into_iter().filter_map(|part| match part {
                ImplItem::Fn(part) if matches!(part.vis, Visibility::Public(_)) => {
                    Some(part.sig.ident.to_string())
                }
                _ => None,
            })),
            _ => {}
        }
    }
    assert!(texts.len() > 25 && methods.len() > 10, "{texts:?} {methods:?}");
    let lacking: Vec<String> = texts
        .iter()
        .filter_map(|text| fixed_part(text))
        .filter(|part| !page.contains(part.as_str()))
        .collect();
    assert!(lacking.is_empty(), "docs/errors.md lacks the texts of src/error.rs:\n{}", lacking.join("\n"));
    let told: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(told, methods, "the headings of docs/errors.md and the methods of Error differ");
}
