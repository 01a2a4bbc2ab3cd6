//! Thousands of command lines: stock Borg's parser and ours refuse the same ones in the same words, and read the
//! same values from the others.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use ironborg_cli::command_line::{Meaning, Reader};
use ironborg_testkit::Program;
use serde_json::Value;

/// What stock Borg's parser says to every command line that is made of the captured parser tree.
fn asked() -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = Program::Stock.path().with_file_name("python");
    let output = Command::new(python)
        .arg(here.join("suite/machine/command_lines.py"))
        .arg(here.join("../../testdata/cli.json"))
        .current_dir("/")
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("HOME", "/nosuch")
        .output()
        .expect("stock Borg has a Python beside it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("JSON is text");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object"))
        .collect()
}

#[test]
fn every_command_line_is_understood_as_stock_borg_understands_it() {
    let cases = asked();
    let (first, second) = cases.split_at(cases.len() / 2);
    let [first, second] = std::thread::scope(|scope| {
        [first, second]
            .map(|half| scope.spawn(|| differences(half)))
            .map(|thread| thread.join().expect("it does not panic"))
    });
    let differences = [first.0, second.0].concat();
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
    let compared = first.1 + second.1;
    assert!(compared > 9_000, "only {compared} values compared");
}

/// The differences, and how many values were compared.
fn differences(cases: &[Value]) -> (Vec<String>, usize) {
    let reader = Reader::new();
    let mut found = Vec::new();
    let mut compared = 0;
    for case in cases {
        let words: Vec<OsString> = case["words"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|word| word.as_str().expect("text").into())
            .collect();
        let ours = reader.meaning(&words);
        if let Some(difference) = difference(case, &ours, &mut compared) {
            found.push(format!("{}\n    {difference}", case["words"]));
        }
    }
    (found, compared)
}

/// What stock Borg keeps in another form, or nowhere.
const OTHER_FORM: [&str; 5] = [
    "sort_by",
    "exclude_from",
    "pattern",
    "patterns_from",
    "storage_quota",
];

/// The commands to choose from are each program's own.
fn normal(line: &str) -> &str {
    let end = if line.contains("argument <command>: ") {
        line.find(" (choose from")
    } else {
        None
    };
    &line[..end.unwrap_or(line.len())]
}

fn difference(case: &Value, ours: &Meaning, compared: &mut usize) -> Option<String> {
    match (ours, &case["accepted"], &case["refused"]) {
        (Meaning::Help | Meaning::Accepted(_), Value::String(text), _) if text == "help" => None,
        (Meaning::Version, Value::String(text), _) if text == "version" => None,
        // Ours says what is wrong with a regular expression, or with a directory as a file of patterns.
        (Meaning::Refused(_), _, Value::String(stock)) if stock == "Local Exception" => None,
        (Meaning::Refused(ours), _, Value::String(stock)) if normal(ours) == normal(stock) => None,
        (Meaning::Accepted(ours), Value::Object(stock), _) => {
            let differs = |(name, value): (&String, &Value)| {
                let ours = ours.get(name)?;
                if OTHER_FORM.contains(&name.as_str()) {
                    return None;
                }
                *compared += 1;
                (!is_same(ours, value)).then(|| format!("{name}: {ours:?} instead of {value}"))
            };
            stock.iter().find_map(differs)
        }
        _ => Some(format!("{ours:?}\n    instead of {case}")),
    }
}

/// Whether our values stand for what stock Borg made of them.
fn is_same(ours: &[String], stock: &Value) -> bool {
    let last = ours.last().map(String::as_str);
    match stock {
        Value::Bool(flag) => *flag == (last == Some("true")),
        Value::Number(number) => {
            let number = number.as_i64();
            let digits = last.map(|last| last.trim().trim_start_matches("0o"));
            let read = |radix| i64::from_str_radix(digits?, radix).ok();
            read(10) == number || read(8) == number
        }
        Value::String(text) => last == Some(text),
        Value::Null => last.is_none(),
        _ => false,
    }
}
