//! Every environment variable the program looks at, read once at its start.
//!
//! Source: Borg 1.4; `docs/compat.md`, "Environment".

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::exit::ExitCodes;
use crate::output::json::JsonIndent;

/// Variables as found. `None` is "not set"; where Borg treats an empty value as not set, so does the reader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `BORG_REPO`: default repository.
    pub(crate) repo: Option<OsString>,
    /// `BORG_BASE_DIR`, `HOME` and so on.
    pub(crate) directories: DirectoryVariables,
    /// `BORG_RSH`
    pub(crate) rsh: Option<OsString>,
    /// `BORG_REMOTE_PATH`
    pub(crate) remote_path: Option<OsString>,
    /// Sources of passphrases.
    pub(crate) passphrases: PassphraseVariables,
    /// Names recorded in archives and used by locks.
    pub(crate) identity: IdentityVariables,
    /// `BORG_EXIT_CODES`
    pub(crate) exit_codes: ExitCodes,
    /// `BORG_JSON_INDENT`
    pub(crate) json_indent: Option<OsString>,
    /// `BORG_SHOW_SYSINFO` is not `no`.
    pub(crate) show_sysinfo: bool,
    /// `BORG_FILES_CACHE_SUFFIX`, if not empty.
    pub(crate) files_cache_suffix: Option<OsString>,
    /// `BORG_FILES_CACHE_TTL`: backups an unseen file stays remembered.
    pub(crate) files_cache_ttl: u32,
    /// `BORG_WORKAROUNDS`, split at commas.
    pub(crate) workarounds: Vec<String>,
    /// `BORG_LOGGING_CONF`, if not empty.
    pub(crate) logging_conf: Option<PathBuf>,
    /// `NOTIFY_SOCKET`: where the service manager wants to be told how things are.
    pub(crate) notify_socket: Option<OsString>,
    /// `JOURNAL_STREAM`: that the service manager keeps what is said.
    pub(crate) journal_stream: Option<OsString>,
    /// `CREDENTIALS_DIRECTORY`: what the service manager has given to this service.
    pub(crate) credentials: Option<PathBuf>,
    /// `SSH_ORIGINAL_COMMAND`: what a client wanted to run where a forced command runs.
    pub(crate) ssh_original_command: Option<OsString>,
    /// `BORG_MOUNT_DATA_CACHE_ENTRIES`
    pub(crate) mount_data_cache_entries: Option<OsString>,
    /// `COLUMNS`, if a number.
    pub(crate) columns: Option<usize>,
}

/// Where directories come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirectoryVariables {
    /// `BORG_BASE_DIR`, if not empty.
    pub(crate) base: Option<PathBuf>,
    /// `BORG_CONFIG_DIR`
    pub(crate) config: Option<PathBuf>,
    /// `BORG_CACHE_DIR`
    pub(crate) cache: Option<PathBuf>,
    /// `ATTIC_KEYS_DIR`
    pub(crate) attic_keys: Option<PathBuf>,
    /// `BORG_KEYS_DIR`
    pub(crate) keys: Option<PathBuf>,
    /// `BORG_SECURITY_DIR`
    pub(crate) security: Option<PathBuf>,
    /// `BORG_KEY_FILE`, if not empty.
    pub(crate) key_file: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub(crate) xdg_config: Option<PathBuf>,
    /// `XDG_CACHE_HOME`
    pub(crate) xdg_cache: Option<PathBuf>,
    /// `XDG_DATA_HOME`, if not empty.
    pub(crate) xdg_data: Option<PathBuf>,
    /// `XDG_STATE_HOME`, if not empty.
    pub(crate) xdg_state: Option<PathBuf>,
    /// `HOME`, if not empty.
    pub(crate) home: Option<PathBuf>,
    /// `USER`, if not empty.
    pub(crate) user: Option<OsString>,
}

/// Where passphrases come from.
#[derive(Clone, Default)]
pub(crate) struct PassphraseVariables {
    /// `BORG_PASSPHRASE`
    pub(crate) passphrase: Option<Zeroizing<Vec<u8>>>,
    /// `BORG_PASSCOMMAND`
    pub(crate) command: Option<OsString>,
    /// `BORG_PASSPHRASE_FD`, if a number.
    pub(crate) descriptor: Option<i32>,
    /// [`PASSPHRASE_FILE`], if not empty.
    pub(crate) file: Option<PathBuf>,
    /// `BORG_NEW_PASSPHRASE`
    pub(crate) new_passphrase: Option<Zeroizing<Vec<u8>>>,
}

/// The file that holds the passphrase: for mounts that nobody is asked for.
pub(crate) const PASSPHRASE_FILE: &str = "IRONBORG_PASSPHRASE_FILE";

impl PassphraseVariables {
    /// Whether any of them gives the passphrase of an existing key.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase.is_some()
            || self.command.is_some()
            || self.descriptor.is_some()
            || self.file.is_some()
    }
}

