//! Random patterns of every style, and random lists of them: the same verdicts as stock Borg's on random paths.
//!
//! Stock Borg's library answers thousands of cases in one process. The numbers are the same in every run;
//! `IRONBORG_PATTERN_SEED` asks for others.

use ironborg_source::pattern::{Pattern, PatternMatcher, PatternSet, Style};
use ironborg_testkit::{Home, Random, Scratch};
use ironborg_types::BytePath;
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("patterns.py");

fn seed(default: u64) -> u64 {
    let given = std::env::var("IRONBORG_PATTERN_SEED").ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// What stock Borg answers.
fn ask_stock(cases: &[Value]) -> Vec<Value> {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    let bytes = serde_json::to_vec(cases).expect("JSON");
    let run = home.stock_library(SCRIPT, [""; 0]).input(bytes).run().ok();
    let answers: Vec<Value> = serde_json::from_slice(&run.stdout).expect("a list of answers");
    assert_eq!(answers.len(), cases.len());
    answers
}

/// Something of the list.
fn one_of<T: Copy>(random: &mut Random, list: &[T]) -> T {
    list[random.below(list.len())]
}

/// Up to `max` things of the list in a row.
fn some_of(random: &mut Random, max: usize, list: &[&[u8]]) -> Vec<u8> {
    let count = random.below(max + 1);
    (0..count)
        .flat_map(|_| one_of(random, list).to_vec())
        .collect()
}

/// Names and parts of names: few, so that something matches; and such as break careless matchers.
const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"ab",
    b"A",
    b"c",
    b"1",
    b"_",
    b"-",
    b".",
    b"..",
    b" ",
    b"]",
    b"[",
    b"^",
    b"!",
    b"*",
    b"?",
    b"\\",
    b"\n",
    b"a",
    b"b",
    b"\xff",
    b"\xfe",
    "\u{e9}".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{df}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{660}".as_bytes(),
    "\u{a0}".as_bytes(),
    b"$",
    b"(",
    b"{",
    b"#",
    b"\t",
    b"\r",
    b"\x1c",
    "\u{130}".as_bytes(),
    "\u{131}".as_bytes(),
    b"i",
    b"I",
    "\u{17f}".as_bytes(),
    b"k",
    "\u{212a}".as_bytes(),
];

fn path(random: &mut Random) -> Vec<u8> {
    let components: Vec<Vec<u8>> = (0..=random.below(4))
        .map(|_| some_of(random, 3, NAMES))
        .collect();
    let mut path = components.join(&b'/');
    if random.below(8) == 0 {
        path.insert(0, b'/');
    }
    path
}

/// A path that looks like the pattern, which random ones seldom do.
fn path_like(random: &mut Random, pattern: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    for &byte in pattern {
        match byte {
            b'*' => path.extend(some_of(random, 2, &[b"a", b"/", b"b", b"a/b", b"\n"])),
            b'?' => path.extend(one_of(random, &[b"a", b"b", b"/", b"\xff"])),
            b'[' | b']' | b'(' | b')' | b'^' | b'$' | b'!' if random.below(3) > 0 => {}
            _ => path.push(byte),
        }
    }
    if random.below(3) == 0 {
        path.extend(b"/");
        path.extend(one_of(random, NAMES));
    }
    path
}

fn paths(random: &mut Random, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut paths: Vec<Vec<u8>> = (0..5).map(|_| path(random)).collect();
    paths.extend((0..4).map(|_| path_like(random, pattern)));
    paths.push(pattern.to_vec());
    for path in &mut paths {
        path.truncate(40); // What takes long takes very long on long texts.
    }
    paths
}

/// A pattern with wildcards.
fn glob(random: &mut Random) -> Vec<u8> {
    const WILD: &[&[u8]] = &[
        b"*",
        b"**",
        b"**/",
        b"?",
        b"/",
        b"/",
        b"//",
        b"./",
        b"../",
        b"[ab]",
        b"[!a]",
        b"[a-c]",
        b"[]a]",
        b"[^a]",
        b"[!]]",
        b"[a-]",
        b"[-a]",
        b"[c-a]",
        b"[a-a]",
        b"[[]",
        b"[\\]",
        b"[a-c-e]",
        b"[--0]",
        b"[!-a]",
        b"[a",
        b"[!",
        b"[]",
        b"[!]",
        b"[^-a]",
        b"[+--]",
        b"[a\\-c]",
        b"[&&a]",
        b"[~|]",
        "[\u{e9}-\u{fc}]".as_bytes(),
        b"[\xff]",
        b"[\x80-\xff]",
        b"[/]",
        b"[.-0]",
        b"[b-az]",
        b"[a-cb-a]",
        b"[!c-a]",
        b"[z-a0-9]",
        b"[\\d]",
        b"[\\]]",
        b"[a-\\]",
    ];
    let mut pattern = Vec::new();
    for _ in 0..=random.below(6) {
        let list = if random.below(2) == 0 { WILD } else { NAMES };
        pattern.extend(one_of(random, list));
    }
    pattern
}

