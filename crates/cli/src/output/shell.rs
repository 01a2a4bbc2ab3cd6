//! Words quoted so that a shell reads them back.

/// Appends a word, in single quotes unless it is harmless. Source: Python's `shlex.quote`.
pub(crate) fn push_quoted(word: &str, out: &mut String) {
    let harmless = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '-')
    };
    if !word.is_empty() && word.chars().all(harmless) {
        out.push_str(word);
        return;
    }
    out.push('\'');
    out.push_str(&word.replace('\'', "'\"'\"'"));
    out.push('\'');
}

/// A command line as one text.
pub(crate) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (index, word) in words.into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        push_quoted(word, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_quoted_as_python_quotes_them() {
        assert_eq!(
            super::join(["a", "", "b c", "it's", "x=1"]),
            "a '' 'b c' 'it'\"'\"'s' x=1"
        );
    }
}
