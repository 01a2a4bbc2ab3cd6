//! A command line in one text, split into words by the rules of Python's `shlex.split`.
//!
//! They are a shell's without comments, continued lines and anything that is replaced: between double quotes a
//! backslash is meant as such unless a double quote or another backslash follows.

/// Why a text cannot be split, in Python's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitError {
    /// A quotation does not end.
    #[error("No closing quotation")]
    Quotation,
    /// Nothing follows a backslash.
    #[error("No escaped character")]
    Escape,
}

/// Splits a text into words.
pub(crate) fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => words.extend(word.take()),
            b'\\' => {
                let next = rest.next().ok_or(SplitError::Escape)?;
                word.get_or_insert_default().push(*next);
            }
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(SplitError::Quotation)? {
                        b'\'' => break,
                        byte => word.push(*byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(SplitError::Quotation)? {
                        b'"' => break,
                        b'\\' => {
                            let next = rest.next().ok_or(SplitError::Escape)?;
                            if !matches!(next, b'"' | b'\\') {
                                word.push(b'\\');
                            }
                            word.push(*next);
                        }
                        byte => word.push(*byte),
                    }
                }
            }
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], SplitError>) {
        let expected =
            expected.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
        assert_eq!(split(text.as_bytes()), expected, "{text}");
    }

    // What Python 3.11 made of the same texts.
    #[test]
    fn words_are_those_of_python() {
        check("", Ok(&[]));
        check("ssh -p  22\t-v\r\nx", Ok(&["ssh", "-p", "22", "-v", "x"]));
        check("a'b c'd \"e f\"", Ok(&["ab cd", "e f"]));
        check("'' \"\" x''", Ok(&["", "", "x"]));
        check("a # b", Ok(&["a", "#", "b"]));
        check("a\\ b \\\nc", Ok(&["a b", "\nc"]));
        check(
            r#""a\"b\\c\$d\
e""#,
            Ok(&["a\"b\\c\\$d\\\ne"]),
        );
        check(r"'a\'", Ok(&["a\\"]));
        check("a | b && c", Ok(&["a", "|", "b", "&&", "c"]));
        check("'a", Err(SplitError::Quotation));
        check("a \"b", Err(SplitError::Quotation));
        check("a\\", Err(SplitError::Escape));
        check("\"a\\", Err(SplitError::Escape));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = split(&text);
        }
    }
}
