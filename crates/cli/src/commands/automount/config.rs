//! What is shown in a directory: a text file for each, which people may change.
//!
//! `CONFIG/ironborg/automount/NAME.conf`, NAME being the directory's path as systemd escapes paths. A line holds a
//! setting and its value, quoted as for a shell; what follows a `repository` belongs to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_jobs::units::escape;
use ironborg_source::named_file;
use ironborg_types::text;

use crate::credential::{self, PassphraseOrigin};
use crate::location::{Location, Protocol};
use crate::shell_words;

/// How long a repository that nobody looks at stays open, unless something else is said.
pub(super) const IDLE: Duration = Duration::from_mins(10);
/// Longest name of a repository: what file systems take.
const NAME_LEN_MAX: usize = 255;
/// How names of these files end.
const SUFFIX: &str = ".conf";

/// Why there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConfigError {
    /// A line nobody understands.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system said no.
    #[error("{0}")]
    File(String),
    /// Something that does not fit into a line.
    #[error("no line of a configuration file can hold this: {0}")]
    LineFeed(String),
}

/// What is shown in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// The directory, absolute.
    pub(super) directory: PathBuf,
    /// How long a repository that nobody looks at stays open.
    pub(super) idle: Duration,
    /// Words for `-o`.
    pub(super) options: Option<String>,
    /// The repositories, each a directory.
    pub(super) repositories: Vec<Shown>,
}

/// A repository that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its name in the directory.
    pub(super) name: OsString,
    /// Where it is, without placeholders; a path is absolute.
    pub(super) location: OsString,
    /// Where the passphrase comes from, if not from what the program itself has stored.
    pub(super) passphrase: Option<PassphraseOrigin>,
    /// How the service manager is asked for the credential that it comes from.
    pub(super) credential: Option<Credential>,
    /// Command to connect with.
    pub(super) rsh: Option<OsString>,
    /// Program to start on the other host.
    pub(super) remote_path: Option<OsString>,
    /// Only these archives.
    pub(super) glob_archives: Option<OsString>,
}

/// A credential the service manager gives to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// `NAME` or `NAME:PATH`.
    pub(super) wanted: OsString,
    /// Whether the service manager has to decrypt it.
    pub(super) encrypted: bool,
}

impl Credential {
    /// The name alone.
    pub(super) fn name(&self) -> &OsStr {
        let name = self.wanted.as_bytes().split(|&byte| byte == b':').next();
        OsStr::from_bytes(name.unwrap_or_default())
    }
}

impl Shown {
    /// Takes its passphrase from a credential.
    pub(super) fn use_credential(&mut self, credential: Credential) -> Result<(), String> {
        let name = credential.name().to_owned();
        credential::check_name(&name).map_err(|error| error.to_string())?;
        // The setting of a unit has no way to write them.
        let wanted = text::display(credential.wanted.as_bytes());
        if wanted.contains(|c: char| c.is_control() || c == '\\') {
            return Err(format!("not a place of a credential: {wanted}"));
        }
        self.passphrase = Some(PassphraseOrigin::Credential(name));
        self.credential = Some(credential);
        Ok(())
    }

    /// The location, taken apart. A path is taken as it is.
    pub(super) fn location(&self) -> Location {
        let bytes = self.location.as_bytes();
        let parsed = Location::parse(bytes).filter(|location| location.archive.is_none());
        parsed.unwrap_or_else(|| Location {
            protocol: Protocol::File,
            path: bytes.to_vec(),
            archive: None,
            processed: bytes.to_vec(),
        })
    }
}

/// Whether a repository can have this name.
pub(super) fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= NAME_LEN_MAX
        && !matches!(bytes, b"." | b"..")
        && !bytes.iter().any(|byte| matches!(byte, b'/' | 0 | b'\n'))
}

/// The directory of these files.
pub(super) fn directory(config: &Path) -> PathBuf {
    config.join("ironborg/automount")
}

