//! The command template: words with placeholders for the item's name and parameters.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use procstate::Params;

/// The words of a command.
pub(super) struct Template {
    words: Vec<Vec<Part>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Name,
    Param(String),
}

impl Template {
    /// Parses a template.
    ///
    /// `{}` is the placeholder for the name and `{param}` for a parameter; if `name` is given, it
    /// is the only placeholder, and braces are literal. The name is appended to a command without
    /// placeholders.
    pub(super) fn new(command: &[OsString], name: Option<&str>) -> Self {
        let parse = |word: &OsString| match name {
            Some(name) => split_at(word.as_bytes(), name.as_bytes()),
            None => parse_braces(word.as_bytes()),
        };
        let mut words: Vec<Vec<Part>> = command.iter().map(parse).collect();
        if words.iter().flatten().all(|part| matches!(part, Part::Text(_))) {
            words.push(vec![Part::Name]);
        }
        Self { words }
    }

    /// Returns the command for an item.
    pub(super) fn words(
        &self,
        name: &OsStr,
        params: &HashMap<String, String>,
    ) -> Result<Vec<OsString>, String> {
        self.words.iter().map(|word| fill(word, name, params)).collect()
    }
}

/// Returns the values of placeholders: the item's parameters, and those of its process that it does
/// not have.
pub(super) fn values(of_process: &Params, of_item: &Params) -> HashMap<String, String> {
    let mut values = HashMap::new();
    for params in [of_process, of_item] {
        values.extend(params.int_params.iter().map(|(name, value)| (name.clone(), value.to_string())));
        values.extend(params.string_params.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    values
}

fn fill(word: &[Part], name: &OsStr, params: &HashMap<String, String>) -> Result<OsString, String> {
    let mut filled = Vec::new();
    for part in word {
        match part {
            Part::Text(text) => filled.extend_from_slice(text),
            Part::Name => filled.extend_from_slice(name.as_bytes()),
            Part::Param(param) => {
                let value = params.get(param).ok_or_else(|| {
                    format!(
                        "the command uses {{{param}}}, but neither the item nor its process has this parameter; \
                         with -I TEXT braces are literal"
                    )
                })?;
                filled.extend_from_slice(value.as_bytes());
            }
        }
    }
    if filled.contains(&0) {
        return Err("a word of its command would contain a NUL byte, which arguments cannot".to_owned());
    }
    Ok(OsString::from_vec(filled))
}

fn parse_braces(word: &[u8]) -> Vec<Part> {
    let (mut parts, mut text, mut rest) = (Vec::new(), Vec::new(), word);
    while let Some((&byte, after)) = rest.split_first() {
        let place = if byte == b'{' { placeholder(after, text.last()) } else { None };
        match place {
            Some((part, length)) => {
                push_text(&mut parts, &mut text);
                parts.push(part);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                text.push(byte);
                rest = after;
            }
        }
    }
    push_text(&mut parts, &mut text);
    parts
}

/// Parses a placeholder after a brace; returns its length up to the closing one.
///
/// `${HOME}` belongs to the shell.
fn placeholder(after: &[u8], before: Option<&u8>) -> Option<(Part, usize)> {
    let length = after.iter().position(|byte| *byte == b'}')?;
    let name = after.get(..length)?;
    if name.is_empty() {
        return Some((Part::Name, length + 1));
    }
    let is_name = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    let name = std::str::from_utf8(name).ok()?;
    (is_name && before != Some(&b'$')).then(|| (Part::Param(name.to_owned()), length + 1))
}

fn split_at(word: &[u8], name: &[u8]) -> Vec<Part> {
    let (mut parts, mut text, mut rest) = (Vec::new(), Vec::new(), word);
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(name).filter(|_| !name.is_empty()) {
            push_text(&mut parts, &mut text);
            parts.push(Part::Name);
            rest = after;
        } else {
            text.push(byte);
            rest = after;
        }
    }
    push_text(&mut parts, &mut text);
    parts
}

fn push_text(parts: &mut Vec<Part>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// Quotes the command for a shell.
pub(super) fn quoted(words: &[OsString]) -> Vec<u8> {
    // Arguments contain no NUL, the only character that cannot be quoted.
    shlex::bytes::try_join(words.iter().map(|word| word.as_bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_for(command: &[&str], marker: Option<&str>, name: &str) -> Result<Vec<String>, String> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let of_process = Params::new().string("region", "eu").string("dir", "/p");
        let of_item = Params::new().int("n", 8).string("dir", "/i");
        let words =
            Template::new(&command, marker).words(OsStr::new(name), &values(&of_process, &of_item))?;
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    fn words(command: &[&str]) -> Vec<String> {
        words_for(command, None, "a b").unwrap()
    }

    #[test]
    fn the_name_stands_for_braces_or_at_the_end() {
        assert_eq!(words(&["echo", "x{}y{}", "{}"]), ["echo", "xa bya b", "a b"]);
        assert_eq!(words(&["echo"]), ["echo", "a b"]);
    }

    #[test]
    fn item_parameters_override_process_parameters() {
        assert_eq!(words(&["cp", "{dir}/{n}", "{region}"]), ["cp", "/i/8", "eu"]);
    }

    #[test]
    fn other_braces_are_left_alone() {
        let command = ["sh", "-c", "echo ${HOME} {1} {a,b} { print } {\"a\":1} {", "{}"];
        assert_eq!(words(&command)[2], command[2]);
    }

    #[test]
    fn an_unknown_parameter_is_an_error_that_names_it() {
        let error = words_for(&["rm", "-r", "/data/{nope}"], None, "a").unwrap_err();
        assert!(error.starts_with("the command uses {nope}, but neither"), "{error}");
    }

    #[test]
    fn another_mark_leaves_braces_alone() {
        assert_eq!(
            words_for(&["awk", "{print}", "%", "x%%"], Some("%"), "a").unwrap(),
            ["awk", "{print}", "a", "xaa"]
        );
        assert_eq!(words_for(&["echo", "{}"], Some("%"), "a").unwrap(), ["echo", "{}", "a"]);
    }

    #[test]
    fn names_are_inserted_verbatim() {
        assert_eq!(words_for(&["echo", "{}"], None, "{n}{}").unwrap(), ["echo", "{n}{}"]);
        assert!(words_for(&["echo"], None, "a\0b").unwrap_err().contains("NUL"));
    }

    #[test]
    fn quoted_for_a_shell() {
        let words: Vec<OsString> = ["a", "b c", "it's"].map(OsString::from).into();
        assert_eq!(String::from_utf8(quoted(&words)).unwrap(), "a 'b c' \"it's\"");
    }
}
