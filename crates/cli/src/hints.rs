//! What a person may do about an error: a line below it, on a terminal only.
//!
//! The words of errors are stock Borg's, and scripts read them; a pipe gets nothing else. A full disk is the
//! exception: whoever reads about it later in a log needs the way out, and stock Borg has no words for that.

mod room;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ironborg_source::named_file;
use ironborg_types::{BytePath, ErrorKind, LockHolder};

use crate::console;
use crate::context::Context;
use crate::error::{Cause, CliError};
use crate::lock_holders;

/// How alike two names must be for one to be taken for the other, mistyped; 1 is the same.
const LIKENESS_MIN: f64 = 0.6;
/// How much less alike than the nearest another name may be to be offered as well.
const LIKENESS_MARGIN: f64 = 0.1;
/// Most names shown.
const NAMES_MAX: usize = 3;
/// Longest name compared, in characters: comparing takes time by the square of it.
const COMPARED_LEN_MAX: usize = 200;
/// What makes a directory a repository, as far as a hint has to know.
const REPOSITORY_FILES: [&str; 2] = ["config", "data"];

/// What was noticed on the way to an error.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Names near those of archives that are not there.
    archives: Mutex<Vec<String>>,
    /// Who had the lock that was waited for.
    holders: Mutex<Option<Vec<LockHolder>>>,
}

impl Noticed {
    /// There is no archive `name` among the `known` ones.
    pub(crate) fn no_such_archive(&self, name: &[u8], known: &[BytePath]) {
        let known = known.iter().map(ToString::to_string);
        let near = nearest(&String::from_utf8_lossy(name), known);
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        archives.extend(near);
    }

    /// Others have a lock.
    pub(crate) fn lock_held(&self, by: &[LockHolder]) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        *holders = Some(by.to_vec());
    }
}

/// Says what may be done about how a command ended, if that is known and somebody is there to read it.
pub(crate) fn say(context: &Context, error: Option<&CliError>) {
    let is_wanted = console::stderr_is_terminal()
        || error.is_some_and(|error| {
            room::is_free_text(error)
                || context.program.is_ironborg() && room::concerns(error)
                || concerns_lease(error)
        });
    if !is_wanted || context.reporter.json() {
        return;
    }
    let hint = match error {
        Some(error) => of_error(context, error),
        None => of_archives(context),
    };
    if let Some(hint) = hint {
        console::stderr_line(&format!("Hint: {hint}"));
    }
}

/// Whether somebody else has the lock of a repository on an object store, which stock Borg knows nothing of: nobody who reads
/// its messages is surprised to be told whom to ask.
fn concerns_lease(error: &CliError) -> bool {
    matches!(error.cause, Cause::Kind(ErrorKind::LockTimeout))
        && argument(ErrorKind::LockTimeout, &error.message)
            .is_some_and(|path| path.contains("://") && path.ends_with("/lock.lease"))
}

fn of_archives(context: &Context) -> Option<String> {
    let noticed = &context.reporter.noticed;
    let archives = noticed.archives.lock();
    let archives = archives.unwrap_or_else(PoisonError::into_inner);
    (!archives.is_empty()).then(|| format!("did you mean {}?", choice(&archives)))
}

fn of_error(context: &Context, error: &CliError) -> Option<String> {
    if room::concerns(error) {
        return room::of_error(&context.program.name, error);
    }
    let Cause::Kind(kind) = error.cause else {
        return None;
    };
    let program = &context.program.name;
    let repository = argument(kind, &error.message).unwrap_or("REPOSITORY");
    Some(match kind {
        ErrorKind::ArchiveDoesNotExist => return of_archives(context),
        ErrorKind::PassphraseWrong => wrong_passphrase(context),
        ErrorKind::PasswordRetriesExceeded => {
            "upper and lower case count, and so does the layout of the keyboard. A key exported \
             earlier opens with the passphrase it had then."
                .to_owned()
        }
        ErrorKind::NoPassphraseFailure => {
            "where nobody can be asked, set BORG_PASSPHRASE or BORG_PASSCOMMAND.".to_owned()
        }
        ErrorKind::KeyfileNotFoundError => format!(
            "the key is on the machine that made the repository, or where it was exported to. \
             Bring it here with: {program} key import {repository} FILE"
        ),
        ErrorKind::RepoKeyNotFoundError
        | ErrorKind::KeyfileInvalidError
        | ErrorKind::KeyfileMismatchError => format!(
            "bring the key back from where it was exported to: {program} key import {repository} FILE"
        ),
        ErrorKind::RepositoryDoesNotExist => {
            let near = near_repositories(Path::new(repository));
            if near.is_empty() {
                format!("a new one is made by: {program} init -e repokey-blake2 {repository}")
            } else {
                format!("did you mean {}?", choice(&near))
            }
        }
        ErrorKind::RepositoryInvalidRepository => {
            let below = repositories_in(Path::new(repository));
            if below.is_empty() {
                "what is there was not made by Borg, or has lost its file \"config\".".to_owned()
            } else {
                format!("did you mean {}?", choice(&below))
            }
        }
        ErrorKind::LockTimeout => {
            let holders = context.reporter.noticed.holders.lock();
            let holders = holders.unwrap_or_else(PoisonError::into_inner).take();
            lock_holders::advice(&holders?, program)
        }
        _ => return None,
    })
}

