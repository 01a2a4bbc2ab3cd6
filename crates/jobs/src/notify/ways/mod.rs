//! Each way of telling.
//!
//! Requests, mail and the bus of a desktop are spoken here; what takes programs, other users' rights or the environment
//! is asked of [`Surroundings`].

mod command;
pub mod desktop;
mod healthchecks;
mod http;
mod mail;
mod ntfy;
mod webhook;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Parcel, SendError, Sender, Sent};
use crate::job::{MailTransport, Secret, Way};

/// What a sender may take altogether: less than [`super::TIMEOUT`], so that it is told what was waited for.
pub const LIMIT: Duration = Duration::from_secs(25);

/// A program to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// It and its arguments.
    pub words: Vec<OsString>,
    /// Variables, in addition to those there are.
    pub variables: Vec<(String, String)>,
    /// What it finds on its standard input.
    pub input: Vec<u8>,
}

/// What came of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// The end of what it said on standard output and error.
    pub output: String,
}

/// What the ways need of the machine.
pub trait Surroundings: Send + Sync {
    /// Runs a program to its end; one that takes longer than `limit` is killed, with all it has started.
    ///
    /// # Errors
    /// It was not started, or killed.
    fn run(&self, program: &Program, limit: Duration) -> Result<Ended, String>;

    /// What is behind a secret, without the end of its line.
    ///
    /// # Errors
    /// It is not there. The reason does not contain it.
    fn secret(&self, secret: &Secret) -> Result<String, String>;

    /// The desktops that can be reached with the rights there are.
    fn desktops(&self) -> Vec<desktop::Desktop>;

    /// Shows something on a desktop.
    ///
    /// # Errors
    /// It was not shown.
    fn show(
        &self,
        desktop: &desktop::Desktop,
        popup: &desktop::Popup,
        limit: Duration,
    ) -> Result<desktop::Shown, String>;
}

/// All ways.
pub struct Ways {
    /// The machine.
    pub surroundings: Arc<dyn Surroundings>,
    /// What each may take altogether: [`LIMIT`].
    pub limit: Duration,
}

impl Ways {
    fn secret(&self, secret: &Secret) -> Result<String, SendError> {
        let found = self.surroundings.secret(secret).map_err(SendError::new)?;
        let found = found.trim_end_matches(['\n', '\r']).to_owned();
        // It becomes part of a header or an address: a second line would be another header.
        if found.is_empty() || found.contains(char::is_control) {
            return Err(SendError::new(
                "a secret is empty, or has more than one line",
            ));
        }
        Ok(found)
    }

    fn optional_secret(&self, secret: Option<&Secret>) -> Result<Option<String>, SendError> {
        secret.map(|secret| self.secret(secret)).transpose()
    }

    fn mail(
        &self,
        from: &str,
        to: &[String],
        transport: &MailTransport,
        parcel: &Parcel,
    ) -> Result<Sent, SendError> {
        let mail = mail::compose(from, to, parcel)?;
        match transport {
            MailTransport::Sendmail { program } => {
                mail::by_program(program, &mail, self.surroundings.as_ref(), self.limit)
            }
            MailTransport::Smtp {
                host,
                port,
                security,
                login,
            } => {
                let login = match login {
                    Some((user, password)) => Some((user.as_str(), self.secret(password)?)),
                    None => None,
                };
                let server = mail::Server {
                    host,
                    port: *port,
                    security,
                    login,
                    authorities: authorities(parcel),
                };
                mail::by_server(&server, &mail, &parcel.message.notice.host, self.limit)
            }
        }
    }
}

fn authorities(parcel: &Parcel) -> Option<&Path> {
    parcel.notifier.ca_file.as_deref()
}

impl Sender for Ways {
    fn send(&self, parcel: &Parcel) -> Result<Sent, SendError> {
        let surroundings = self.surroundings.as_ref();
        match &parcel.notifier.way {
            Way::Desktop { users } => desktop::send(users, parcel, surroundings, self.limit),
            Way::Mail {
                from,
                to,
                transport,
            } => self.mail(from, to, transport, parcel),
            Way::Ntfy {
                url,
                token,
                priority,
            } => {
                let topic = ntfy::Topic {
                    url: self.secret(url)?,
                    token: self.optional_secret(token.as_ref())?,
                    priority: priority.as_deref(),
                    authorities: authorities(parcel),
                };
                ntfy::send(topic, parcel, self.limit)
            }
            Way::Webhook {
                url,
                method,
                headers,
                token,
            } => {
                let webhook = webhook::Webhook {
                    url: self.secret(url)?,
                    method,
                    headers,
                    token: self.optional_secret(token.as_ref())?,
                    authorities: authorities(parcel),
                };
                webhook::send(webhook, parcel, self.limit)
            }
            Way::Healthchecks { url } => {
                let url = self.secret(url)?;
                healthchecks::send(&url, parcel, authorities(parcel), self.limit)
            }
            Way::Command { command } => command::send(command, parcel, surroundings, self.limit),
        }
    }
}