/// A regular expression, mostly a valid one.
fn regex(random: &mut Random, depth: usize) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(3) {
        let atom = if depth > 0 && random.below(3) == 0 {
            let inner = regex(random, depth - 1);
            let other = regex(random, depth - 1);
            match random.below(14) {
                0 => format!("(?:{inner})"),
                1 => format!("({inner})\\1"),
                2 => format!("(?={inner})"),
                3 => format!("(?!{inner})"),
                4 => format!("(?i:{inner})"),
                5 => format!("(?P<n{}>{inner})", random.next_u64()),
                6 => format!("(?s:{inner})"),
                // Conditions on groups are left out: after groups that matched and were given up again, engines differ.
                7 => format!("({inner})?{other}"),
                8 => format!("(?>{inner})"),
                9 => format!("(?x: {inner} # {other}\n)"),
                10 => format!("(?m:{inner})"),
                11 => format!("(?a:{inner})"),
                12 => format!(
                    "(?<={})",
                    one_of(random, &["a", "\\w", "/", "^", "\\b", "ab"])
                ),
                _ => format!("({inner}|{other})"),
            }
        } else {
            one_of(random, ATOMS).to_owned()
        };
        out.push_str(&atom);
        if random.below(3) == 0 {
            // Unbounded repetitions inside of each other take longer than anybody waits.
            let is_single = ATOMS.contains(&atom.as_str());
            let list = if is_single {
                REPETITIONS
            } else {
                &REPETITIONS[..9]
            };
            out.push_str(one_of(random, list));
        }
    }
    if random.below(12) == 0 {
        out.insert_str(
            0,
            one_of(
                random,
                &[
                    "(?i)", "(?s)", "(?m)", "(?x)", "(?a)", "(?ims)", "(?u)", "(?#note)",
                ],
            ),
        );
    }
    out
}

const REPETITIONS: &[&str] = &[
    "?", "??", "{2}", "{1,2}", "{,2}", "{0}", "{2}?", "{a}", "}", "*", "+", "*?", "+?", "{1,}",
    "*+", "{", "**",
];

const ATOMS: &[&str] = &[
    "a",
    "b",
    "ab",
    ".",
    "/",
    "\\.",
    "[ab]",
    "[^a]",
    "[a-c]",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "^",
    "$",
    "\\b",
    "\\B",
    "\\A",
    "\\Z",
    "[\\w-]",
    "[]a]",
    "[^]]",
    "\\x61",
    "\\u00e9",
    "\u{e9}",
    "\\n",
    "\\t",
    "[\\d_]",
    "\\\\",
    "\\/",
    "-",
    "#",
    " ",
    "\\051",
    "[\\x80-\\xff]",
    "[\\udc80-\\udcff]",
    "A",
    "[A-Z]",
    "k",
    "\u{df}",
    "\u{130}",
    "\u{17f}",
    "[k]",
    "i",
    "I",
    "\u{130}",
    "\u{131}",
    "[^i]",
    "[h-j]",
    "(?i:i)",
    "[^\\W]",
    "[^\\s/]",
    "\\141",
    "[\\b]",
    "[a-]",
    "[-a]",
    "&&",
    "[a&&b]",
    "[a--b]",
    "[a||b]",
    "[[a]",
    "~~",
    "\\-",
    "\\ ",
    "\\_",
    "\\e",
    "\\z",
    "\\1",
    "\\0",
    "[z-a]",
    "[",
    "(",
    ")",
    "|",
    "\\",
    "\\U0001f600",
    "[\\D]",
    "[\\S\\d]",
    "\\uD800",
    "\\'",
    "\\h",
    "(?#a\\)b)",
];

const STYLES: [Style; 5] = [
    Style::Fnmatch,
    Style::Shell,
    Style::Regex,
    Style::PathPrefix,
    Style::PathFull,
];

