//! Texts with placeholders: `{job}` stands for the job's name, `{{` and `}}` for braces.

/// Every placeholder, and what it stands for.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("job", "the job's name"),
    ("target", "the repository's label"),
    ("repository", "the repository's location"),
    ("host", "the name of the machine"),
    ("user", "whom the job belongs to"),
    (
        "kind",
        "started, success, warning, recovery, failure, silence or test",
    ),
    ("time", "when it happened, in local time"),
    ("code", "the exit code"),
    ("message", "what the error says"),
    ("log", "the end of the log"),
    ("log_command", "a command that shows the log"),
    ("duration", "how long it took"),
    ("archive", "the archive's name"),
    ("files", "number of files"),
    ("size", "size of the files"),
    ("new_size", "how much of that was new in the repository"),
    (
        "last_success",
        "when the last backup was made, in local time",
    ),
    ("age", "how long ago that is"),
    ("failures", "number of failures since then"),
    ("since", "when the first of them was, in local time"),
    ("run", "the UUID of the run"),
    ("subject", "the subject (not within it)"),
    ("body", "the text (only in addresses and headers)"),
];

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error("there is no placeholder {{{name}}}{}", hint(*nearest))]
    Unknown {
        /// Its name.
        name: String,
        /// One that is spelt nearly so.
        nearest: Option<&'static str>,
    },
    /// A brace by itself.
    #[error(
        "a {brace} by itself at character {place}: write {brace}{brace} for one that is to be seen"
    )]
    Brace {
        /// Which one.
        brace: char,
        /// Where, counted from 1.
        place: usize,
    },
}

fn hint(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {{{name}}}?"),
        None => String::new(),
    }
}

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Checks that all placeholders are known.
pub fn check(template: &str) -> Result<(), TemplateError> {
    pieces(template).map(drop)
}

/// Puts in what placeholders stand for, each value passed through `dress`. A template that is wrong is shown as it is.
pub fn fill(
    template: &str,
    fields: &[(&'static str, String)],
    dress: impl Fn(&str) -> String,
) -> String {
    let Ok(pieces) = pieces(template) else {
        return template.to_owned();
    };
    let mut filled = String::with_capacity(template.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Placeholder(name) => {
                let value = fields.iter().find(|(field, _)| *field == name);
                filled.push_str(&dress(value.map_or("", |(_, value)| value)));
            }
        }
    }
    filled
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let (text, tail) = rest.split_at(start);
        pieces.push(Piece::Text(text));
        let brace = &tail[..1];
        if tail[1..].starts_with(brace) {
            pieces.push(Piece::Text(brace));
            rest = &tail[2..];
            continue;
        }
        let end = tail.find('}').filter(|&end| end > 0);
        let Some(name) = end.map(|end| &tail[1..end]).filter(|_| brace == "{") else {
            let before = &template[..template.len() - tail.len()];
            return Err(TemplateError::Brace {
                brace: if brace == "{" { '{' } else { '}' },
                place: before.chars().count() + 1,
            });
        };
        if !PLACEHOLDERS.iter().any(|(known, _)| *known == name) {
            return Err(unknown(name));
        }
        pieces.push(Piece::Placeholder(name));
        rest = &tail[name.len() + 2..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn unknown(name: &str) -> TemplateError {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let near = PLACEHOLDERS.iter().map(|(known, _)| *known);
    // Names as long as a page are nobody's slip of the finger.
    let near = near.filter(|_| name.len() <= 40);
    let nearest = near.min_by_key(|known| distance(known));
    TemplateError::Unknown {
        name: super::harmless::line(name, 40),
        nearest: nearest.filter(|known| distance(known) <= 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_doubled_braces_are_braces() {
        let fields = [("job", "home".to_owned()), ("message", "{job}".to_owned())];
        let filled = |template| fill(template, &fields, str::to_owned);
        assert_eq!(filled("{job}: {message}!"), "home: {job}!");
        assert_eq!(filled(r#"{{"text": "{job}"}}"#), r#"{"text": "home"}"#);
        assert_eq!(filled("{{{job}}}"), "{home}");
        assert_eq!(filled(""), "");
        assert_eq!(filled("{code}"), "");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(check("all is {job}, {{well}}"), Ok(()));
        let wrong = |template| check(template).unwrap_err().to_string();
        assert_eq!(
            wrong("{jbo}"),
            "there is no placeholder {jbo}; did you mean {job}?"
        );
        assert_eq!(
            wrong("{passphrase}"),
            "there is no placeholder {passphrase}"
        );
        assert_eq!(wrong("{}"), "there is no placeholder {}");
        assert_eq!(
            wrong("ä } b"),
            "a } by itself at character 3: write }} for one that is to be seen"
        );
        assert_eq!(
            wrong("{{{"),
            "a { by itself at character 3: write {{ for one that is to be seen"
        );
        assert_eq!(
            wrong("{ä{job}"),
            "there is no placeholder {ä{job}; did you mean {job}?"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_template_makes_it_panic(template in "[{}jobä \\n]{0,12}") {
            let filled = fill(&template, &[("job", "x".to_owned())], str::to_owned);
            proptest::prop_assert!(filled.len() <= template.len());
        }
    }
}
