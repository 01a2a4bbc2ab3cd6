//! Repositories on other hosts: the command line that leads there, and what is asked of the server.
//!
//! Source: Borg 1.4, `RemoteRepository.borg_cmd`, `ssh_cmd`; `docs/rpc.md`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ironborg_repository::CreateOptions;
use ironborg_rpc::client::{JournalOptions, ReconnectOptions, ServerCommand};
use ironborg_rpc::message::Open;
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_source::named_file;
use ironborg_types::{Level, text};

use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::output::pyformat::repr;
use crate::placeholders::{ExpandError, Placeholders};
use crate::reporter::ROOT as ROOT_LOGGER;
use crate::{shell_words, signals, subprocess};

/// What stock Borg starts if nothing else is said.
const RSH: &[u8] = b"ssh";
/// And on the other host.
const REMOTE_PROGRAM: &[u8] = b"borg";
/// Logger of the client's own messages.
const LOGGER: &str = "borg.remote";
/// How long long commands try to restore a lost connection if nothing else is said: a router needs minutes to restart.
const RECONNECT_LIMIT: Duration = Duration::from_mins(5);
/// Most of what a lost server forgets is kept for being sent again, at half of it a checkpoint is made. More would
/// mean more to be sent once more, and pages that have to be found for it.
const JOURNAL_LEN_MAX: u64 = 1024 * 1024 * 1024;

impl Context {
    /// Opens a repository on another host.
    pub(crate) fn open_remote(
        &self,
        location: &Location,
        access: Access,
    ) -> Result<RemoteRepository, CliError> {
        let open = Open {
            path: location.path.clone(),
            create: false,
            lock_wait: Some(self.remote_lock_wait()),
            lock: access != Access::Unlocked && !self.common.bypass_lock,
            exclusive: Some(access == Access::Write),
            append_only: false,
            make_parent_dirs: false,
        };
        Ok(RemoteRepository::open(
            self.remote_options(location, open, None)?,
        )?)
    }

    /// How a repository on another host is opened to be read for a long time.
    pub(crate) fn followed_options(&self, location: &Location) -> Result<RemoteOptions, CliError> {
        let open = Open {
            path: location.path.clone(),
            create: false,
            lock_wait: Some(self.remote_lock_wait()),
            lock: !self.common.bypass_lock,
            exclusive: Some(false),
            append_only: false,
            make_parent_dirs: false,
        };
        self.remote_options(location, open, None)
    }

    /// Makes a repository on another host, without key and manifest.
    pub(crate) fn create_remote(
        &self,
        location: &Location,
        create: &CreateOptions,
    ) -> Result<RemoteRepository, CliError> {
        let open = Open {
            path: location.path.clone(),
            create: true,
            lock_wait: Some(self.remote_lock_wait()),
            lock: true,
            exclusive: Some(true),
            append_only: create.append_only,
            make_parent_dirs: create.make_parent_dirs,
        };
        Ok(RemoteRepository::open(self.remote_options(
            location,
            open,
            create.storage_quota,
        )?)?)
    }

    /// Seconds, as given.
    fn remote_lock_wait(&self) -> f64 {
        i32::try_from(self.common.lock_wait).map_or(f64::from(i32::MAX), f64::from)
    }

    fn remote_options(
        &self,
        location: &Location,
        open: Open,
        storage_quota: Option<u64>,
    ) -> Result<RemoteOptions, CliError> {
        let command = ServerCommand {
            words: self.server_command(location, storage_quota)?,
            environment: subprocess::environment(),
            directory: self
                .background
                .is_wanted()
                .then(|| PathBuf::from(self.cwd_as_os_str()))
                .filter(|directory| named_file::can_enter(directory)),
        };
        let words = command.words.iter();
        let shown: Vec<String> = words
            .map(|word| repr(&text::display(word.as_bytes())))
            .collect();
        let message = format!("SSH command line: [{}]", shown.join(", "));
        self.reporter.record(Level::Debug, LOGGER, &message, None);
        let reporter = self.repository_reporter();
        let positive =
            |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let buffer = positive(self.common.upload_buffer).saturating_mul(1024 * 1024);
        Ok(RemoteOptions {
            dial: Arc::new(command),
            open,
            location: location.repository_text(),
            upload_rate: positive(self.common.upload_ratelimit).saturating_mul(1024),
            upload_buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
            reporter,
            reconnect: ReconnectOptions {
                interrupt: Some(&signals::INTERRUPT),
                ..ReconnectOptions::for_time(self.reconnect_limit())
            },
            journal: JournalOptions {
                directory: Some(self.absolute(&self.directories.cache)),
                len_max: JOURNAL_LEN_MAX,
            },
        })
    }