impl Config {
    /// Nothing, in a directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            idle: IDLE,
            options: None,
            repositories: Vec::new(),
        }
    }

    /// The file for a directory.
    pub(super) fn file(config: &Path, shown_in: &Path) -> PathBuf {
        let mut name = escape::file_name(shown_in);
        name.push_str(SUFFIX);
        directory(config).join(name)
    }

    /// Reads it; `None` if nothing is shown in that directory.
    pub(super) fn load(config: &Path, shown_in: &Path) -> Result<Option<Self>, ConfigError> {
        Self::read(&Self::file(config, shown_in))
    }

    /// All of them, by name.
    pub(super) fn all(config: &Path) -> Result<Vec<Self>, ConfigError> {
        let directory = directory(config);
        let mut names = match named_file::names_in(&directory) {
            Err(error) if error.is_not_found() => Vec::new(),
            other => other.map_err(|error| ConfigError::File(error.to_string()))?,
        };
        names.retain(|name| name.as_bytes().ends_with(SUFFIX.as_bytes()));
        names.sort_unstable();
        let read = names.iter().map(|name| Self::read(&directory.join(name)));
        read.filter_map(Result::transpose).collect()
    }

    fn read(file: &Path) -> Result<Option<Self>, ConfigError> {
        match named_file::read(file.as_os_str()) {
            Ok(content) => Self::parse(&content, file).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(ConfigError::File(error.to_string())),
        }
    }

    /// Understands the content of a file.
    fn parse(content: &[u8], file: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::new(PathBuf::new());
        for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
            let fail = |reason: String| ConfigError::Line {
                file: text::display(file.as_os_str().as_bytes()).into_owned(),
                line: index + 1,
                reason,
            };
            if line.trim_ascii().is_empty() || line.trim_ascii().starts_with(b"#") {
                continue;
            }
            let words = shell_words::split(line).map_err(|error| fail(error.to_string()))?;
            config.take(words).map_err(fail)?;
        }
        if config.directory.is_absolute() {
            return Ok(config);
        }
        Err(ConfigError::Line {
            file: text::display(file.as_os_str().as_bytes()).into_owned(),
            line: 1,
            reason: "no absolute `directory` is named".to_owned(),
        })
    }

    /// Takes the words of one line.
    fn take(&mut self, words: Vec<Vec<u8>>) -> Result<(), String> {
        let mut words = words.into_iter().map(OsString::from_vec);
        let setting = words.next().unwrap_or_default();
        let setting = text::display(setting.as_bytes()).into_owned();
        let value = words.next();
        let value = value.ok_or_else(|| format!("`{setting}` needs a value"))?;
        let second = words.next();
        if words.next().is_some() || (second.is_some() && setting != "repository") {
            return Err(format!(
                "`{setting}` has one value; blanks are to be quoted"
            ));
        }
        match setting.as_str() {
            "directory" => self.directory = value.into(),
            "idle" => {
                let text = text::display(value.as_bytes()).into_owned();
                self.idle = super::duration(&text)?;
            }
            "options" => {
                let options = value.into_string();
                self.options = Some(options.map_err(|_| "`options` must be UTF-8".to_owned())?);
            }
            "repository" => {
                let location = second.ok_or("`repository` needs a name and a location")?;
                self.push(value, location)?;
            }
            _ => {
                let shown = self.repositories.last_mut();
                let shown = shown.ok_or_else(|| format!("`{setting}` belongs to no repository"))?;
                shown.take(&setting, value)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, name: OsString, location: OsString) -> Result<(), String> {
        if !is_name(&name) {
            return Err("a repository cannot have this name".to_owned());
        }
        if self.repositories.iter().any(|known| known.name == name) {
            return Err("two repositories have this name".to_owned());
        }
        self.repositories.push(Shown {
            name,
            location,
            passphrase: None,
            credential: None,
            rsh: None,
            remote_path: None,
            glob_archives: None,
        });
        Ok(())
    }

    /// Stores it, for its owner only.
    pub(super) fn save(&self, config: &Path) -> Result<(), ConfigError> {
        let file = Self::file(config, &self.directory);
        named_file::replace_private(&file, &self.content()?)
            .map_err(|error| ConfigError::File(error.to_string()))
    }

    /// Forgets a directory.
    pub(super) fn remove(config: &Path, shown_in: &Path) -> Result<(), ConfigError> {
        named_file::remove(&Self::file(config, shown_in))
            .map_err(|error| ConfigError::File(error.to_string()))
    }

    fn content(&self) -> Result<Vec<u8>, ConfigError> {
        let mut out = Vec::new();
        out.extend_from_slice(HEADER.as_bytes());
        let idle = format!("{}s", self.idle.as_secs());
        push_line("", "directory", &[self.directory.as_os_str()], &mut out)?;
        push_line("", "idle", &[idle.as_ref()], &mut out)?;
        if let Some(options) = &self.options {
            push_line("", "options", &[options.as_ref()], &mut out)?;
        }
        for shown in &self.repositories {
            out.push(b'\n');
            push_line("", "repository", &[&shown.name, &shown.location], &mut out)?;
            let passphrase = match (&shown.credential, &shown.passphrase) {
                (Some(credential), _) if credential.encrypted => {
                    Some(("encrypted-credential", credential.wanted.as_os_str()))
                }
                (Some(credential), _) => Some(("credential", credential.wanted.as_os_str())),
                (None, Some(PassphraseOrigin::Command(command))) => {
                    Some(("passcommand", command.as_os_str()))
                }
                (None, Some(PassphraseOrigin::File(file))) => {
                    Some(("passphrase-file", file.as_os_str()))
                }
                (None, Some(PassphraseOrigin::Credential(name))) => {
                    Some(("credential", name.as_os_str()))
                }
                (None, None) => None,
            };
            let settings = [
                passphrase,
                shown.rsh.as_deref().map(|value| ("rsh", value)),
                shown
                    .remote_path
                    .as_deref()
                    .map(|value| ("remote-path", value)),
                shown
                    .glob_archives
                    .as_deref()
                    .map(|value| ("glob-archives", value)),
            ];
            for (setting, value) in settings.into_iter().flatten() {
                push_line("  ", setting, &[value], &mut out)?;
            }
        }
        Ok(out)
    }
}

impl Shown {
    fn take(&mut self, setting: &str, value: OsString) -> Result<(), String> {
        match setting {
            "passcommand" => self.passphrase = Some(PassphraseOrigin::Command(value)),
            "passphrase-file" => self.passphrase = Some(PassphraseOrigin::File(value.into())),
            "credential" | "encrypted-credential" => self.use_credential(Credential {
                wanted: value,
                encrypted: setting == "encrypted-credential",
            })?,
            "rsh" => self.rsh = Some(value),
            "remote-path" => self.remote_path = Some(value),
            "glob-archives" => self.glob_archives = Some(value),
            _ => return Err(format!("there is no setting `{setting}`")),
        }
        Ok(())
    }
}

/// What stands at the beginning of each file.
const HEADER: &str = "\
# Repositories shown in a directory; see `ironborg automount --help`. Quoted as for a shell.
# After a change: systemctl --user restart the service of `ironborg automount list`.
";

fn push_line(
    indent: &str,
    setting: &str,
    values: &[&OsStr],
    out: &mut Vec<u8>,
) -> Result<(), ConfigError> {
    out.extend_from_slice(indent.as_bytes());
    out.extend_from_slice(setting.as_bytes());
    for value in values {
        let bytes = value.as_bytes();
        if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
            return Err(ConfigError::LineFeed(text::display(bytes).into_owned()));
        }
        out.push(b' ');
        push_quoted(bytes, out);
    }
    out.push(b'\n');
    Ok(())
}

