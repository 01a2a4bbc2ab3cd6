//! The five questions, and what counts as an answer.

use std::path::{Path, PathBuf};

use ironborg_jobs::config::location::Location;
use ironborg_jobs::config::split_words;
use ironborg_jobs::schedule::Schedule;
use zeroize::Zeroizing;

use super::super::place::Whose;
use crate::console;
use crate::context::Context;
use crate::error::CliError;
use crate::questions;

/// How often one question is asked.
const ATTEMPTS: usize = 20;

/// Where the passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protection {
    /// A new one, kept in a file.
    Generated,
    /// A file that is there.
    File(String),
    /// A command prints it.
    Command(String),
    /// Nothing is encrypted.
    None,
}

/// Who is told of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Nobody.
    Nobody,
    /// Who is logged in.
    Desktop,
    /// An address of mail.
    Mail(String),
    /// A topic of ntfy.
    Ntfy(String),
    /// An address that is pinged.
    Healthchecks(String),
    /// A shell command.
    Command(String),
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) paths: Vec<PathBuf>,
    pub(super) repository: String,
    pub(super) protection: Protection,
    pub(super) start_at: Option<String>,
    pub(super) told: Told,
}

impl Answers {
    /// Asks.
    ///
    /// # Errors
    /// The input ends, or makes no sense again and again.
    pub(super) fn ask(context: &Context, whose: &Whose) -> Result<Self, CliError> {
        let cwd = PathBuf::from(context.cwd_as_os_str());
        let home = whose.home();
        let (paths, told) = match home {
            Some(home) => (home.display().to_string(), "desktop"),
            None => ("/etc /home /root".to_owned(), "nobody"),
        };
        Ok(Self {
            paths: ask("1. What is to be backed up?", &paths, |text| {
                paths_of(text, home, &cwd)
            })?,
            repository: ask(
                "2. Where to? A directory, or ssh://user@host/path",
                "",
                |text| repository(text, home, &cwd),
            )?,
            protection: ask(
                "3. The passphrase: generate, file PATH, command COMMAND, or none (not encrypted)",
                "generate",
                |text| protection(text, home),
            )?,
            start_at: ask(
                "4. When? Such as daily, hourly, Mon..Fri 12:30, or never (by hand)",
                "daily",
                start_at,
            )?,
            told: ask(
                "5. Who is told when it fails? desktop, mail ADDRESS, ntfy URL, healthchecks URL, command COMMAND, nobody",
                told,
                who_is_told,
            )?,
        })
    }
}

/// Asks until the answer makes sense.
fn ask<T>(
    question: &str,
    usual: &str,
    understand: impl Fn(&str) -> Result<T, String>,
) -> Result<T, CliError> {
    let shown = if usual.is_empty() {
        format!("{question}: ")
    } else {
        format!("{question} [{usual}]: ")
    };
    for _ in 0..ATTEMPTS {
        let answer = questions::ask_line(&shown).ok_or_else(|| {
            CliError::generic("the input ended before all questions were answered")
        })?;
        let answer = match answer.trim() {
            "" => usual,
            answer => answer,
        };
        match understand(answer) {
            Ok(value) => return Ok(value),
            Err(message) => console::stderr_line(&format!("   {message}")),
        }
    }
    Err(CliError::generic("there was no answer that makes sense"))
}

/// A path as somebody types it, absolute.
fn absolute(text: &str, home: Option<&Path>, cwd: &Path) -> Result<PathBuf, String> {
    let below = text.strip_prefix("~/").or((text == "~").then_some(""));
    match (below, home) {
        (Some(""), Some(home)) => Ok(home.to_owned()),
        (Some(below), Some(home)) => Ok(home.join(below)),
        (Some(_), None) => Err("write the path of the home directory instead of ~".to_owned()),
        (None, _) => Ok(cwd.join(text)),
    }
}

fn paths_of(text: &str, home: Option<&Path>, cwd: &Path) -> Result<Vec<PathBuf>, String> {
    let words = split_words(text)?;
    if words.is_empty() {
        return Err("a path at least has to be given".to_owned());
    }
    words.iter().map(|word| absolute(word, home, cwd)).collect()
}

fn repository(text: &str, home: Option<&Path>, cwd: &Path) -> Result<String, String> {
    if text.is_empty() {
        return Err("there is no place that would do for everybody".to_owned());
    }
    let is_path = text.starts_with(['/', '.', '~']) || !text.contains(':');
    let location = if is_path {
        absolute(text, home, cwd)?.display().to_string()
    } else {
        text.to_owned()
    };
    Location::parse(&location)?;
    Ok(location)
}