    /// How long it is tried to restore a lost connection.
    fn reconnect_limit(&self) -> Duration {
        let default = if self.takes_long {
            RECONNECT_LIMIT
        } else {
            Duration::ZERO
        };
        self.common.reconnect.map_or(default, |seconds| {
            u64::try_from(seconds).map_or(Duration::ZERO, Duration::from_secs)
        })
    }

    /// The words of the command that starts a server for a location.
    pub(crate) fn server_command(
        &self,
        location: &Location,
        storage_quota: Option<u64>,
    ) -> Result<Vec<OsString>, CliError> {
        let mut words = self.shell_command(location)?;
        let program = chosen(
            self.common.remote_path.as_ref(),
            self.environment.remote_path.as_ref(),
            REMOTE_PROGRAM,
        );
        words.push(OsString::from_vec(self.expand_remote_path(program)?));
        words.push("serve".into());
        words.extend(self.level_switch().map(OsString::from));
        for topic in self.common.topics() {
            if topic.contains("repository") {
                words.push(format!("--debug-topic={topic}").into());
            }
        }
        if let Some(quota) = storage_quota.filter(|&quota| quota > 0) {
            words.push(format!("--storage-quota={quota}").into());
        }
        Ok(words)
    }

    /// The option by which the server says as much as the client.
    fn level_switch(&self) -> Option<&'static str> {
        let switches = [
            (Level::Debug, Some("--debug")),
            (Level::Info, Some("--info")),
            (Level::Warning, None),
            (Level::Error, Some("--error")),
        ];
        // A server that several commands use has to say what any of them wants to hear.
        let wanted = |level: Level| self.kept.as_ref().is_some_and(|kept| level >= kept.level);
        let shown = switches
            .into_iter()
            .find(|(level, _)| wanted(*level) || self.reporter.shows(*level, ROOT_LOGGER));
        shown.map_or(Some("--critical"), |(_, switch)| switch)
    }

    fn expand_remote_path(&self, program: &[u8]) -> Result<Vec<u8>, CliError> {
        let placeholders = Placeholders::new(&self.identity);
        placeholders.expand(program).map_err(|error| match error {
            ExpandError::Error(error) => error,
            ExpandError::Value(reason) => CliError::generic(reason),
        })
    }

    /// The words that lead to the host of a location.
    fn shell_command(&self, location: &Location) -> Result<Vec<OsString>, CliError> {
        let rsh = chosen(self.common.rsh.as_ref(), self.environment.rsh.as_ref(), RSH);
        let words = shell_words::split(rsh).map_err(|error| {
            let rsh = text::display(rsh);
            CliError::unexpected(format!(
                "cannot split the remote shell's words: {error}: {rsh}"
            ))
        })?;
        let mut words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        if let Protocol::Ssh { user, host, port } = &location.protocol {
            if let Some(port) = port {
                words.push("-p".into());
                words.push(port.to_string().into());
            }
            let host = Location::host_name(host);
            let target = match user {
                Some(user) => [user, &b"@"[..], host].concat(),
                None => host.to_vec(),
            };
            words.push(OsString::from_vec(target));
        }
        Ok(words)
    }
}

/// The option, the variable, or what is taken without. An empty option is none; an empty variable is one.
fn chosen<'a>(
    option: Option<&'a OsString>,
    variable: Option<&'a OsString>,
    default: &'a [u8],
) -> &'a [u8] {
    let option = option.filter(|value| !value.is_empty());
    option
        .or(variable)
        .map_or(default, |value| value.as_bytes())
}
