//! Comparing what the two programs say and do, with what must differ (durations, process ids) made equal first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironborg_testkit::{Home, Program, Run};
use regex::Regex;

use crate::scene::Scene;

impl Scene {
    /// Both programs, given the same arguments, say the same on both streams and exit alike.
    #[track_caller]
    pub(crate) fn assert_same_output(&self, args: &[&str]) {
        self.assert_same_output_on(&self.home, args);
    }

    /// Both programs, given the same lists of arguments one after the other from the same state, say the same
    /// on both streams and exit alike each time. Gives back our runs, and our repository's files and stock's.
    #[track_caller]
    pub(crate) fn assert_same_outputs(&self, lists: &[&[&str]]) -> (Vec<Run>, [Files; 2]) {
        let [(ours, our_files), (stock, stock_files)] = self.run_lists(lists);
        for (ours, stock) in ours.iter().zip(&stock) {
            assert_same_run(ours, stock);
        }
        (ours, [our_files, stock_files])
    }

    /// Gives each program the same lists of arguments one after the other from the same state, ours first.
    #[track_caller]
    pub(crate) fn run_lists(&self, lists: &[&[&str]]) -> [(Vec<Run>, Files); 2] {
        self.each_from_same_state(|program| (self.run_list(program, lists), files(&self.repo)))
    }

    /// Gives a program the lists of arguments one after the other.
    #[track_caller]
    pub(crate) fn run_list(&self, program: Program, lists: &[&[&str]]) -> Vec<Run> {
        let owned = |args: &&[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
        match program {
            Program::Ours => lists.iter().map(|args| self.run(program, args)).collect(),
            Program::Stock => {
                let words: Vec<Vec<String>> = lists.iter().map(owned).collect();
                self.home.stock_runs(self.scratch.path(), &words)
            }
        }
    }

    /// The same on another machine.
    #[track_caller]
    pub(crate) fn assert_same_output_on(&self, home: &Home, args: &[&str]) {
        let [ours, stock] = Program::BOTH.map(|program| self.run_on(home, program, args));
        assert_same_run(&ours, &stock);
    }
}

/// Files by their path below some directory, directories as empty files whose names end with a slash.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Every file below a directory.
pub(crate) fn files(top: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of this test") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(top).expect("below it");
            let name = name.to_string_lossy().into_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                dirs.push(path);
            } else {
                found.insert(name, fs::read(&path).expect("a file of this test"));
            }
        }
    }
    found
}

/// Repository and machine as they were, to start again from there.
pub(crate) struct Saved {
    pairs: Vec<(PathBuf, PathBuf)>,
}

impl Scene {
    /// Copies the repository and the machine's directory aside.
    pub(crate) fn save(&self) -> Saved {
        let aside = self.empty_dir("saved");
        let pairs = [("repo", self.repo.as_path()), ("home", self.home.base())];
        let pairs = pairs.map(|(name, original)| (original.to_path_buf(), aside.join(name)));
        for (original, copy) in pairs.iter().filter(|(original, _)| original.exists()) {
            copy_all(original, copy);
        }
        Saved {
            pairs: pairs.into(),
        }
    }

    /// Does something with each program from the same state, ours first, and puts that state back.
    #[track_caller]
    pub(crate) fn each_from_same_state<T>(&self, mut action: impl FnMut(Program) -> T) -> [T; 2] {
        let saved = self.save();
        let ours = action(Program::Ours);
        saved.restore();
        let stock = action(Program::Stock);
        saved.restore();
        [ours, stock]
    }
}

impl Saved {
    /// Puts everything back.
    pub(crate) fn restore(&self) {
        for (original, copy) in &self.pairs {
            if original.exists() {
                std::fs::remove_dir_all(original).expect("a directory of this test");
            }
            if copy.exists() {
                copy_all(copy, original);
            }
        }
    }
}

/// Copies a directory with everything a repository or a machine's directory has.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cannot copy {}",
        from.display()
    );
}

/// The two runs exited alike and said the same.
#[track_caller]
pub(crate) fn assert_same_run(ours: &Run, stock: &Run) {
    compare_runs(ours, stock, normal);
}

/// The same, whatever the order of lines: ours restores several files at once.
///
/// An error about a device or fifo is said to have come from the operation that stock Borg began last, for
/// whatever file; with several files at once that is another one.
#[track_caller]
pub(crate) fn assert_same_lines(ours: &Run, stock: &Run) {
    let operation = Regex::new(r"(?m)^(tree/special/[^:]*: )[a-z]+(: \[Errno)").expect("a pattern");
    compare_runs(ours, stock, |bytes| {
        let text = normal(bytes);
        let text = operation.replace_all(&text, "${1}OP${2}");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    });
}

