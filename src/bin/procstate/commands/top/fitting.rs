//! Fits text into a column.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Shortens the text to this many columns, with a mark if anything is cut.
pub(super) fn fitting(text: &str, columns: usize) -> Cow<'_, str> {
    const MORE: char = '~';
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut fitting = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or_default()) else { break };
        left = rest;
        fitting.push(c);
    }
    fitting.extend((columns > 0).then_some(MORE));
    Cow::Owned(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitting_text_is_unchanged() {
        assert_eq!(fitting("abcd", 4), "abcd");
        assert_eq!(fitting("abcde", 4), "abc~");
        assert_eq!(fitting("日本語", 6), "日本語");
        assert_eq!(fitting("日本語", 5), "日本~");
        assert_eq!(fitting("日本語", 4), "日~");
        assert_eq!(fitting("日本語", 0), "");
    }
}
