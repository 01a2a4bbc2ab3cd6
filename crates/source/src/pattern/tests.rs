//! Patterns against what stock Borg says.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Parses vectors; lone surrogates, which JSON of Python may hold and Rust's strings may not, become
/// the characters that stand for undecodable bytes.
fn vectors(text: &str) -> Value {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        if escape.starts_with("\\udc") {
            out.push_str("\\udbf7");
        }
        out.push_str(&escape[..2]);
        rest = &escape[2..];
    }
    out.push_str(rest);
    serde_json::from_str(&out).expect("the vectors are JSON")
}

/// The bytes Python would give the operating system for a string.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for c in text.chars() {
        match u32::from(c).checked_sub(0x10_dc00) {
            Some(byte @ 0x80..=0xff) => out.push(u8::try_from(byte).expect("in range")),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn captured() -> Value {
    vectors(include_str!("../../../../testdata/vectors/patterns.json"))
}

/// A section of the captured patterns, whose names go on with an explanation.
fn section(name: &str) -> Vec<Value> {
    let captured = captured();
    let (_, cases) = captured
        .as_object()
        .expect("a map")
        .iter()
        .find(|(key, _)| key.starts_with(name))
        .expect("the section is there");
    cases.as_array().expect("a list").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn single_patterns_match_what_stock_matches() {
    let mut count = 0;
    for case in section("single_patterns") {
        let pattern = Pattern::parse(&bytes(text(&case["pattern"])), Style::Fnmatch);
        if !case["error"].is_null() {
            assert!(pattern.is_err(), "{case}");
            continue;
        }
        let pattern = pattern.expect("stock accepts it");
        assert_eq!(pattern.style().selector(), text(&case["style"]), "{case}");
        for result in case["results"].as_array().expect("a list") {
            let matched = pattern.matches(&bytes(text(&result[0])));
            assert_eq!(Value::Bool(matched), result[1], "{case} {result}");
            count += 1;
        }
    }
    assert!(count > 300, "only {count} results");
}

#[test]
fn command_lines_are_read_as_stock_reads_them() {
    for case in section("pattern_command_lines") {
        let line = PatternLine::parse(&bytes(text(&case["line"])), Style::Shell);
        if let Some(error) = case["error"].as_str() {
            let message = line.expect_err("stock refuses it").to_string();
            assert!(error.ends_with(&message), "{case}: {message}");
            continue;
        }
        let line = line.expect("stock accepts it");
        match (line, text(&case["command"])) {
            (PatternLine::Root(root), "RootPath") => {
                assert_eq!(root.0, bytes(text(&case["value"])));
            }
            (PatternLine::Style(style), "PatternStyle") => {
                let name = case["style"].as_str().or(case["value"].as_str());
                assert!(
                    name.is_some_and(|name| name.contains(style.selector())),
                    "{case}"
                );
            }
            (PatternLine::Rule(pattern, action), command) => {
                assert_eq!(format!("{action:?}"), command);
                assert_eq!(pattern.style().selector(), text(&case["style"]));
                assert_eq!(pattern.original().0, bytes(text(&case["value"])));
                assert_eq!(Value::Bool(action.recurses()), case["recurse_into_match"]);
            }
            (line, _) => panic!("{case}: {line:?}"),
        }
    }
}

#[test]
fn lists_of_patterns_decide_as_stock_does() {
    for case in section("matcher") {
        let mut set = PatternSet::new();
        // Stock's run had the excludes first, then the lines as a file.
        for exclude in case["exclude"].as_array().expect("a list") {
            set.add_exclude(text(exclude).as_bytes()).expect("valid");
        }
        let lines: Vec<&str> = case["pattern_lines"]
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect();
        set.add_patterns_from(lines.join("\n").as_bytes())
            .expect("valid");
        let roots: Vec<&str> = case["roots"]
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect();
        assert_eq!(
            set.roots
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            roots
        );
        let matcher = match case["include_paths"].as_array() {
            None => PatternMatcher::new(set.rules, true),
            Some(paths) => {
                let paths: Vec<BytePath> = paths.iter().map(|path| text(path).into()).collect();
                PatternMatcher::with_include_paths(set.rules, &paths).expect("valid")
            }
        };
        for result in case["results [path, matched, recurse_dir]"]
            .as_array()
            .expect("a list")
        {
            let decision = matcher.decide(text(&result[0]).as_bytes());
            assert_eq!(Value::Bool(decision.include), result[1], "{case} {result}");
            assert_eq!(Value::Bool(decision.recurse), result[2], "{case} {result}");
        }
        let never: Vec<String> = matcher
            .never_matched()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected: Vec<&str> = case["unmatched_include_patterns"]
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect();
        assert_eq!(never, expected, "{case}");
    }
}

#[test]
fn archive_names_are_globbed_as_stock_does() {
    for case in section("archive_globs") {
        let glob = NameGlob::new(text(&case["glob"])).expect("valid");
        for (name, matched) in case["matches"].as_object().expect("a map") {
            assert_eq!(Value::Bool(glob.matches(name)), *matched, "{case} {name}");
        }
    }
}

#[test]
fn random_patterns_match_what_stock_matches() {
    let golden = vectors(include_str!("../../tests/golden/patterns.json"));
    let paths: Vec<Vec<u8>> = golden["paths"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|path| bytes(text(path)))
        .collect();
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().expect("a list") {
        let style = Style::from_selector(text(&case["style"])).expect("a style");
        let source = text(&case["pattern"]);
        let pattern = Pattern::new(&bytes(source), style);
        match (case["match"].as_str(), pattern) {
            (None, Err(_)) => {}
            (None, Ok(_)) => wrong.push(format!("{case}: stock refuses it")),
            (Some(_), Err(error)) => wrong.push(format!("{case}: {error}")),
            (Some(bits), Ok(pattern)) => {
                for (path, bit) in paths.iter().zip(bits.chars()) {
                    if pattern.matches(path) != (bit == '1') {
                        wrong.push(format!("{case}: {:?}", decode(path)));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn later_full_matches_replace_earlier_ones() {
    let mut set = PatternSet::new();
    set.add_pattern(b"- pf:a/b").expect("valid");
    set.add_pattern(b"+ pf:/a/b/").expect("valid");
    set.add_exclude(b"a").expect("valid");
    let matcher = PatternMatcher::new(set.rules, true);
    assert!(matcher.matches(b"/a/b"));
    assert!(!matcher.matches(b"a/c"));
}

/// What random expressions found; the answers are stock Borg's.
#[test]
fn expressions_are_read_as_python_reads_them() {
    for (pattern, path, expected) in [
        ("(?:(?!#)){2}/", "a/b", Some(true)),
        ("(?m:(?![\\D]))*", "a", Some(true)),
        ("(?x: # nothing but this\n){1,}/", "a/b", Some(true)),
        ("(?x: a # a line that goes on \\\n)", "a", None),
        ("(?#a\\)b)c", "c", Some(true)),
        ("(?#a\\)c", "c", None),
        ("(a)?(?(1)b|c)", "ab", Some(true)),
        ("(a)?(?(1)b||c)", "ab", None),
        ("(?i)[A-Z]", "\u{130}", Some(true)),
        ("(?i)I\\.x", "\u{131}.x", Some(true)),
        ("(?i:\u{130})", "i", Some(true)),
        ("(?i)[^i]", "\u{131}", Some(false)),
        ("[A-Z]i", "\u{130}i", Some(false)),
    ] {
        let found = Pattern::new(pattern.as_bytes(), Style::Regex);
        let found = found.ok().map(|pattern| pattern.matches(path.as_bytes()));
        assert_eq!(found, expected, "{pattern:?} on {path:?}");
    }
}

#[test]
fn files_are_read_line_by_line() {
    let mut set = PatternSet::new();
    set.add_exclude_from(b"# c\r\n\r\n  *.o  \rsh:a\x1c\n\xff\n")
        .expect("valid");
    let sources: Vec<&[u8]> = set.rules.iter().map(|(p, _)| &p.original()[..]).collect();
    assert_eq!(sources, [&b"*.o"[..], b"a", b"\xff"]);
    let error = set
        .add_patterns_from(b"+ a\nP no\n")
        .expect_err("no such style");
    assert_eq!(error, PatternError::InvalidStyle("no".to_owned()));
    assert_eq!(set.rules.len(), 4, "what came before the bad line counts");
}

proptest! {
    /// The matcher made by hand agrees with the regular expression the same tokens make.
    #[test]
    fn the_fast_way_is_the_plain_way(
        pattern in "([ab/]|\\*|\\*\\*|\\*\\*/|\\?|/\\*\\*/){0,8}",
        texts in prop::collection::vec("[abc/\u{e9}\n]{0,8}", 8),
        shell in any::<bool>(),
    ) {
        let syntax = if shell { Syntax::Shell } else { Syntax::Fnmatch };
        let fast = Glob::new(&pattern, syntax).expect("no sets");
        let plain = fast.without_fast_way();
        for text in &texts {
            prop_assert_eq!(fast.matches(text), plain.matches(text), "{:?} {:?}", pattern, text);
        }
    }

    #[test]
    fn no_pattern_makes_us_panic(pattern in prop::collection::vec(any::<u8>(), 0..12), path in prop::collection::vec(any::<u8>(), 0..12)) {
        for style in [Style::Fnmatch, Style::Shell, Style::Regex, Style::PathPrefix, Style::PathFull] {
            if let Ok(pattern) = Pattern::new(&pattern, style) {
                let _ = pattern.matches(&path);
            }
        }
        let _ = PatternSet::new().add_patterns_from(&pattern);
    }

    #[test]
    fn no_expression_makes_us_panic(pattern in "([ab]|[\\[\\](){}?*+|^$\\\\.<>=!:#&~,-]|\\\\[a-zA-Z0-9]|P|[0-9]|é){0,12}") {
        if let Ok(regex) = PythonRegex::new(&pattern) {
            let _ = regex.is_match("ab/é\n");
        }
    }
}
