//! Called by mount(8): lines of fstab, `mount -t fuse.borgfs` and mount units.
//!
//! As `mount.fuse.borgfs` or `mount.borgfs` the program is given `SOURCE DIR [-sfnvw] [-o OPTIONS] [-t TYPE]`. It
//! translates that into a command line of `mount`, becomes another user if it is told to, and runs itself with it. It
//! returns when the directory shows what it should, with an exit code of mount(8)'s.

mod options;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use ironborg_types::text;

use self::options::Options;
use crate::credential::{CredentialError, PassphraseOrigin};
use crate::environment::{Environment, PASSPHRASE_FILE};
use crate::exit::{self, Severity};
use crate::output::shell;
use crate::program::Program;
use crate::{console, sys};

/// Called wrongly, or not allowed.
const USAGE: u8 = 1;
/// The system is short of something.
const SYSTEM: u8 = 2;
/// Somebody pressed ^C.
const INTERRUPTED: u8 = 8;
/// It is not mounted.
const FAILURE: u8 = 32;

/// The name the program has for what it runs itself as.
const OWN_NAME: &str = "ironborg";

/// Why it is not even tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FstabError {
    /// Source or directory is missing, or there is more.
    #[error(
        "usage: SOURCE DIRECTORY [-sfnv] [-o OPTIONS] [-t TYPE]; SOURCE is REPOSITORY or REPOSITORY::ARCHIVE"
    )]
    Places,
    /// A switch nobody knows.
    #[error("unknown switch: {0}")]
    Switch(String),
    /// Quotes that do not end.
    #[error("options: a quotation does not end")]
    Quotation,
    /// A word without the value it needs.
    #[error("option {0} needs a value")]
    NoValue(String),
    /// A word whose value must not have a comma in it.
    #[error("option {0}: there can be no comma in its value")]
    Comma(String),
    /// Something that cannot be done.
    #[error("option {0}: that cannot be done with archives")]
    Impossible(String),
    /// Namespaces of others.
    #[error("-N: mounting in the namespace of another process is not supported; use nsenter(1)")]
    Namespace,
    /// A credential that is not there.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A user that is not there.
    #[error("there is no user {0}")]
    User(String),
    /// Becoming another user did not work.
    #[error("cannot become user {user}: {reason}")]
    Become {
        /// Who.
        user: String,
        /// Why not.
        reason: String,
    },
}

/// What mount(8) wants.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    source: OsString,
    directory: OsString,
    options: Options,
    /// Everything but the mounting itself.
    fake: bool,
    verbose: bool,
}

/// Runs the program as a helper of mount(8).
pub(crate) fn run(program: &Program, words: &[OsString], environment: &Environment) -> u8 {
    if let [word] = words
        && (word == "-V" || word == "--version")
    {
        console::stdout_line(&program.version_line());
        return exit::SUCCESS;
    }
    let complain = |error: &dyn std::fmt::Display| {
        console::stderr_line(&format!("{}: {error}", program.name));
    };
    let wanted = match Wanted::read(words) {
        Ok(wanted) => wanted,
        Err(error) => {
            complain(&error);
            return USAGE;
        }
    };
    if wanted.fake {
        return exit::SUCCESS;
    }
    let command = match wanted.command(environment.credentials.as_deref()) {
        Ok(command) => command,
        Err(error) => {
            complain(&error);
            return FAILURE;
        }
    };
    match run_to_its_end(command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            SYSTEM
        }
    }
}