/// The two runs exited alike, and what they said is the same once `normal` has made it comparable.
#[track_caller]
pub(crate) fn compare_runs(ours: &Run, stock: &Run, normal: impl Fn(&[u8]) -> String) {
    if let Some(differences) = differences(ours, stock, normal) {
        panic!("{differences}\n\n== ours\n{ours}\n== stock\n{stock}");
    }
}

/// In what the first run is unlike the second, once `normal` has made what they said comparable.
pub(crate) fn differences(
    ours: &Run,
    stock: &Run,
    normal: impl Fn(&[u8]) -> String,
) -> Option<String> {
    let streams = [
        (
            "standard output",
            normal(&ours.stdout),
            normal(&stock.stdout),
        ),
        (
            "standard error",
            normal(&ours.stderr),
            normal(&stock.stderr),
        ),
    ];
    let mut differences = Vec::new();
    if ours.code() != stock.code() {
        differences.push(format!(
            "exit code {} instead of {}",
            ours.code(),
            stock.code()
        ));
    }
    for (name, ours, stock) in streams {
        differences.extend(first_difference(&ours, &stock).map(|place| format!("{name}, {place}")));
    }
    (!differences.is_empty()).then(|| differences.join("\n"))
}

/// Where two texts begin to differ, with a few lines around.
fn first_difference(ours: &str, stock: &str) -> Option<String> {
    let (ours, stock): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), stock.lines().collect());
    let longer = ours.len().max(stock.len());
    let at = (0..longer).find(|line| ours.get(*line) != stock.get(*line))?;
    let around = |lines: &[&str]| {
        let range = at.saturating_sub(3).min(lines.len())..(at + 4).min(lines.len());
        lines[range].join("\n    ")
    };
    Some(format!(
        "line {} of {} and {}\n  ours:\n    {}\n  stock:\n    {}",
        at + 1,
        ours.len(),
        stock.len(),
        around(&ours),
        around(&stock)
    ))
}

/// Text with durations, times of day of the run, random identifiers and process ids replaced, and without the
/// traceback of an error: its first line is the message, the rest is about the program's inside.
pub(crate) fn normal(bytes: &[u8]) -> String {
    // What the interpreter says of an object it tidied away comes first and has a traceback of its own.
    let tidied = Regex::new(r"(?s)Exception ignored in: .*?(?:Assertion|Value)Error: [^\n]*\n");
    let text = String::from_utf8_lossy(bytes);
    let text = tidied
        .expect("a valid pattern")
        .replace_all(&text, "")
        .into_owned();
    // Nor is there anything to compare in an unexpected error but that it is one.
    let unexpected = ["\nLocal Exception\n", "\"Local Exception\", \"levelname\""];
    let text = format!("\n{text}");
    let ends = [
        text.find("\nTraceback (most recent call last)"),
        text.find("\nPlatform: "),
        unexpected
            .iter()
            .find_map(|start| Some(text.find(start)? + start.len())),
    ];
    let end = ends.into_iter().flatten().min().unwrap_or(text.len());
    let text = text[1..end.max(1)].to_owned();
    let replacements = [
        // Usage summaries are each program's own; what is wrong comes after them.
        (r"(?m)^usage: .*\n(?: .*\n)*", ""),
        (
            r"Archive fingerprint: [0-9a-f]{64}",
            "Archive fingerprint: ID",
        ),
        (r"Time \((start|end)\): .*", "Time ($1): T"),
        (r"\[[0-9a-f]{64}\]", "[ID]"),
        (r"Duration: .*", "Duration: D"),
        (r#""duration": [0-9.e-]+"#, r#""duration": 0"#),
        (r#""time": [0-9.e+]+"#, r#""time": 0"#),
        (r"pid [0-9]+", "pid P"),
        (r"<FD [0-9]+>", "<FD N>"),
        // Ours never reads all archives to bring a cache up to date, and so never says that it does.
        (
            r"Synchronizing chunks cache\.\.\.\nArchives: .*\n(?:.*\n)*?Done\.\n",
            "",
        ),
        // A traceback as a log record.
        (
            r#"(?m)^\{"type": "log_message", "time": 0, "message": "Traceback.*\n"#,
            "",
        ),
    ];
    replacements
        .into_iter()
        .fold(text, |text, (pattern, replacement)| {
            let pattern = Regex::new(pattern).expect("a valid pattern");
            pattern.replace_all(&text, replacement).into_owned()
        })
}
