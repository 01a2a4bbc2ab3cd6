//! `repos apply`: makes directories, rights and keys as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironborg_jobs::repos::{Repo, authorized_keys};
use ironborg_source::named_file::{self, LockedFile};
use ironborg_source::others_directory::{self, Found};
use ironborg_types::text;

use super::accounts::{self, Account};
use super::keys::{self, KeysFile};
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::shell;
use crate::parse::ParseContext;
use crate::{as_user, service_manager, sys};

/// Permissions of a repository's directory.
const PERMISSIONS: u32 = 0o700;
/// What the program is called.
const PROGRAM: &str = "ironborg";
/// Where a shell that sshd starts finds programs everywhere.
const SHELL_PATH: [&str; 2] = ["/usr/bin", "/bin"];
/// What keeps two of these from working at once.
const LOCK: &str = "repos.lock";
/// How long one waits for the other.
const LOCK_WAIT: Duration = Duration::from_mins(1);
/// How often it looks.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// What may be typed.
///
/// Each key gets a line of its user's authorized_keys that lets it work with its repository, and do nothing else. Lines of
/// others stay as they are; nothing in any repository is changed, and no directory removed.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Say what would be done, do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Make users and groups that are missing
    #[arg(long)]
    create_users: bool,
    /// Files of keys, by names of users, are in DIRECTORY [default: ~/.ssh/authorized_keys of each]
    #[arg(long, value_name = "DIRECTORY")]
    authorized_keys_dir: Option<OsString>,
    /// The program that serves [default: this one]
    #[arg(long, value_name = "PROGRAM")]
    program: Option<String>,
    /// Directory of the records
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/ironborg")]
    state: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ApplyOptions {
    place: Place,
    dry_run: bool,
    create_users: bool,
    keys_directory: Option<PathBuf>,
    program: Option<String>,
    state: PathBuf,
}

impl ApplyArgs {
    /// Makes the paths absolute.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ApplyOptions, ParseError> {
        let cwd = Path::new(std::ffi::OsStr::from_bytes(parse.cwd));
        if let Some(program) = &self.program
            && program.contains(char::is_control)
        {
            let message = "a program's name is one line of text".to_owned();
            return Err(ParseError::argument("--program", message));
        }
        Ok(ApplyOptions {
            place: self.place.resolve(parse),
            dry_run: self.dry_run,
            create_users: self.create_users,
            keys_directory: self
                .authorized_keys_dir
                .map(|directory| cwd.join(directory)),
            program: self.program,
            state: cwd.join(self.state),
        })
    }
}

impl Run for ApplyOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let repos = self.place.load()?;
        let program = self.program(context)?;
        let _lock = self.lock()?;
        let mut stdout = Stdout::new();
        if self.create_users {
            let commands = accounts::commands(&repos);
            for words in &commands {
                stdout.text(&format!(
                    "{}\n",
                    shell::join(words.iter().map(String::as_str))
                ))?;
                if !self.dry_run {
                    accounts::run(words)?;
                }
            }
            if self.dry_run && !commands.is_empty() {
                stdout.text("the rest depends on these users\n")?;
                return stdout.finish();
            }
        }
        let accounts = accounts::find(&repos)?;
        // Everything is looked at before anything is changed.
        let changes = self.key_changes(&repos, &program)?;
        for repo in &repos {
            self.directory(repo, &accounts[&repo.user], &mut stdout)?;
        }
        self.write_keys(&repos, &changes, &mut stdout)?;
        stdout.finish()
    }
}

/// A file of keys that has to change.
struct KeyChange {
    file: KeysFile,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl ApplyOptions {
    /// How lines call the program: by its name where every shell finds it, else by a path that lasts.
    fn program(&self, context: &Context) -> Result<String, CliError> {
        if let Some(program) = &self.program {
            return Ok(shell::join([program.as_str()]));
        }
        let found = service_manager::program(context)?;
        let by_name = SHELL_PATH
            .iter()
            .any(|directory| found == Path::new(directory).join(PROGRAM));
        if by_name {
            return Ok(PROGRAM.to_owned());
        }
        let found = text::display(found.as_os_str().as_bytes()).into_owned();
        Ok(shell::join([found.as_str()]))
    }

    fn lock(&self) -> Result<Option<LockedFile>, CliError> {
        let fail = |error: named_file::NamedFileError| CliError::generic(error.to_string());
        if self.dry_run {
            return Ok(None);
        }
        named_file::make_public_directories(&self.state).map_err(fail)?;
        let path = self.state.join(LOCK);
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            if let Some(lock) = named_file::try_lock(&path).map_err(fail)? {
                return Ok(Some(lock));
            }
            if Instant::now() > deadline {
                let message = format!("{}: another one is at work", path.display());
                return Err(CliError::generic(message));
            }
            std::thread::sleep(LOCK_POLL);
        }
    }