impl Wanted {
    /// Understands the words mount(8) gives.
    fn read(words: &[OsString]) -> Result<Self, FstabError> {
        let mut places = Vec::new();
        let mut options = Options::default();
        let (mut fake, mut verbose) = (false, false);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(switches) = word
                .as_bytes()
                .strip_prefix(b"-")
                .filter(|rest| !rest.is_empty())
            else {
                places.push(word.clone());
                continue;
            };
            for (at, switch) in switches.iter().enumerate() {
                let mut value = || {
                    let attached = OsStr::from_bytes(&switches[at + 1..]);
                    if attached.is_empty() {
                        words.next().cloned().ok_or(FstabError::Places)
                    } else {
                        Ok(attached.to_owned())
                    }
                };
                match switch {
                    // Whether options are unknown is found out further down; there is no table of mounts to write; it
                    // is never written to.
                    b's' | b'n' | b'r' | b'w' => {}
                    b'f' => fake = true,
                    b'v' => verbose = true,
                    b'o' => {
                        options.add(&value()?)?;
                        break;
                    }
                    b't' => {
                        value()?;
                        break;
                    }
                    b'N' => return Err(FstabError::Namespace),
                    _ => {
                        return Err(FstabError::Switch(
                            text::display(word.as_bytes()).into_owned(),
                        ));
                    }
                }
            }
        }
        let [source, directory] = places.try_into().map_err(|_| FstabError::Places)?;
        Ok(Self {
            source,
            directory,
            options,
            fake,
            verbose,
        })
    }

    /// The words of `mount`.
    fn arguments(&self, mounts_as_root: bool) -> Vec<OsString> {
        let options = &self.options;
        let mut arguments: Vec<OsString> = vec!["mount".into()];
        if self.verbose {
            arguments.push("--info".into());
        }
        arguments.extend(options.arguments.iter().cloned());
        if let Some(identity) = &options.identity {
            arguments.push(with_identity(&options.arguments, identity));
        }
        let mut words = options.words.clone();
        // So that mount(8), init and findmnt(8) see that it is the line of fstab that is mounted.
        if !options.has_word("fsname") && !self.source.as_bytes().contains(&b',') {
            let mut name = OsString::from("fsname=");
            name.push(&self.source);
            words.push(name);
        }
        if !options.has_word("subtype") {
            words.push("subtype=borgfs".into());
        }
        // Who is named as the owner is to get at it, though somebody else has mounted it.
        let for_somebody = options.has_word("uid") || options.has_word("gid");
        let is_decided = options.has_word("allow_other") || options.has_word("allow_root");
        if mounts_as_root && for_somebody && !is_decided && !options.for_mounter_only {
            words.push("allow_other".into());
        }
        arguments.push("-o".into());
        arguments.push(words.join(OsStr::new(",")));
        arguments.push("--".into());
        arguments.extend([self.source.clone(), self.directory.clone()]);
        arguments.extend(options.paths.iter().cloned());
        arguments
    }

    /// Itself, ready to be run. This process may be another user afterwards.
    fn command(&self, credentials: Option<&Path>) -> Result<Command, FstabError> {
        let itself = std::env::current_exe().unwrap_or_else(|_| OWN_NAME.into());
        let mut command = Command::new(itself);
        command.arg0(OWN_NAME);
        command.envs(
            self.options
                .variables
                .iter()
                .map(|(name, value)| (name, value)),
        );
        // Credentials are looked for by the user who called: another one may not even list their directory.
        let passphrase = self
            .options
            .passphrase
            .as_ref()
            .map(|origin| passphrase_variable(origin, credentials))
            .transpose()?;
        if let Some((variable, value)) = passphrase.flatten() {
            for other in [
                "BORG_PASSPHRASE",
                "BORG_PASSPHRASE_FD",
                "BORG_PASSCOMMAND",
                PASSPHRASE_FILE,
            ] {
                command.env_remove(other);
            }
            command.env(variable, value);
        }
        if let Some(name) = &self.options.user {
            become_user(name, &mut command)?;
        }
        command.args(self.arguments(sys::effective_uid() == 0));
        Ok(command)
    }
}

/// The variable that gives a passphrase, and its value.
fn passphrase_variable(
    origin: &PassphraseOrigin,
    credentials: Option<&Path>,
) -> Result<Option<(&'static str, OsString)>, CredentialError> {
    let found = origin.variables(credentials)?;
    let command = found.command.map(|command| ("BORG_PASSCOMMAND", command));
    let file = found
        .file
        .map(|file| (PASSPHRASE_FILE, file.into_os_string()));
    Ok(command.or(file))
}

/// The option that makes ssh use a key; a command to connect with that was given before gets it too.
fn with_identity(arguments: &[OsString], identity: &OsStr) -> OsString {
    let mut given = arguments.iter().rev();
    let rsh = given.find_map(|argument| argument.as_bytes().strip_prefix(b"--rsh="));
    let mut out = OsString::from("--rsh=");
    out.push(OsStr::from_bytes(rsh.unwrap_or(b"ssh")));
    let mut quoted = String::from(" -i ");
    shell::push_quoted(&text::display(identity.as_bytes()), &mut quoted);
    out.push(quoted);
    out
}

