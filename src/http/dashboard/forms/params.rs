//! Parameters as editable lines: `name = 8`, `name = "text"`.

use serde_json::Value;

use crate::Params;
use crate::text::visible_json;

/// Formats parameters, one per line.
pub(crate) fn to_text(params: &Params) -> String {
    let ints = params.int_params.iter().map(|(name, value)| (name, value.to_string()));
    let texts = params.string_params.iter().map(|(name, value)| (name, quoted(value)));
    let mut lines: Vec<String> =
        ints.chain(texts).map(|(name, value)| format!("{} = {value}\n", name_text(name))).collect();
    lines.sort_unstable();
    lines.concat()
}

fn name_text(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { quoted(name) }
}

/// Quotes a string as JSON, since it may contain line ends and invisible characters.
fn quoted(text: &str) -> String {
    visible_json(&Value::from(text).to_string()).into_owned()
}

/// Parses the lines; the error names the first invalid one.
pub(crate) fn from_text(text: &str) -> Result<Params, String> {
    let mut params = Params::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        add(&mut params, line).map_err(|why| format!("line {number} of the parameters: {why}"))?;
    }
    Ok(params)
}

fn add(params: &mut Params, line: &str) -> Result<(), String> {
    let (name, rest) = read_name(line)?;
    let Some(value) = rest.trim_start().strip_prefix('=') else {
        return Err(format!("{line:?} has no =; write name = 8, or name = \"text\""));
    };
    let value = value.trim();
    let is_taken = match serde_json::from_str(value) {
        Ok(Value::String(text)) => params.string_params.insert(name.clone(), text).is_some(),
        Ok(Value::Number(number)) => {
            let whole = number.as_i64().ok_or_else(|| format!("{value} is not a 64-bit integer"))?;
            params.int_params.insert(name.clone(), whole).is_some()
        }
        _ => return Err(format!("{value:?} is neither an integer nor a string in double quotes")),
    };
    if is_taken { Err(format!("{name:?} occurs twice")) } else { Ok(()) }
}

/// Returns the name at the start of a line, and the rest.
fn read_name(line: &str) -> Result<(String, &str), String> {
    if !line.starts_with('"') {
        let end = line.find('=').unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        return Ok((name.trim().to_owned(), rest));
    }
    let mut names = serde_json::Deserializer::from_str(line).into_iter::<String>();
    match names.next() {
        Some(Ok(name)) => Ok((name, line.get(names.byte_offset()..).unwrap_or_default())),
        _ => Err("the name has no closing quote".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_parameter() {
        let text = "keysPerAccount = 8\r\n\n  region=\"eu\"\n\"a = b\" = -1\nx = \"a\\nb\"\n";
        let params = Params::new().int("keysPerAccount", 8).int("a = b", -1).string("region", "eu");
        assert_eq!(from_text(text), Ok(params.string("x", "a\nb")));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, why) in [
            ("a = 1\nb", "line 2 of the parameters: \"b\" has no ="),
            ("a = eu", "neither an integer nor a string"),
            ("a = 1.5", "1.5 is not a 64-bit integer"),
            ("a = 1\na = 2", "\"a\" occurs twice"),
            ("\"a = 1", "no closing quote"),
        ] {
            let error = from_text(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            ints in proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4),
            texts in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) {
            let params = Params { int_params: ints, string_params: texts };
            let text = to_text(&params);
            // With the line ends that browsers send.
            prop_assert_eq!(from_text(&text.replace('\n', "\r\n")), Ok(params));
        }
    }
}
