//! Words that have no business in the project: where it was built, what tracked its work, which mirror served it.

use super::{Finding, SourceFile};

/// Each word in two halves, or this file would be the first to break the rule.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one particular machine"),
    ("/tmp/bor", "genv", "a path of one particular machine"),
    ("/tmp/bri", "efs", "a path of one particular machine"),
    ("crates", ".io/", "a registry host"),
    ("static.cra", "tes.io", "a registry host"),
    ("pypi", ".org", "a registry host"),
    ("files.python", "hosted.org", "a registry host"),
    ("Clau", "de", "names no tool or author"),
    ("TODO", ": later", "a TODO names what ends it"),
];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let place = || format!("{}:{}", file.path, index + 1);
            for (head, tail, why) in FORBIDDEN {
                let word = format!("{head}{tail}");
                if line.contains(&word) {
                    findings.push(Finding::error(place(), format!("`{word}`: {why}")));
                }
            }
            if names_an_issue(line) {
                let text = "an issue number: say what it was about instead";
                findings.push(Finding::error(place(), text));
            }
        }
    }
    findings
}

/// The word and a number, with or without `#`: it means nothing outside one tracker.
fn names_an_issue(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.match_indices("issue ").any(|(at, word)| {
        let rest = &line[at + word.len()..];
        rest.strip_prefix('#')
            .unwrap_or(rest)
            .starts_with(|first: char| first.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_numbers_are_found_and_words_are_not() {
        assert!(names_an_issue(concat!("see Iss", "ue #12")));
        assert!(names_an_issue(concat!("fixes iss", "ue 3 at last")));
        assert!(!names_an_issue("reissue of issue numbers"));
    }

    #[test]
    fn a_place_on_one_machine_is_found() {
        let text = format!("a\nsee {}main\n", concat!("/wo", "rk/"));
        let file = SourceFile {
            path: "a.md".to_owned(),
            text,
        };
        let places: Vec<String> = check(&[file])
            .into_iter()
            .map(|found| found.place)
            .collect();
        assert_eq!(places, ["a.md:2"]);
    }
}
