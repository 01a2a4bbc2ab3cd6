//! Lines for sshd, and their place among those of others in a file.
//!
//! Ours stand together between two marks. What is outside of them is kept byte for byte.

use super::public_key::PublicKey;
use super::{Repo, Rights};

/// What stands before our lines.
const BEGIN: &[u8] =
    b"# BEGIN ironborg repos: written by `ironborg repos apply`, do not change these lines";
/// What stands behind them.
const END: &[u8] = b"# END ironborg repos";
/// What marks begin with, whatever follows.
const BEGIN_MARK: &[u8] = b"# BEGIN ironborg repos";

/// Why our lines cannot be put into a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Only one of the marks is there.
    #[error(
        "line {0}: our lines begin or end here, but not both: put the marks in order, or remove them and the lines \
         between them"
    )]
    Marks(usize),
    /// The key has a line of its own.
    #[error(
        "line {line}: the key of {repo} has a line of its own already, and sshd takes the first one: remove one of them"
    )]
    KeyElsewhere {
        /// Counted from 1.
        line: usize,
        /// The repository the key is for.
        repo: String,
    },
}

/// The line that lets a key work with a repository, and do nothing else.
///
/// `program` is what a shell starts.
pub fn line(repo: &Repo, key: &PublicKey, rights: Rights, program: &str) -> String {
    let path = repo.path.to_string_lossy();
    let restricted = if repo.allow_sub_repos {
        "path"
    } else {
        "repository"
    };
    let mut command = format!(
        "cd '{}' && {program} serve --restrict-to-{restricted} .",
        path.replace('\'', "'\\''")
    );
    if rights == Rights::AppendOnly {
        command.push_str(" --append-only");
    }
    if let Some(quota) = &repo.quota {
        command.push_str(" --storage-quota ");
        command.push_str(&quota.text);
    }
    format!(
        "command=\"{}\",restrict {}",
        command.replace('"', "\\\""),
        key.text()
    )
}

/// The lines of all repositories of a user.
pub fn lines(repos: &[&Repo], program: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for repo in repos {
        for (key, rights) in &repo.keys {
            lines.push(line(repo, key, *rights, program));
        }
    }
    lines
}

/// A file with these lines in the place of our earlier ones; without any, with no trace of them.
///
/// # Errors
/// The marks are not in order, or a key is there besides.
pub fn replaced(content: &[u8], repos: &[&Repo], program: &str) -> Result<Vec<u8>, FileError> {
    let (before, after) = around(content)?;
    let first_after = content.len() - after.len();
    for (start, others) in [(0, before), (first_after, after)] {
        refuse_keys(content, start, others, repos)?;
    }
    let lines = lines(repos, program);
    let mut out = before.to_vec();
    if !lines.is_empty() {
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(BEGIN);
        out.push(b'\n');
        for line in &lines {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out.extend_from_slice(END);
        out.push(b'\n');
    }
    out.extend_from_slice(after);
    Ok(out)
}

/// Whether our lines are in a file.
pub fn is_marked(content: &[u8]) -> bool {
    content
        .split(|&byte| byte == b'\n')
        .any(|line| line.starts_with(BEGIN_MARK))
}

/// What is before our lines, and behind them.
fn around(content: &[u8]) -> Result<(&[u8], &[u8]), FileError> {
    let mut begin = None;
    let mut end = None;
    let mut offset = 0;
    for (index, line) in content.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let text = line.trim_ascii_end();
        if text.starts_with(BEGIN_MARK) {
            if begin.is_some() {
                return Err(FileError::Marks(number));
            }
            begin = Some((offset, number));
        } else if text == END {
            if begin.is_none() || end.is_some() {
                return Err(FileError::Marks(number));
            }
            end = Some(offset + line.len());
        }
        offset += line.len();
    }
    match (begin, end) {
        (None, None) => Ok((content, &[])),
        (Some((begin, _)), Some(end)) => Ok((&content[..begin], &content[end..])),
        (Some((_, number)), None) => Err(FileError::Marks(number)),
        (None, Some(_)) => unreachable!("an end without a beginning was refused"),
    }
}

/// Complains of keys that somebody else let in.
fn refuse_keys(
    content: &[u8],
    start: usize,
    others: &[u8],
    repos: &[&Repo],
) -> Result<(), FileError> {
    if others.is_empty() {
        return Ok(());
    }
    let ours: std::collections::BTreeMap<&[u8], &str> = repos
        .iter()
        .flat_map(|repo| {
            repo.keys
                .iter()
                .map(move |(key, _)| (key.blob().as_bytes(), repo.name.as_str()))
        })
        .collect();
    for (index, line) in others.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        let mut words = line.split(u8::is_ascii_whitespace);
        if let Some(repo) = words.find_map(|word| ours.get(word)) {
            let above = content[..start].split(|&byte| byte == b'\n').count() - 1;
            return Err(FileError::KeyElsewhere {
                line: above + index + 1,
                repo: (*repo).to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