    /// Files of keys that do not say yet what they should, stale ones included.
    fn key_changes(&self, repos: &[Repo], program: &str) -> Result<Vec<KeyChange>, CliError> {
        let mut wanted: BTreeMap<KeysFile, Vec<&Repo>> = BTreeMap::new();
        for file in keys::recorded(&self.state)? {
            wanted.insert(file, Vec::new());
        }
        for repo in repos {
            let file = self.keys_file(repo);
            wanted.entry(file).or_default().push(repo);
        }
        let mut changes = Vec::new();
        for (file, repos) in wanted {
            let before = file.read()?;
            let after = authorized_keys::replaced(&before, &repos, program).map_err(|error| {
                let path = file.path().unwrap_or_default();
                CliError::generic(format!("{}: {error}", path.display()))
            })?;
            if before != after {
                changes.push(KeyChange {
                    file,
                    before,
                    after,
                });
            }
        }
        Ok(changes)
    }

    fn keys_file(&self, repo: &Repo) -> KeysFile {
        KeysFile::of(&repo.user, self.keys_directory.as_deref())
    }

    /// Has the directory of a repository be there and its owner's.
    fn directory(
        &self,
        repo: &Repo,
        account: &Account,
        stdout: &mut Stdout,
    ) -> Result<(), CliError> {
        let path = &repo.path;
        let shown = path.display();
        let owner = account.owner(repo);
        let found = others_directory::look(path, owner.uid)
            .map_err(|error| CliError::generic(error.to_string()))?;
        match found {
            Found::His => return Ok(()),
            Found::NoDirectory => {
                return Err(CliError::generic(format!("{shown}: it is no directory")));
            }
            Found::Others { empty: false, uid } => {
                let owner = sys::user_by_id(uid).map_or_else(
                    || uid.to_string(),
                    |user| text::display(user.name.as_bytes()).into_owned(),
                );
                return Err(CliError::generic(format!(
                    "{shown}: it is {owner}'s and not empty; if it is to be {user}'s: chown -R {user} {path}",
                    user = repo.user,
                    path = shell::join([shown.to_string().as_str()]),
                )));
            }
            Found::Nothing | Found::Others { empty: true, .. } => {}
        }
        stdout.text(&format!("directory {shown} for {}\n", repo.user))?;
        if self.dry_run {
            return Ok(());
        }
        if others_directory::is_guarded(path) || sys::effective_uid() != 0 {
            return others_directory::make_for(path, PERMISSIONS, owner)
                .map_err(|error| CliError::generic(error.to_string()));
        }
        // The way there is somebody's, who could bend it: he has to go it himself.
        as_user::make_directories(&account.user, &[path.as_os_str()]).map_err(|said| {
            CliError::generic(format!(
                "{said}: others than root decide what is above it, so it has to be made by hand, or be elsewhere"
            ))
        })
    }

    fn write_keys(
        &self,
        repos: &[Repo],
        changes: &[KeyChange],
        stdout: &mut Stdout,
    ) -> Result<(), CliError> {
        let wanted: BTreeSet<KeysFile> = repos.iter().map(|repo| self.keys_file(repo)).collect();
        let recorded = keys::recorded(&self.state)?;
        if !self.dry_run && recorded != wanted {
            // Before there are lines anywhere that would be forgotten.
            keys::record(&self.state, &recorded.union(&wanted).cloned().collect())?;
        }
        for change in changes {
            let path = change.file.path().unwrap_or_default();
            stdout.text(&format!("keys {}\n", path.display()))?;
            for line in difference(&change.before, &change.after) {
                stdout.text(&line)?;
            }
            if !self.dry_run {
                change.file.replace(&change.after)?;
            }
        }
        if !self.dry_run && recorded != wanted {
            keys::record(&self.state, &wanted)?;
        }
        Ok(())
    }
}

/// The lines that go, and those that come.
fn difference(before: &[u8], after: &[u8]) -> Vec<String> {
    let lines = |content: &[u8]| -> Vec<Vec<u8>> {
        content
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (before, after) = (lines(before), lines(after));
    let known: BTreeSet<&Vec<u8>> = before.iter().collect();
    let stays: BTreeSet<&Vec<u8>> = after.iter().collect();
    let is_key = |line: &&Vec<u8>| !line.is_empty() && !line.starts_with(b"#");
    let shown = |sign: char, line: &[u8]| format!("{sign} {}\n", text::display(line));
    let gone = before
        .iter()
        .filter(|line| !stays.contains(line))
        .filter(is_key);
    let come = after
        .iter()
        .filter(|line| !known.contains(line))
        .filter(is_key);
    gone.map(|line| shown('-', line))
        .chain(come.map(|line| shown('+', line)))
        .collect()
}