/// A word and what follows it.
fn with_value(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn protection(text: &str, home: Option<&Path>) -> Result<Protection, String> {
    match with_value(text) {
        ("generate", "") => Ok(Protection::Generated),
        ("none", "") => Ok(Protection::None),
        ("command", command) if !command.is_empty() => Ok(Protection::Command(command.to_owned())),
        ("file", path) if path.starts_with('/') || path.starts_with('~') => {
            let path = absolute(path, home, Path::new("/"))?;
            Ok(Protection::File(path.display().to_string()))
        }
        ("file", _) => Err("the path of the file has to be absolute".to_owned()),
        _ => Err("one of: generate, file PATH, command COMMAND, none".to_owned()),
    }
}

fn start_at(text: &str) -> Result<Option<String>, String> {
    if matches!(text, "never" | "by hand") {
        return Ok(None);
    }
    match Schedule::parse(&[text.to_owned()]) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

fn who_is_told(text: &str) -> Result<Told, String> {
    let is_address = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    match with_value(text) {
        ("nobody", "") => Ok(Told::Nobody),
        ("desktop", "") => Ok(Told::Desktop),
        ("mail", address) if address.contains('@') => Ok(Told::Mail(address.to_owned())),
        (address, "") if address.contains('@') => Ok(Told::Mail(address.to_owned())),
        ("ntfy", url) if is_address(url) => Ok(Told::Ntfy(url.to_owned())),
        ("healthchecks", url) if is_address(url) => Ok(Told::Healthchecks(url.to_owned())),
        ("command", command) if !command.is_empty() => Ok(Told::Command(command.to_owned())),
        ("ntfy" | "healthchecks", _) => {
            Err("the address begins with https:// or http://".to_owned())
        }
        _ => Err(
            "one of: desktop, mail ADDRESS, ntfy URL, healthchecks URL, command COMMAND, nobody"
                .to_owned(),
        ),
    }
}

/// Characters of new passphrases: 32, none of which looks like another.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// Characters of a new passphrase: 130 bits.
const PASSPHRASE_LEN: usize = 26;
/// Characters between dashes.
const GROUP_LEN: usize = 5;

/// A passphrase that nobody has to think of.
pub(super) fn new_passphrase() -> Result<Zeroizing<String>, CliError> {
    let mut random = Zeroizing::new([0_u8; PASSPHRASE_LEN]);
    getrandom::fill(random.as_mut())
        .map_err(|error| CliError::generic(format!("there is no randomness: {error}")))?;
    let mut passphrase = Zeroizing::new(String::with_capacity(2 * PASSPHRASE_LEN));
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index.is_multiple_of(GROUP_LEN) {
            passphrase.push('-');
        }
        passphrase.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let home = Some(Path::new("/home/me"));
        let cwd = Path::new("/cwd");
        assert_eq!(
            paths_of("~ 'a b' /etc", home, cwd).unwrap(),
            ["/home/me", "/cwd/a b", "/etc"].map(PathBuf::from)
        );
        assert!(paths_of("~", None, cwd).is_err());
        assert_eq!(repository("backup", home, cwd).unwrap(), "/cwd/backup");
        assert_eq!(
            repository("~/backup", home, cwd).unwrap(),
            "/home/me/backup"
        );
        assert_eq!(repository("host:backup", home, cwd).unwrap(), "host:backup");
        assert!(repository("", home, cwd).is_err());
        assert!(repository("/x::y", home, cwd).is_err());
        assert_eq!(
            protection("file ~/p", home),
            Ok(Protection::File("/home/me/p".into()))
        );
        assert_eq!(
            protection("command pass show x", home),
            Ok(Protection::Command("pass show x".into()))
        );
        assert!(protection("secret", home).is_err());
        assert_eq!(start_at("never"), Ok(None));
        assert!(start_at("now and then").is_err());
        assert_eq!(
            who_is_told("me@example.com"),
            Ok(Told::Mail("me@example.com".into()))
        );
        assert!(who_is_told("ntfy topic").is_err());
        let (first, second) = (new_passphrase().unwrap(), new_passphrase().unwrap());
        assert_ne!(*first, *second);
        assert_eq!(
            first.len(),
            PASSPHRASE_LEN + (PASSPHRASE_LEN - 1) / GROUP_LEN
        );
    }
}
