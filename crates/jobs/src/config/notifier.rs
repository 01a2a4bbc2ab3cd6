//! The settings of a notifier → a notifier. Which keys there are depends on its type.

use std::path::PathBuf;
use std::time::Duration;

use super::document::{Place, Reading};
use super::keys::{CredentialName, NotifierSettings, SmtpSettings};
use super::setting::{Field, OneOrMany};
use super::values::{AbsolutePath, Text};
use crate::job::{MailTransport, Notifier, Secret, Way};
use crate::notify::template;

const SENDMAIL: &str = "/usr/sbin/sendmail";
const MAIL_SECURITY: &str = "starttls";
const AT_MOST_EVERY: Duration = Duration::from_hours(24);
/// Keys that notifiers of every type have.
const FOR_ALL: &[&str] = &["type", "subject", "body", "at_most_every"];

/// The keys that a type has beside those.
fn keys_of(way: &str) -> &'static [&'static str] {
    match way {
        "desktop" => &["users"],
        "mail" => &["from", "to", "sendmail", "smtp", "ca_file"],
        "ntfy" => &[
            "url",
            "url_file",
            "url_credential",
            "token",
            "token_file",
            "token_credential",
            "priority",
            "ca_file",
        ],
        "webhook" => &[
            "url",
            "url_file",
            "url_credential",
            "token",
            "token_file",
            "token_credential",
            "method",
            "headers",
            "ca_file",
        ],
        "healthchecks" => &["url", "url_file", "url_credential", "ca_file"],
        _ => &["command"],
    }
}

/// Settles a notifier; what is missing is noted at `place`, where it begins.
pub(super) fn settle(
    reading: &Reading<'_>,
    place: &Place,
    settings: &NotifierSettings,
) -> Option<Notifier> {
    let settling = Settling { reading, place };
    if !settings.r#type.is_given() {
        let message = "`type` is missing: desktop, mail, ntfy, webhook, healthchecks or command";
        reading.error(place, message);
    }
    let way = settings.r#type.get()?.0.as_str();
    check_templates(reading, settings);
    let allowed = keys_of(way);
    for (key, place) in given_keys(settings) {
        if !FOR_ALL.contains(&key) && !allowed.contains(&key) {
            reading.error(
                place,
                format!("there is no such key for the type \"{way}\""),
            );
        }
    }
    Some(Notifier {
        way: settling.way(way, settings)?,
        subject: settings.subject.cloned().map(|it| it.0),
        body: settings.body.cloned().map(|it| it.0),
        ca_file: settings.ca_file.cloned().map(|it| it.0),
        at_most_every: settings
            .at_most_every
            .get()
            .map_or(AT_MOST_EVERY, |it| it.0),
    })
}

/// Finds placeholders that nobody knows.
fn check_templates(reading: &Reading<'_>, settings: &NotifierSettings) {
    let texts = [settings.subject.located(), settings.body.located()];
    let texts = texts
        .into_iter()
        .flatten()
        .map(|(text, place)| (text.0.as_str(), place));
    let url = settings
        .url
        .located()
        .map(|(url, place)| (url.0.as_str(), place));
    let headers = settings.headers.located();
    let headers = headers
        .into_iter()
        .flat_map(|(headers, place)| headers.0.values().map(move |text| (text.as_str(), place)));
    for (text, place) in texts.chain(url).chain(headers) {
        if let Err(error) = template::check(text) {
            reading.error(place, error.to_string());
        }
    }
}

/// The keys that are there, and where.
fn given_keys(settings: &NotifierSettings) -> impl Iterator<Item = (&'static str, &Place)> {
    let all = [
        ("users", settings.users.place()),
        ("from", settings.from.place()),
        ("to", settings.to.place()),
        ("sendmail", settings.sendmail.place()),
        ("smtp", settings.smtp.place()),
        ("url", settings.url.place()),
        ("url_file", settings.url_file.place()),
        ("url_credential", settings.url_credential.place()),
        ("ca_file", settings.ca_file.place()),
        ("token", settings.token.place()),
        ("token_file", settings.token_file.place()),
        ("token_credential", settings.token_credential.place()),
        ("priority", settings.priority.place()),
        ("method", settings.method.place()),
        ("headers", settings.headers.place()),
        ("command", settings.command.place()),
    ];
    all.into_iter()
        .filter_map(|(key, place)| Some((key, place?)))
}

struct Settling<'r> {
    reading: &'r Reading<'r>,
    place: &'r Place,
}

