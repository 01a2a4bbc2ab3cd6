//! A command line in one text.

/// Splits a text into words as a shell does, without replacing anything.
///
/// # Errors
/// A quotation does not end.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let next = rest
                    .next()
                    .ok_or("nothing follows the backslash at the end")?;
                word.get_or_insert_default().push(next);
            }
            '\'' | '"' => quoted(c, &mut rest, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    let unfinished = || format!("a quotation does not end: {quote} is missing");
    loop {
        match rest.next().ok_or_else(unfinished)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => {
                let next = rest.next().ok_or_else(unfinished)?;
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let check = |text, words: &[&str]| assert_eq!(split(text).unwrap(), words, "{text}");
        check("--stats  --verbose", &["--stats", "--verbose"]);
        check(
            r#"-o 'a b' "c \"d\" \n" e\ f '' "#,
            &["-o", "a b", r#"c "d" \n"#, "e f", ""],
        );
        check("", &[]);
        assert!(split("'a").is_err());
        assert!(split("a\\").is_err());
    }
}
