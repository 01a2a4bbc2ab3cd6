//! The users that repositories belong to.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Stdio;

use ironborg_jobs::repos::Repo;
use ironborg_source::Names;
use ironborg_source::others_directory::Owner;

use crate::error::CliError;
use crate::subprocess;
use crate::sys::{self, UserEntry};

/// What a user's repositories need of him.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The user.
    pub(super) user: UserEntry,
    /// Groups by name.
    groups: BTreeMap<String, u32>,
}

impl Account {
    /// Who a repository belongs to.
    pub(super) fn owner(&self, repo: &Repo) -> Owner {
        let group = repo.group.as_ref().and_then(|group| self.groups.get(group));
        Owner {
            uid: self.user.uid,
            gid: group.copied().unwrap_or(self.user.gid),
        }
    }
}

/// Finds the users and groups of all repositories.
///
/// # Errors
/// One is missing: it is said how it can be made.
pub(super) fn find(repos: &[Repo]) -> Result<BTreeMap<String, Account>, CliError> {
    let names = Names::new();
    let mut found: BTreeMap<String, Account> = BTreeMap::new();
    for repo in repos {
        if !found.contains_key(&repo.user) {
            let user = sys::user_by_name(OsStr::new(&repo.user))
                .ok_or_else(|| missing(repo, &repo.user))?;
            let groups = BTreeMap::new();
            found.insert(repo.user.clone(), Account { user, groups });
        }
        if let Some(group) = &repo.group {
            let id = names
                .group_id(group.as_bytes())
                .ok_or_else(|| missing(repo, group))?;
            let account = found.get_mut(&repo.user).expect("inserted above");
            account.groups.insert(group.clone(), id);
        }
    }
    Ok(found)
}

fn missing(repo: &Repo, name: &str) -> CliError {
    CliError::generic(format!(
        "{}: there is no user or group {name}: make one, or have it made by --create-users",
        repo.name
    ))
}

/// The commands that make the users and groups that are missing.
///
/// A user can log in with keys only: there is no password, which is something else than a locked account, as sshd lets
/// nobody in to one of these.
pub(super) fn commands(repos: &[Repo]) -> Vec<Vec<String>> {
    let names = Names::new();
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut push = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        if !commands.contains(&words) {
            commands.push(words);
        }
    };
    for repo in repos {
        let group_exists = |name: &str| names.group_id(name.as_bytes()).is_some();
        if let Some(group) = repo.group.as_deref().filter(|group| !group_exists(group)) {
            push(&["groupadd", "--system", group]);
        }
        let user = repo.user.as_str();
        if sys::user_by_name(OsStr::new(user)).is_none() {
            let group = repo.group.as_deref().filter(|group| *group != user);
            let home = format!("/var/lib/{user}");
            let mut words = vec![
                "useradd",
                "--system",
                "--password",
                "*",
                "--shell",
                "/bin/sh",
            ];
            words.extend(["--home-dir", &home, "--create-home"]);
            match group {
                Some(group) => words.extend(["--gid", group]),
                None if repo.group.is_some() || group_exists(user) => words.extend(["--gid", user]),
                None => words.push("--user-group"),
            }
            words.push(user);
            push(&words);
        }
    }
    // A user of several repositories is made by the first of them.
    let mut seen = std::collections::BTreeSet::new();
    commands.retain(|words| words[0] != "useradd" || seen.insert(words.last().cloned()));
    commands
}

/// Runs such a command.
///
/// # Errors
/// With what it said.
pub(super) fn run(words: &[String]) -> Result<(), CliError> {
    let (program, rest) = words.split_first().expect("a command has a program");
    let output = subprocess::command(OsStr::new(program))
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| CliError::generic(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(CliError::generic(format!(
        "{}: {}",
        words.join(" "),
        said.trim()
    )))
}