impl Settling<'_> {
    fn way(&self, way: &str, settings: &NotifierSettings) -> Option<Way> {
        Some(match way {
            "desktop" => Way::Desktop {
                users: texts(&settings.users),
            },
            "mail" => {
                let from = self.needed("from", &settings.from);
                let to = self.needed("to", &settings.to);
                let transport = self.transport(settings);
                Way::Mail {
                    from: from?.0,
                    to: to?.0.into_iter().map(|it| it.0).collect(),
                    transport: transport?,
                }
            }
            "ntfy" => Way::Ntfy {
                url: self.url(settings)?,
                token: self.token(settings),
                priority: settings.priority.cloned().map(|it| it.0),
            },
            "webhook" => Way::Webhook {
                url: self.url(settings)?,
                token: self.token(settings),
                method: settings
                    .method
                    .cloned()
                    .map_or_else(|| "POST".to_owned(), |it| it.0),
                headers: settings.headers.cloned().unwrap_or_default().0,
            },
            "healthchecks" => Way::Healthchecks {
                url: self.url(settings)?,
            },
            _ => Way::Command {
                command: self.needed("command", &settings.command)?.0,
            },
        })
    }

    fn url(&self, settings: &NotifierSettings) -> Option<Secret> {
        let given = [
            settings.url.place(),
            settings.url_file.place(),
            settings.url_credential.place(),
        ];
        if given.into_iter().flatten().next().is_none() {
            self.reading.error(
                self.place,
                "`url` is missing (or `url_file`, `url_credential`)",
            );
        }
        let text = settings.url.cloned().map(|it| it.0);
        self.secret(given, text, &settings.url_file, &settings.url_credential)
    }

    fn token(&self, settings: &NotifierSettings) -> Option<Secret> {
        let given = [
            settings.token.place(),
            settings.token_file.place(),
            settings.token_credential.place(),
        ];
        let text = settings.token.cloned().map(|it| it.0);
        self.secret(
            given,
            text,
            &settings.token_file,
            &settings.token_credential,
        )
    }

    /// The value of a key that has to be there.
    fn needed<T: Clone>(&self, key: &str, field: &Field<T>) -> Option<T> {
        if !field.is_given() {
            self.reading
                .error(self.place, format!("`{key}` is missing"));
        }
        field.cloned()
    }

    fn transport(&self, settings: &NotifierSettings) -> Option<MailTransport> {
        if let (Some(_), Some(place)) = (settings.smtp.place(), settings.sendmail.place()) {
            self.reading
                .error(place, "`smtp` and `sendmail` exclude each other");
            return None;
        }
        let Some((smtp, place)) = settings.smtp.located() else {
            let program = settings.sendmail.cloned();
            return Some(MailTransport::Sendmail {
                program: program.map_or_else(|| PathBuf::from(SENDMAIL), |it| it.0),
            });
        };
        let inner = Settling {
            reading: self.reading,
            place,
        };
        Some(MailTransport::Smtp {
            host: inner.needed("host", &smtp.host)?.0,
            port: smtp.port.get().and_then(|port| u16::try_from(port.0).ok()),
            security: smtp
                .security
                .cloned()
                .map_or_else(|| MAIL_SECURITY.to_owned(), |it| it.0),
            login: inner.login(smtp),
        })
    }

    fn login(&self, smtp: &SmtpSettings) -> Option<(String, Secret)> {
        let given = [
            smtp.password.place(),
            smtp.password_file.place(),
            smtp.password_credential.place(),
        ];
        let has_password = given.into_iter().flatten().next().is_some();
        if has_password != smtp.user.is_given() {
            let message = "who logs in needs both: `user`, and one of `password`, `password_file`, `password_credential`";
            self.reading.error(self.place, message);
            return None;
        }
        let text = smtp.password.cloned().map(|it| it.0);
        let secret = self.secret(given, text, &smtp.password_file, &smtp.password_credential)?;
        if smtp
            .security
            .get()
            .is_some_and(|security| security.0 == "none")
        {
            let message =
                "the password is sent for everybody on the way to read; `security` says \"none\"";
            self.reading.remark(self.place, message);
        }
        Some((smtp.user.cloned()?.0, secret))
    }

    fn secret(
        &self,
        given: [Option<&Place>; 3],
        text: Option<String>,
        file: &Field<AbsolutePath>,
        credential: &Field<CredentialName>,
    ) -> Option<Secret> {
        if let Some(second) = given.into_iter().flatten().nth(1) {
            let message = "it is said already where this secret comes from";
            self.reading.error(second, message);
        }
        let text = text.map(Secret::Text);
        let file = file.cloned().map(|it| Secret::File(it.0));
        text.or(file)
            .or(credential.cloned().map(|it| Secret::Credential(it.0)))
    }
}

fn texts(field: &Field<OneOrMany<Text>>) -> Vec<String> {
    field
        .cloned()
        .map(|OneOrMany(texts)| texts.into_iter().map(|it| it.0).collect())
        .unwrap_or_default()
}
