//! Escaping of untrusted text for display.
//!
//! Text from a store, a file or a command can contain characters that move a terminal's cursor,
//! hide text, or reverse its order. Everything that the tool prints and the dashboard shows passes
//! through here.
//!
//! ```
//! use procstate::text::visible;
//!
//! assert_eq!(visible("gc\u{202e}keys\n"), "gc\\u{202e}keys\\n");
//! ```

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes everything that is invisible or changes how the rest is displayed: `\n`, `\u{1b}`,
/// `\u{202e}`.
///
/// Escaping twice changes nothing.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c, escaped| {
        // Writing to a string does not fail.
        let _ = if c.is_control() {
            write!(escaped, "{}", c.escape_default())
        } else {
            write!(escaped, "{}", c.escape_unicode())
        };
    })
}

/// Escapes JSON text in the same way, as JSON that means the same: `\u202e`.
///
/// Escaped characters occur only within strings, except for line ends, which compact JSON does not
/// have.
///
/// ```
/// use procstate::text::visible_json;
///
/// assert_eq!(visible_json("{\"name\":\"a\u{202E}b\"}"), "{\"name\":\"a\\u202eb\"}");
/// ```
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    escaped(json, |c, escaped| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(is_hidden) else { return Cow::Borrowed(text) };
    let (before, rest) = text.split_at(first);
    let mut escaped = before.to_owned();
    for c in rest.chars() {
        if is_hidden(c) {
            escape(c, &mut escaped);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, line separators, and what Unicode calls default-ignorable: bidirectional
/// controls, joiners, selectors, tags, fillers.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn visible_text_is_unchanged() {
        for text in ["", "plain text", "naïve \u{1F600} 日本 עברית", "back\\slash \\n"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn terminal_controls_are_escaped() {
        assert_eq!(visible("a\nb\t\r\u{1b}[2J\u{9b}\u{7f}\0"), "a\\nb\\t\\r\\u{1b}[2J\\u{9b}\\u{7f}\\u{0}");
    }

    #[test]
    fn hiding_and_bidirectional_characters_are_escaped() {
        let bidi = ('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}').chain('\u{200E}'..='\u{200F}');
        let others =
            "\u{61C}\u{2028}\u{2029}\u{200B}\u{200C}\u{200D}\u{2060}\u{FEFF}\u{AD}\u{FE0F}\u{E0041}\u{3164}";
        for c in bidi.chain(others.chars()) {
            let text = format!("a{c}b");
            assert_eq!(visible(&text), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(visible_json("\"a\u{202E}\u{E0041}\u{7f}\""), r#""a\u202e\udb40\udc41\u007f""#);
    }

    proptest! {
        #[test]
        fn escaping_is_done_once(text in any::<String>()) {
            let once = visible(&text).into_owned();
            prop_assert_eq!(visible(&once), once.as_str());
            prop_assert!(!once.contains(is_hidden));
        }

        #[test]
        fn json_stays_the_same_json(text in any::<String>(), extra in "[\u{80}-\u{9f}\u{200b}-\u{206f}\u{e0000}-\u{e0fff}]{0,5}") {
            let value = serde_json::json!({ (text.clone()): [format!("{extra}{text}"), 1.5, null] });
            let plain = value.to_string();
            let json = visible_json(&plain);
            prop_assert!(!json.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        }
    }
}
