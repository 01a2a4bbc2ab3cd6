//! The examples of each command, kept in one text.

/// One example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Example {
    /// What it does.
    pub(crate) purpose: &'static str,
    /// The command line, without the program's name.
    pub(crate) arguments: &'static str,
}

/// Sections `[COMMAND]`; in each, lines `# purpose` followed by command lines.
const TEXT: &str = include_str!("examples.txt");

/// The examples of a command, named by the commands above it and its own name.
pub(crate) fn examples(path: &[String]) -> Vec<Example> {
    let heading = format!("[{}]", path.join(" "));
    let mut lines = TEXT.lines().skip_while(|line| **line != heading).skip(1);
    let mut found = Vec::new();
    while let Some(line) = lines.next().filter(|line| !line.starts_with('[')) {
        let Some(purpose) = line.strip_prefix("# ") else {
            continue;
        };
        let arguments = lines.next().unwrap_or_default();
        found.push(Example { purpose, arguments });
    }
    found
}