impl std::fmt::Debug for PassphraseVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Names that override what the system says.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdentityVariables {
    /// `BORG_HOST_ID`, if not empty.
    pub(crate) host_id: Option<OsString>,
    /// `BORG_HOSTNAME`, if not empty.
    pub(crate) hostname: Option<OsString>,
    /// `BORG_USERNAME`, if not empty.
    pub(crate) username: Option<OsString>,
    /// The first of `LOGNAME`, `USER`, `LNAME`, `USERNAME` that is not empty.
    pub(crate) login_name: Option<OsString>,
}

/// Backups an unseen file stays remembered, unless the variable says otherwise.
const FILES_CACHE_TTL: u32 = 20;

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn read() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Reads variables through `get`.
    pub(crate) fn from_lookup(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let filled = |name: &str| get(name).filter(|value| !value.is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        let filled_path = |name: &str| filled(name).map(PathBuf::from);
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let secret = |name: &str| {
            use std::os::unix::ffi::OsStringExt;
            get(name).map(|value| Zeroizing::new(value.into_vec()))
        };
        Self {
            repo: get("BORG_REPO"),
            rsh: get("BORG_RSH"),
            remote_path: get("BORG_REMOTE_PATH"),
            directories: DirectoryVariables {
                base: filled_path("BORG_BASE_DIR"),
                config: path("BORG_CONFIG_DIR"),
                cache: path("BORG_CACHE_DIR"),
                attic_keys: path("ATTIC_KEYS_DIR"),
                keys: path("BORG_KEYS_DIR"),
                security: path("BORG_SECURITY_DIR"),
                key_file: filled_path("BORG_KEY_FILE"),
                xdg_config: path("XDG_CONFIG_HOME"),
                xdg_cache: path("XDG_CACHE_HOME"),
                xdg_data: filled_path("XDG_DATA_HOME"),
                xdg_state: filled_path("XDG_STATE_HOME"),
                home: filled_path("HOME"),
                user: filled("USER"),
            },
            passphrases: PassphraseVariables {
                passphrase: secret("BORG_PASSPHRASE"),
                command: get("BORG_PASSCOMMAND"),
                descriptor: text("BORG_PASSPHRASE_FD").and_then(|value| value.trim().parse().ok()),
                file: filled_path(PASSPHRASE_FILE),
                new_passphrase: secret("BORG_NEW_PASSPHRASE"),
            },
            identity: IdentityVariables {
                host_id: filled("BORG_HOST_ID"),
                hostname: filled("BORG_HOSTNAME"),
                username: filled("BORG_USERNAME"),
                login_name: ["LOGNAME", "USER", "LNAME", "USERNAME"]
                    .into_iter()
                    .find_map(filled),
            },
            exit_codes: ExitCodes::from_variable(text("BORG_EXIT_CODES").as_deref()),
            json_indent: get("BORG_JSON_INDENT"),
            show_sysinfo: !text("BORG_SHOW_SYSINFO")
                .is_some_and(|value| value.eq_ignore_ascii_case("no")),
            files_cache_suffix: filled("BORG_FILES_CACHE_SUFFIX"),
            files_cache_ttl: text("BORG_FILES_CACHE_TTL")
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(FILES_CACHE_TTL),
            workarounds: text("BORG_WORKAROUNDS")
                .map(|value| value.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            logging_conf: filled_path("BORG_LOGGING_CONF"),
            notify_socket: filled("NOTIFY_SOCKET"),
            journal_stream: filled("JOURNAL_STREAM"),
            credentials: filled_path("CREDENTIALS_DIRECTORY"),
            ssh_original_command: get("SSH_ORIGINAL_COMMAND"),
            mount_data_cache_entries: get("BORG_MOUNT_DATA_CACHE_ENTRIES"),
            columns: text("COLUMNS").and_then(|value| value.trim().parse().ok()),
        }
    }

    /// Whether a workaround is switched on.
    pub(crate) fn workaround(&self, name: &str) -> bool {
        self.workarounds.iter().any(|known| known == name)
    }

    /// What the name of the files cache ends with; empty for nothing.
    pub(crate) fn files_cache_suffix(&self) -> String {
        let suffix = self.files_cache_suffix.as_deref().unwrap_or_default();
        suffix.to_string_lossy().into_owned()
    }

    /// Layout of JSON documents.
    pub(crate) fn json_indent(&self) -> JsonIndent {
        JsonIndent::from_variable(
            self.json_indent
                .as_deref()
                .map(OsStr::to_string_lossy)
                .as_deref(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_empty_value_counts_as_set_only_where_borg_says_so() {
        let read = environment(&[
            ("BORG_BASE_DIR", ""),
            ("BORG_CONFIG_DIR", ""),
            ("BORG_REPO", ""),
        ]);
        assert_eq!(read.directories.base, None);
        assert_eq!(read.directories.config, Some(PathBuf::new()));
        assert_eq!(read.repo, Some(OsString::new()));
        assert!(read.show_sysinfo);
        assert_eq!(read.files_cache_ttl, 20);
    }

    #[test]
    fn names_are_taken_in_their_order() {
        let read = environment(&[("LOGNAME", ""), ("USER", "me"), ("USERNAME", "you")]);
        assert_eq!(read.identity.login_name, Some("me".into()));
        assert!(
            environment(&[("BORG_WORKAROUNDS", "a,authenticated_no_key")])
                .workaround("authenticated_no_key")
        );
    }
}
