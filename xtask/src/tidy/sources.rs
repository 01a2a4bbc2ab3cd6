//! Shape of Rust sources: length of files and functions, headers, names, where `unsafe` may be.

use super::{Finding, SourceFile};

/// Lines without tests that ask for a split, and that fail.
const FILE_WARN: usize = 600;
const FILE_FAIL: usize = 1000;

/// Lines of one function that ask for a split.
const FUNCTION_WARN: usize = 70;

/// Files longer than [`FILE_FAIL`]; this list only shrinks.
const LONG_FILES: &[&str] = &[];

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "misc", "common", "manager",
];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        check_header(file, &mut findings);
        check_name(file, &mut findings);
        check_length(file, &mut findings);
        check_functions(file, &mut findings);
        check_unsafe(file, &mut findings);
    }
    findings
}

/// The numbered lines before the unit tests at the bottom of a file.
pub(super) fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_product = |line: &&str| *line != "#[cfg(test)]";
    text.lines()
        .take_while(is_product)
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn check_header(file: &SourceFile, findings: &mut Vec<Finding>) {
    if !file.text.starts_with("//! ") {
        findings.push(Finding::error(
            &file.path,
            "does not open with a `//!` header",
        ));
    }
}

fn check_name(file: &SourceFile, findings: &mut Vec<Finding>) {
    let words = file.path.split(['/', '.']);
    for word in words.filter(|word| EMPTY_NAMES.contains(word)) {
        findings.push(Finding::error(
            &file.path,
            format!("`{word}` is no name: say what it does"),
        ));
    }
}

fn check_length(file: &SourceFile, findings: &mut Vec<Finding>) {
    let len = product_lines(&file.text).count();
    if len >= FILE_FAIL && !LONG_FILES.contains(&file.path.as_str()) {
        findings.push(Finding::error(
            &file.path,
            format!("{len} lines; {FILE_FAIL} is too long"),
        ));
    } else if len >= FILE_WARN {
        findings.push(Finding::warning(
            &file.path,
            format!("{len} lines ask for a split"),
        ));
    }
}

/// Relies on rustfmt: a function ends at the first `}` with the indentation of its `fn` line.
fn check_functions(file: &SourceFile, findings: &mut Vec<Finding>) {
    let lines: Vec<(usize, &str)> = product_lines(&file.text).collect();
    for (index, (number, line)) in lines.iter().enumerate() {
        let code = line.trim_start();
        if !is_function(code) || line.ends_with([';', '}']) {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - code.len()]);
        let end = lines[index..].iter().position(|(_, line)| *line == closing);
        if let Some(len) = end.filter(|len| *len >= FUNCTION_WARN) {
            let place = format!("{}:{number}", file.path);
            findings.push(Finding::warning(
                place,
                format!("a function of {} lines", len + 1),
            ));
        }
    }
}

fn is_function(code: &str) -> bool {
    let code = code
        .strip_prefix("pub(crate) ")
        .or(code.strip_prefix("pub "))
        .unwrap_or(code);
    let code = code.strip_prefix("const ").unwrap_or(code);
    let code = code.strip_prefix("unsafe ").unwrap_or(code);
    code.starts_with("fn ")
}

/// `unsafe` lives in files named `simd.rs` or `sys.rs` (or in a directory of that name).
fn check_unsafe(file: &SourceFile, findings: &mut Vec<Finding>) {
    let stem = file.path.trim_end_matches(".rs");
    let allowed = stem.split('/').any(|part| part == "simd" || part == "sys");
    let opens = concat!("allow(un", "safe_code");
    for (index, line) in file.text.lines().enumerate() {
        if line.contains(opens) && !allowed {
            let place = format!("{}:{}", file.path, index + 1);
            findings.push(Finding::error(
                place,
                "unsafe code outside `simd` and `sys`",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_file_in_order_has_no_findings() {
        let text = "//! What it is for.\n\nfn short() {\n}\n";
        assert_eq!(
            findings_of("crates/format/src/entry.rs", text),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_missing_header_is_found() {
        let found = findings_of("crates/format/src/entry.rs", "fn f() {}\n");
        assert_eq!(found, ["does not open with a `//!` header"]);
    }

    #[test]
    fn an_empty_name_is_found() {
        let found = findings_of("crates/format/src/utils.rs", "//! X.\n");
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn length_is_counted_without_tests() {
        let long = format!("//! X.\n{}", "// x\n".repeat(FILE_FAIL));
        let tested = format!("//! X.\n#[cfg(test)]\n{}", "// x\n".repeat(FILE_FAIL));
        assert_eq!(findings_of("a.rs", &long).len(), 1);
        assert_eq!(findings_of("a.rs", &tested).len(), 0);
    }

    #[test]
    fn a_long_function_is_found() {
        let text = format!(
            "//! X.\n    fn f() {{\n{}    }}\n",
            "        x();\n".repeat(80)
        );
        assert_eq!(findings_of("a.rs", &text), ["a function of 82 lines"]);
    }

    #[test]
    fn unsafe_code_has_its_place() {
        let text = concat!("//! X.\n#![allow(un", "safe_code)]\n");
        assert_eq!(findings_of("crates/x/src/sys.rs", text).len(), 0);
        assert_eq!(findings_of("crates/x/src/lib.rs", text).len(), 1);
    }
}
