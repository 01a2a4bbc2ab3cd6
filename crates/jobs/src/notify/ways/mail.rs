//! By mail: to a server, or to the machine's own program.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ironborg_source::named_file;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport};

use super::{Program, Surroundings, command};
use crate::notify::{Parcel, SendError, Sent, harmless};

/// A server, with everything resolved.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) security: &'a str,
    pub(super) login: Option<(&'a str, String)>,
    pub(super) authorities: Option<&'a Path>,
}

/// The mail.
pub(super) fn compose(from: &str, to: &[String], parcel: &Parcel) -> Result<Message, SendError> {
    let notice = &parcel.message.notice;
    let mut mail = Message::builder()
        .from(mailbox(from)?)
        .date(SystemTime::from(notice.at))
        .message_id(Some(message_id(parcel)))
        .subject(parcel.message.subject.clone())
        .header(ContentType::TEXT_PLAIN);
    for recipient in to {
        mail = mail.to(mailbox(recipient)?);
    }
    // Programs that answer mail, such as those that say that somebody is on holiday, leave these alone (RFC 3834).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let mail = mail.raw_header(automatic).body(parcel.message.body.clone());
    mail.map_err(|error| SendError::new(format!("the mail cannot be written: {error}")))
}

fn mailbox(address: &str) -> Result<Mailbox, SendError> {
    let shown = || harmless::line(address, 100);
    address
        .parse()
        .map_err(|error| SendError::new(format!("{}: not a mail address: {error}", shown())))
}

/// The same for the same message, so that one that is sent twice is seen once.
fn message_id(parcel: &Parcel) -> String {
    let notice = &parcel.message.notice;
    let plain = |text: &str| text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let [job, target, host, name] =
        [&notice.job, &notice.target, &notice.host, &parcel.name].map(|text| plain(text));
    let time = notice.at.as_microsecond();
    let kind = notice.kind.name();
    format!("<{time}.{kind}.{job}.{target}.{name}@{host}.ironborg.invalid>")
}

/// Hands it to the machine's own program.
pub(super) fn by_program(
    program: &Path,
    mail: &Message,
    surroundings: &dyn Surroundings,
    limit: Duration,
) -> Result<Sent, SendError> {
    let envelope = mail.envelope();
    let sender = envelope.from().map(ToString::to_string).unwrap_or_default();
    let mut words: Vec<OsString> = vec![program.into(), "-i".into(), "-f".into(), sender.into()];
    words.push("--".into());
    words.extend(
        envelope
            .to()
            .iter()
            .map(|address| address.to_string().into()),
    );
    // Lines of a text on this machine end as such lines do; the program makes lines of mail of them.
    let text = String::from_utf8_lossy(&mail.formatted()).replace("\r\n", "\n");
    let program = Program {
        words,
        variables: Vec::new(),
        input: text.into_bytes(),
    };
    let called = program.words[0].to_string_lossy().into_owned();
    command::run(&program, &harmless::line(&called, 100), surroundings, limit)
}

/// Hands it to a server.
pub(super) fn by_server(
    server: &Server<'_>,
    mail: &Message,
    host: &str,
    limit: Duration,
) -> Result<Sent, SendError> {
    let failed = |reason: String| {
        let reason = match &server.login {
            Some((_, password)) if password.len() >= 4 => reason.replace(password, "[secret]"),
            _ => reason,
        };
        SendError::new(format!("{}: {}", server.host, harmless::line(&reason, 400)))
    };
    let (tls, port) = match server.security {
        "tls" => (Tls::Wrapper(parameters(server).map_err(failed)?), 465),
        "starttls" => (Tls::Required(parameters(server).map_err(failed)?), 587),
        _ => (Tls::None, 25),
    };
    if matches!(tls, Tls::None) && server.login.is_some() && !is_this_machine(server.host) {
        let text = "a password is not sent over a connection that is not encrypted";
        return Err(failed(text.to_owned()));
    }
    let mut transport = SmtpTransport::builder_dangerous(server.host)
        .port(server.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(limit));
    if let Some(name) = greeting(host) {
        transport = transport.hello_name(ClientId::Domain(name));
    }
    if let Some((user, password)) = &server.login {
        let credentials = Credentials::new((*user).to_owned(), password.clone());
        transport = transport.credentials(credentials);
    }
    transport
        .build()
        .send(mail)
        .map_err(|error| failed(with_causes(&error)))?;
    Ok(Sent::default())
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The name this machine introduces itself with, if it is fit for that.
fn greeting(host: &str) -> Option<String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-';
    let valid = !host.is_empty() && host.chars().all(fits) && !host.starts_with(['.', '-']);
    valid.then(|| host.to_owned())
}

fn parameters(server: &Server<'_>) -> Result<TlsParameters, String> {
    let mut parameters: TlsParametersBuilder = TlsParameters::builder(server.host.to_owned());
    if let Some(file) = server.authorities {
        let content = named_file::read(file.as_os_str()).map_err(|error| error.to_string())?;
        let certificate = Certificate::from_pem(&content).map_err(|error| with_causes(&error))?;
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate);
    }
    parameters
        .build_rustls()
        .map_err(|error| with_causes(&error))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