/// As [`crate::output::shell::push_quoted`], for bytes that need not be text.
fn push_quoted(word: &[u8], out: &mut Vec<u8>) {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !word.is_empty() && word.iter().all(harmless) {
        out.extend_from_slice(word);
        return;
    }
    out.push(b'\'');
    for &byte in word {
        match byte {
            b'\'' => out.extend_from_slice(b"'\"'\"'"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config, String> {
        let parsed = Config::parse(text.as_bytes(), Path::new("f"));
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let config = parse(
            "# mine\ndirectory '/home/me/My Backups'\nidle 5min\n\nrepository home ssh://u@h/./r\n  rsh 'ssh -p 23'\n\
             passcommand \"pass show borg\"\nrepository usb '/media/a b'\n",
        )
        .unwrap();
        assert_eq!(config.directory, Path::new("/home/me/My Backups"));
        assert_eq!(config.idle, Duration::from_mins(5));
        assert_eq!(config.repositories.len(), 2);
        let first = &config.repositories[0];
        assert_eq!(first.rsh, Some("ssh -p 23".into()));
        let command = PassphraseOrigin::Command("pass show borg".into());
        assert_eq!(first.passphrase, Some(command));
        assert!(first.location().is_remote());
        assert_eq!(config.repositories[1].location().path, b"/media/a b");
    }

    #[test]
    fn a_line_nobody_understands_is_named() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        };
        check("", "f, line 1: no absolute `directory` is named");
        check("directory d", "f, line 1: no absolute `directory` is named");
        check(
            "directory /d\nidle soon",
            "f, line 2: not a length of time: soon (such as 90s, 10min, 2h)",
        );
        check("directory", "f, line 1: `directory` needs a value");
        check(
            "directory /a b",
            "f, line 1: `directory` has one value; blanks are to be quoted",
        );
        check("directory 'd", "f, line 1: No closing quotation");
        check("rsh x", "f, line 1: `rsh` belongs to no repository");
        check(
            "repository a",
            "f, line 1: `repository` needs a name and a location",
        );
        check(
            "repository .. /r",
            "f, line 1: a repository cannot have this name",
        );
        check(
            "repository a /r\nrepository a /s",
            "f, line 2: two repositories have this name",
        );
        check(
            "repository a /r\ncolour x",
            "f, line 2: there is no setting `colour`",
        );
    }

    fn value() -> impl Strategy<Value = OsString> {
        let bytes = prop_oneof![
            Just(b' '),
            Just(b'\''),
            Just(b'"'),
            Just(b'\\'),
            Just(b'#'),
            any::<u8>()
        ];
        proptest::collection::vec(bytes, 0..12).prop_map(OsString::from_vec)
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(
            directory in value(), location in value(), rsh in value(), file in value(), options in "[ -~]*",
        ) {
            let mut path = OsString::from("/");
            path.push(directory);
            let mut config = Config::new(path.into());
            config.options = Some(options);
            config.push("name".into(), location).unwrap();
            config.repositories[0].rsh = Some(rsh);
            config.repositories[0].passphrase = Some(PassphraseOrigin::File(file.into()));
            match config.content() {
                Ok(content) => prop_assert_eq!(Config::parse(&content, Path::new("f")), Ok(config)),
                Err(error) => prop_assert!(matches!(error, ConfigError::LineFeed(_))),
            }
        }

        #[test]
        fn no_content_makes_it_panic(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Config::parse(&content, Path::new("f"));
        }
    }
}
