//! Layering: which crate may depend on which, and what the lower crates must leave alone.

use super::{Finding, SourceFile};

/// Top to bottom; a crate may depend on those below it only. `testkit` is for tests only.
const ORDER: &[&str] = &[
    "cli",
    "jobs",
    "mount",
    "archive",
    "source",
    "cache",
    "chunker",
    "object",
    "crypto",
    "rpc",
    "repository",
    "bucket",
    "storage",
    "format",
    "types",
];

/// Crates that turn bytes into values and back: no I/O, no clock, no threads.
const PURE: &[&str] = &["format", "chunker", "object", "crypto"];

/// Crates that may call the file system.
const FILE_SYSTEM: &[&str] = &["source", "storage", "testkit"];

/// One thing a crate must not mention, and why.
struct Ban {
    words: &'static [&'static str],
    applies: fn(&str) -> bool,
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &[
            "std::fs",
            "fs::File",
            "File::open",
            "File::create",
            "fs::OpenOptions",
            "rustix::fs",
        ],
        applies: |name| !FILE_SYSTEM.contains(&name),
        why: "only `source` and `storage` touch the file system",
    },
    Ban {
        words: &["std::net", "std::thread", "thread::spawn", "thread::scope"],
        applies: |name| PURE.contains(&name),
        why: "no I/O and no threads in crates that only compute",
    },
    Ban {
        words: &["SystemTime::now", "Instant::now"],
        applies: |name| PURE.contains(&name),
        why: "no clock in crates that only compute",
    },
    Ban {
        words: &["std::env", "env::var", "process::exit", "env::args"],
        applies: |name| name != "cli" && name != "testkit",
        why: "nothing below `cli` reads the environment or exits",
    },
    Ban {
        words: &["static mut ", "lazy_static!"],
        applies: |_| true,
        why: "there are no globals",
    },
];

/// Exceptions, each with its reason; this list only shrinks.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some((name, rest)) = crate_of(&file.path) else {
            continue;
        };
        if rest == "Cargo.toml" {
            check_dependencies(name, file, &mut findings);
        } else if rest.starts_with("src/") && !is_test(rest) {
            check_bans(name, file, &mut findings);
        }
    }
    findings
}

/// `crates/NAME/REST` split into NAME and REST.
fn crate_of(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("crates/")?.split_once('/')
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn check_dependencies(name: &str, file: &SourceFile, findings: &mut Vec<Finding>) {
    let Some(rank) = ORDER.iter().position(|layer| *layer == name) else {
        if name != "testkit" {
            findings.push(Finding::error(
                &file.path,
                "a crate that no layer is known for",
            ));
        }
        return;
    };
    let mut section = "";
    for (index, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let Some(used) = line.strip_prefix("ironborg-") else {
            continue;
        };
        let used = used.split(['.', ' ', '=']).next().unwrap_or_default();
        let place = format!("{}:{}", file.path, index + 1);
        if section == "[dev-dependencies]" {
            continue;
        }
        match ORDER.iter().position(|layer| *layer == used) {
            Some(below) if below > rank => {}
            Some(_) => findings.push(Finding::error(
                place,
                format!("`{name}` must not depend on `{used}`"),
            )),
            None => findings.push(Finding::error(
                place,
                format!("`{used}` is for [dev-dependencies] only"),
            )),
        }
    }
}

fn check_bans(name: &str, file: &SourceFile, findings: &mut Vec<Finding>) {
    let exempt = |word: &str| {
        EXCEPTIONS
            .iter()
            .any(|(path, of)| *path == file.path && *of == word)
    };
    for (number, line) in super::sources::product_lines(&file.text) {
        let code = line.split("//").next().unwrap_or_default();
        for ban in BANS.iter().filter(|ban| (ban.applies)(name)) {
            for word in ban
                .words
                .iter()
                .filter(|word| mentions(code, word) && !exempt(word))
            {
                let place = format!("{}:{number}", file.path);
                findings.push(Finding::error(place, format!("`{word}`: {}", ban.why)));
            }
        }
    }
}

/// Whether a line has these words, and not as the end of a longer name.
fn mentions(code: &str, words: &str) -> bool {
    code.match_indices(words).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_name_is_another_one() {
        assert!(mentions("let file = File::open(path)?;", "File::open"));
        assert!(mentions("fs::File::open(path)", "File::open"));
        assert!(!mentions("SealedFile::open_kept(storage)", "File::open"));
    }

    fn findings_of(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&[file])
            .into_iter()
            .map(|finding| finding.text)
            .collect()
    }

    #[test]
    fn a_dependency_points_down() {
        let text = "[dependencies]\nironborg-format.workspace = true\n";
        assert_eq!(findings_of("crates/storage/Cargo.toml", text).len(), 0);
        assert_eq!(
            findings_of("crates/types/Cargo.toml", text),
            ["`types` must not depend on `format`"]
        );
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        let product = "[dependencies]\nironborg-testkit.workspace = true\n";
        let tests = "[dev-dependencies]\nironborg-testkit.workspace = true\n";
        assert_eq!(findings_of("crates/cli/Cargo.toml", product).len(), 1);
        assert_eq!(findings_of("crates/cli/Cargo.toml", tests).len(), 0);
    }

    #[test]
    fn only_two_crates_touch_files() {
        let text = "//! X.\nuse std::fs;\n";
        assert_eq!(findings_of("crates/archive/src/lib.rs", text).len(), 1);
        assert_eq!(findings_of("crates/source/src/lib.rs", text).len(), 0);
        assert_eq!(findings_of("crates/archive/tests/a.rs", text).len(), 0);
    }

    #[test]
    fn comments_and_unit_tests_are_left_alone() {
        let text = "//! X.\n// std::fs is not for us\n#[cfg(test)]\nuse std::fs;\n";
        assert_eq!(findings_of("crates/archive/src/lib.rs", text).len(), 0);
    }
}