/// A pattern of the style, sometimes with a selector in front.
fn pattern(random: &mut Random, style: Style) -> Vec<u8> {
    let mut pattern = match style {
        Style::Fnmatch | Style::Shell => glob(random),
        Style::Regex => regex(random, 2).into_bytes(),
        Style::PathPrefix | Style::PathFull if random.below(3) == 0 => glob(random),
        Style::PathPrefix | Style::PathFull => path(random),
    };
    if random.below(10) == 0 {
        pattern.push(b'/');
    }
    pattern
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn hex_all(texts: &[Vec<u8>]) -> Vec<String> {
    texts.iter().map(|text| hex(text)).collect()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A question, as people read it and as stock Borg does, and what ours says.
struct Case {
    shown: String,
    paths: Vec<Vec<u8>>,
    question: Value,
    ours: Value,
}

impl Case {
    /// What differs, in a few lines.
    fn difference(&self, stock: &Value) -> Option<String> {
        if self.ours == *stock {
            return None;
        }
        let verdicts = |answer: &Value| {
            let list = answer.as_array().cloned().unwrap_or_default();
            list.first()
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or(list)
        };
        let (ours, theirs) = (verdicts(&self.ours), verdicts(stock));
        let paths = self.paths.iter().zip(ours.iter().zip(&theirs));
        let path = paths
            .filter(|(_, (ours, theirs))| ours != theirs)
            .map(|(path, _)| path)
            .next();
        let path = path.map_or("-".to_owned(), |path| shown(path));
        Some(format!(
            "{}\n  on {path}\n  ours:  {}\n  stock: {stock}",
            self.shown, self.ours
        ))
    }
}

/// Compares the answers to all cases and shows the first few that differ.
#[track_caller]
fn compare(seed: u64, cases: &[Case]) {
    let questions: Vec<Value> = cases.iter().map(|case| case.question.clone()).collect();
    let answers = ask_stock(&questions);
    let differences: Vec<String> = cases
        .iter()
        .zip(&answers)
        .filter_map(|(case, stock)| case.difference(stock))
        .collect();
    let count = differences.len();
    let first: Vec<String> = differences.into_iter().take(10).collect();
    assert_eq!(
        count,
        0,
        "of {} cases, seed {seed}:\n{}",
        cases.len(),
        first.join("\n")
    );
    // Cases that are all errors, or never match, would show nothing.
    let matching = answers
        .iter()
        .filter(|answer| answer.to_string().contains("true"))
        .count();
    let errors = answers.iter().filter(|answer| answer.is_null()).count();
    assert!(
        matching * 4 > cases.len(),
        "only {matching} of {} match something",
        cases.len()
    );
    assert!(
        errors * 2 < cases.len(),
        "{errors} of {} are errors",
        cases.len()
    );
}

#[track_caller]
fn check_style(style: Style, count: usize) {
    let seed = seed(style as u64 + 1);
    let mut random = Random::new(seed);
    let cases: Vec<Case> = (0..count)
        .map(|_| {
            let pattern = pattern(&mut random, style);
            let paths = paths(&mut random, &pattern);
            let question =
                json!({"style": style.selector(), "pattern": hex(&pattern), "paths": hex_all(&paths)});
            let ours = match Pattern::parse(&pattern, style) {
                Ok(pattern) => {
                    let without_slash = |path: &Vec<u8>| {
                        let slashes = path.iter().take_while(|byte| **byte == b'/').count();
                        pattern.matches(&path[slashes..])
                    };
                    json!(paths.iter().map(without_slash).collect::<Vec<bool>>())
                }
                Err(_) => Value::Null,
            };
            let shown = format!("{}:{}", style.selector(), shown(&pattern));
            Case { shown, paths, question, ours }
        })
        .collect();
    compare(seed, &cases);
}

#[test]
fn wildcards_that_cross_directories() {
    check_style(Style::Fnmatch, 2500);
}

#[test]
fn wildcards_of_the_shell() {
    check_style(Style::Shell, 2500);
}

#[test]
fn regular_expressions() {
    check_style(Style::Regex, 2500);
}

#[test]
fn paths_and_what_is_below_them() {
    check_style(Style::PathPrefix, 2000);
    check_style(Style::PathFull, 2000);
}

/// A pattern as it may be given anywhere: with or without the selector of a style, known or unknown.
fn selected_pattern(random: &mut Random) -> Vec<u8> {
    let style = one_of(random, &STYLES);
    let pattern = pattern(random, style);
    match random.below(12) {
        0 => [
            one_of(
                random,
                &[&b"xx:"[..], b"a:", b"abc:", b"12:", b"\xc3\xa9a:", b"fm"],
            ),
            &pattern[..],
        ]
        .concat(),
        1..4 => pattern,
        _ => [style.selector().as_bytes(), b":", &pattern[..]].concat(),
    }
}

/// A line of a pattern file.
fn line(random: &mut Random) -> Vec<u8> {
    let command: &[u8] = match random.below(40) {
        0 => b"P ",
        1 => b"p",
        2 => b"#",
        3 => b"",
        4 => b"x",
        5..9 => b"R ",
        9..18 => b"+ ",
        18..26 => b"- ",
        26..30 => b"! ",
        30..34 => b"+",
        34..36 => b"-\t",
        _ => b"  - ",
    };
    let value = match command {
        b"P " | b"p" => one_of(
            random,
            &[&b"fm"[..], b"sh", b"re", b"pp", b"pf", b"sh ", b"xx", b""],
        )
        .to_vec(),
        b"" => Vec::new(),
        _ => selected_pattern(random),
    };
    [command, &value[..]].concat()
}

/// Lines without what cannot stand in one.
fn file(
    random: &mut Random,
    count: usize,
    mut line: impl FnMut(&mut Random) -> Vec<u8>,
) -> Vec<u8> {
    let ends = [&b"\n"[..], b"\r\n", b"\r", b" \n", b"\n\n"];
    let mut file = Vec::new();
    for _ in 0..count {
        let line = line(random);
        let line = String::from_utf8_lossy(&line).replace(['\n', '\r'], "");
        file.extend(line.as_bytes());
        file.extend(one_of(random, &ends));
    }
    file
}

#[test]
fn lists_of_patterns() {
    let seed = seed(77);
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut cases = Vec::new();
    for _ in 0..2000 {
        let mut options = Vec::new();
        let mut set = PatternSet::new();
        let mut result = Ok(());
        for _ in 0..random.below(4) {
            let (option, value) = match random.below(5) {
                0 => ("exclude", selected_pattern(random)),
                1 => ("exclude-from", file(random, 2, selected_pattern)),
                2 => ("patterns-from", file(random, 3, line)),
                _ => ("pattern", line(random)),
            };
            result = result.and_then(|()| match option {
                "exclude" => set.add_exclude(&value),
                "exclude-from" => set.add_exclude_from(&value),
                "patterns-from" => set.add_patterns_from(&value),
                _ => set.add_pattern(&value),
            });
            options.push((option, value));
        }
        let count = random.below(3);
        let arguments: Vec<Vec<u8>> = (0..count).map(|_| selected_pattern(random)).collect();
        let likeness = options.first().map_or(&b""[..], |(_, value)| value);
        let paths = paths(random, likeness);
        let ours = result
            .and_then(|()| decide(set, &arguments, &paths))
            .unwrap_or(Value::Null);
        let listed: Vec<Value> = options
            .iter()
            .map(|(name, value)| json!([name, hex(value)]))
            .collect();
        let question =
            json!({"options": listed, "arguments": hex_all(&arguments), "paths": hex_all(&paths)});
        let options: Vec<String> = options
            .iter()
            .map(|(name, value)| format!("--{name} {}", shown(value)))
            .collect();
        let arguments: Vec<String> = arguments.iter().map(|text| shown(text)).collect();
        let shown = format!("{options:?} {arguments:?}");
        cases.push(Case {
            shown,
            paths,
            question,
            ours,
        });
    }
    compare(seed, &cases);
}

/// What ours says of the paths, and which arguments nothing matched.
fn decide(
    set: PatternSet,
    arguments: &[Vec<u8>],
    paths: &[Vec<u8>],
) -> Result<Value, ironborg_source::PatternError> {
    let given: Vec<BytePath> = arguments
        .iter()
        .map(|path| BytePath::new(path.clone()))
        .collect();
    let includes = if given.is_empty() { set.roots } else { given };
    let matcher = PatternMatcher::with_include_paths(set.rules, &includes)?;
    let decisions: Vec<Value> = paths
        .iter()
        .map(|path| {
            let decision = matcher.decide(path);
            json!([decision.include, decision.recurse])
        })
        .collect();
    let unmatched: Vec<String> = matcher
        .never_matched()
        .iter()
        .map(|path| hex(path))
        .collect();
    Ok(json!([decisions, unmatched]))
}