/// The first thing a message of a kind is about.
fn argument(kind: ErrorKind, message: &str) -> Option<&str> {
    let (before, after) = kind.row().message.split_once("{}")?;
    let rest = message.strip_prefix(before)?;
    let end = after.split('{').next().unwrap_or(after);
    if end.is_empty() {
        return Some(rest);
    }
    rest.find(end).map(|at| &rest[..at])
}

fn wrong_passphrase(context: &Context) -> String {
    let given = &context.environment.passphrases;
    let text = if given.passphrase.is_some() {
        "BORG_PASSPHRASE is not the passphrase of this key. Without it you are asked."
    } else if given.command.is_some() {
        "what the command in BORG_PASSCOMMAND prints is not the passphrase of this key. Without \
         the variable you are asked."
    } else if given.descriptor.is_some() {
        "what was read from BORG_PASSPHRASE_FD is not the passphrase of this key."
    } else {
        let place = context.config().join("ironborg");
        return format!(
            "the passphrase stored in {} is not the one of this key any more. Give the right one \
             in BORG_PASSPHRASE.",
            place.display()
        );
    };
    text.to_owned()
}

/// The names most like `wanted`, the likest first.
fn nearest(wanted: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let short = |name: &str| name.chars().take(COMPARED_LEN_MAX).collect::<String>();
    let wanted = short(wanted).to_lowercase();
    let likeness =
        |name: &str| strsim::normalized_damerau_levenshtein(&wanted, &short(name).to_lowercase());
    let mut near: Vec<(f64, String)> = known.map(|name| (likeness(&name), name)).collect();
    near.retain(|(likeness, _)| *likeness >= LIKENESS_MIN);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = near.first().map_or(1.0, |(likeness, _)| *likeness);
    near.retain(|(likeness, _)| *likeness >= best - LIKENESS_MARGIN);
    near.truncate(NAMES_MAX);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Repositories beside `path` whose names are like its own.
fn near_repositories(path: &Path) -> Vec<String> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let known = names_of_repositories(parent);
    let near = nearest(&name.to_string_lossy(), known.into_iter());
    let paths = near.into_iter().map(|name| parent.join(name));
    paths.map(|path| path.display().to_string()).collect()
}

/// Repositories directly below `path`.
fn repositories_in(path: &Path) -> Vec<String> {
    let mut names = names_of_repositories(path);
    names.sort();
    names.truncate(NAMES_MAX);
    let paths = names.into_iter().map(|name| path.join(name));
    paths.map(|path| path.display().to_string()).collect()
}

fn names_of_repositories(directory: &Path) -> Vec<String> {
    let mut names = named_file::names_in(directory).unwrap_or_default();
    names.retain(|name| {
        std::str::from_utf8(name.as_bytes()).is_ok() && is_repository(&directory.join(name))
    });
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    names.collect()
}

/// Whether a directory looks like a repository.
fn is_repository(path: &Path) -> bool {
    let there = |file: &&str| named_file::exists(&path.join(file));
    REPOSITORY_FILES.iter().all(there)
}

/// `a`, `a or b`, `a, b or c`
fn choice(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, known: &[&str], expected: &[&str]) {
        let known = known.iter().map(|&name| name.to_owned());
        assert_eq!(nearest(wanted, known), expected, "{wanted}");
    }

    #[test]
    fn mistyped_names_are_found() {
        let known = ["home-monday", "home-sunday", "etc", "Photos"];
        check("home-mondya", &known, &["home-monday"]);
        check("photo", &known, &["Photos"]);
        check("etx", &known, &["etc"]);
        check("database", &known, &[]);
        check("", &known, &[]);
        let many = ["a1", "a2", "a3", "a4"];
        check("a1", &many, &["a1"]);
        check(&"x".repeat(5000), &known, &[]);
    }

    #[test]
    fn names_are_offered_in_a_sentence() {
        let names = |count: usize| -> Vec<String> {
            let all = ["a", "b", "c"].map(str::to_owned);
            all[..count].to_vec()
        };
        assert_eq!(choice(&names(1)), "a");
        assert_eq!(choice(&names(2)), "a or b");
        assert_eq!(choice(&names(3)), "a, b or c");
    }

    #[test]
    fn a_message_says_what_it_is_about() {
        let check = |kind: ErrorKind, arguments: &[&str]| {
            let message = kind.message(arguments);
            assert_eq!(argument(kind, &message), arguments.first().copied());
        };
        check(ErrorKind::RepositoryDoesNotExist, &["/a b/c"]);
        check(ErrorKind::RepositoryInvalidRepository, &["/a"]);
        check(ErrorKind::KeyfileNotFoundError, &["/a", "/keys"]);
        check(ErrorKind::RepoKeyNotFoundError, &["/a"]);
        assert_eq!(argument(ErrorKind::PassphraseWrong, "wrong"), None);
    }

    #[test]
    fn repositories_are_found_beside_and_below() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["backup", "music"] {
            let repository = dir.path().join(name);
            named_file::make_directories(&repository.join("data"), 0o700).unwrap();
            named_file::write(repository.join("config").as_os_str(), b"").unwrap();
        }
        named_file::make_directories(&dir.path().join("backups"), 0o700).unwrap();
        let shown = |name: &str| dir.path().join(name).display().to_string();
        let near = near_repositories(&dir.path().join("bakcup"));
        assert_eq!(near, [shown("backup")]);
        assert_eq!(
            repositories_in(dir.path()),
            [shown("backup"), shown("music")]
        );
        assert!(near_repositories(Path::new("/")).is_empty());
    }
}
