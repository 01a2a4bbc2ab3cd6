//! Repositories on other hosts: the command line that leads there, and what is asked of the server.
//!
//! Source: Borg 1.4, `RemoteRepository.borg_cmd`, `ssh_cmd`; `docs/rpc.md`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use ironborg_repository::CreateOptions;
use ironborg_rpc::client::ServerCommand;
use ironborg_rpc::message::Open;
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_types::{Level, Reporter};

use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::placeholders::{ExpandError, Placeholders};
use crate::subprocess;

/// What stock Borg starts if nothing else is said.
const RSH: &str = "ssh";
/// And on the other host.
const REMOTE_PROGRAM: &str = "borg";

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
            lock_wait: Some(self.lock_wait().as_secs_f64()),
            lock: access != Access::Unlocked && !self.common.bypass_lock,
            exclusive: Some(access == Access::Write),
            append_only: false,
            make_parent_dirs: false,
        };
        self.connect(location, open, None)
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
            lock_wait: Some(self.lock_wait().as_secs_f64()),
            lock: true,
            exclusive: Some(true),
            append_only: create.append_only,
            make_parent_dirs: create.make_parent_dirs,
        };
        self.connect(location, open, create.storage_quota)
    }

    fn connect(
        &self,
        location: &Location,
        open: Open,
        storage_quota: Option<u64>,
    ) -> Result<RemoteRepository, CliError> {
        let command = ServerCommand {
            words: self.server_command(location, storage_quota)?,
            environment: subprocess::environment(),
        };
        let reporter: Arc<dyn Reporter> = self.reporter.clone();
        let positive =
            |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let buffer = positive(self.common.upload_buffer).saturating_mul(1024 * 1024);
        Ok(RemoteRepository::open(RemoteOptions {
            dial: Arc::new(command),
            open,
            location: location.repository_text(),
            upload_rate: positive(self.common.upload_ratelimit).saturating_mul(1024),
            upload_buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
            reporter,
        })?)
    }

    /// The words of the command that starts a server for a location.
    fn server_command(
        &self,
        location: &Location,
        storage_quota: Option<u64>,
    ) -> Result<Vec<OsString>, CliError> {
        let mut words = self.shell_command(location)?;
        let program = self
            .common
            .remote_path
            .as_ref()
            .or(self.environment.remote_path.as_ref());
        let program = program.map_or(REMOTE_PROGRAM.as_bytes(), |program| program.as_bytes());
        words.push(OsString::from_vec(self.expand_remote_path(program)?));
        words.push("serve".into());
        let switch = match self.common.level() {
            Level::Debug => Some("--debug"),
            Level::Info => Some("--info"),
            Level::Warning => None,
            Level::Error => Some("--error"),
            Level::Critical => Some("--critical"),
        };
        words.extend(switch.map(OsString::from));
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

    fn expand_remote_path(&self, program: &[u8]) -> Result<Vec<u8>, CliError> {
        let placeholders = Placeholders::new(&self.identity);
        placeholders.expand(program).map_err(|error| match error {
            ExpandError::Error(error) => error,
            ExpandError::Value(reason) => CliError::generic(reason),
        })
    }

    /// The words that lead to the host of a location.
    fn shell_command(&self, location: &Location) -> Result<Vec<OsString>, CliError> {
        let rsh = self.common.rsh.as_ref().or(self.environment.rsh.as_ref());
        let rsh = rsh.map_or(RSH, String::as_str);
        let words = shell_words::split(rsh).map_err(|_| {
            CliError::generic(format!(
                "The remote shell command cannot be split into words: {rsh}"
            ))
        })?;
        let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
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