/// Becomes the user of that name, if it is another one, and tells the command whose home it runs in.
fn become_user(name: &OsStr, command: &mut Command) -> Result<(), FstabError> {
    let shown = text::display(name.as_bytes()).into_owned();
    let number = std::str::from_utf8(name.as_bytes())
        .ok()
        .and_then(|name| name.parse().ok());
    let by_number = || number.and_then(sys::user_by_id);
    let user = sys::user_by_name(name).or_else(by_number);
    let user = user.ok_or_else(|| FstabError::User(shown.clone()))?;
    sys::become_user(&user).map_err(|error| FstabError::Become {
        user: shown,
        reason: error.to_string(),
    })?;
    command.env("HOME", &user.home);
    command.envs(["USER", "LOGNAME"].map(|variable| (variable, &user.name)));
    for of_the_caller in [
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(of_the_caller);
    }
    Ok(())
}

/// Runs `mount`, which returns when it is mounted, and translates its exit code.
fn run_to_its_end(mut command: Command) -> std::io::Result<u8> {
    let status = command.status()?;
    let Some(code) = status.code().and_then(|code| u8::try_from(code).ok()) else {
        let by_hand = status.signal() == Some(signal_hook::consts::SIGINT);
        return Ok(if by_hand { INTERRUPTED } else { FAILURE });
    };
    Ok(match exit::severity(code) {
        // A warning does not keep it from being mounted.
        Severity::Success | Severity::Warning => exit::SUCCESS,
        Severity::Error => FAILURE,
        Severity::Signal => INTERRUPTED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, FstabError> {
        let words = shell_words::split(line).unwrap();
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        Wanted::read(&words)
    }

    #[track_caller]
    fn check(line: &str, root: bool, expected: &[&str]) {
        let arguments = read(line).unwrap().arguments(root);
        assert_eq!(arguments, expected, "{line}");
    }

    #[test]
    fn a_line_of_fstab_becomes_a_command_line() {
        check(
            "/r::a /mnt -o rw,noauto,x-systemd.automount,uid=1000",
            true,
            &[
                "mount",
                "-o",
                "uid=1000,fsname=/r::a,subtype=borgfs,allow_other",
                "--",
                "/r::a",
                "/mnt",
            ],
        );
        check(
            "-sfnv -t fuse.borgfs ssh://u@h/./r /mnt -o ro,path=home/me,strip_components=2 -o uid=5,allow_root",
            true,
            &[
                "mount",
                "--info",
                "--strip-components=2",
                "-o",
                "uid=5,allow_root,fsname=ssh://u@h/./r,subtype=borgfs",
                "--",
                "ssh://u@h/./r",
                "/mnt",
                "home/me",
            ],
        );
        check(
            "/a,b /mnt -ouid=5,fsname=x,rsh=ssh\\ -p\\ 2,identity=/my\\ key",
            false,
            &[
                "mount",
                "--rsh=ssh -p 2",
                "--rsh=ssh -p 2 -i '/my key'",
                "-o",
                "uid=5,fsname=x,subtype=borgfs",
                "--",
                "/a,b",
                "/mnt",
            ],
        );
        check(
            "/a,b /mnt -w -o uid=5,noallow_other",
            true,
            &["mount", "-o", "uid=5,subtype=borgfs", "--", "/a,b", "/mnt"],
        );
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        assert_eq!(read("/r"), Err(FstabError::Places));
        assert_eq!(read("/r /a /b"), Err(FstabError::Places));
        assert_eq!(read("/r /a -o"), Err(FstabError::Places));
        assert_eq!(read("/r /a -x"), Err(FstabError::Switch("-x".into())));
        assert_eq!(read("/r /a -N 7"), Err(FstabError::Namespace));
    }

    #[test]
    fn an_unknown_user_is_nobody() {
        let wanted = read("/r /a -o setuid=no-such-user").unwrap();
        let error = wanted.command(None).unwrap_err();
        assert_eq!(error, FstabError::User("no-such-user".into()));
    }
}
