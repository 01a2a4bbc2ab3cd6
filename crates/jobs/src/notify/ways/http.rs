//! Requests to web services: one at a time, tried again if the service may only be having a bad moment.
//!
//! Redirections are not followed: they would take tokens elsewhere. Addresses can be secrets themselves (webhooks), so
//! what is told of an error names the host only.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironborg_source::named_file;
use ureq::Agent;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::notify::{SendError, Sent, harmless};

/// Attempts, the first one included.
const ATTEMPTS: u32 = 3;
/// This part of the time there is is the wait before the second attempt; before the third it is three times as long.
const WAIT_PART: u32 = 40;
/// Bytes of a reply that are looked at: for what a service says about what it refuses.
const REPLY_LEN_MAX: u64 = 4096;

/// A request.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// What must not be seen in an error.
    pub(super) secrets: Vec<String>,
}

/// Why an attempt failed, and whether another may do better.
struct Failure {
    reason: String,
    may_pass: bool,
}

impl Failure {
    fn for_good(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            may_pass: false,
        }
    }

    fn for_now(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            may_pass: true,
        }
    }
}

/// Makes the request until it is answered with success.
pub(super) fn send(
    call: &Call,
    authorities: Option<&Path>,
    limit: Duration,
) -> Result<Sent, SendError> {
    let give_up = Instant::now() + limit;
    let host = checked_host(&call.url).map_err(SendError::new)?;
    let agent = agent(&call.url, authorities).map_err(SendError::new)?;
    let mut wait = limit / WAIT_PART;
    let mut attempt = 1;
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        let failure = match attempt_once(&agent, call, left) {
            Ok(()) => return Ok(Sent::default()),
            Err(failure) => failure,
        };
        let left = give_up.saturating_duration_since(Instant::now());
        if !failure.may_pass || attempt == ATTEMPTS || left <= wait {
            let reason = hidden(failure.reason, call);
            return Err(SendError::new(format!("{host}: {reason}")));
        }
        std::thread::sleep(wait);
        wait *= 3;
        attempt += 1;
    }
}

/// The host of an address that can be asked.
fn checked_host(url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|_| "the address is not a valid one")?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(harmless::line(host, 100)),
        _ => Err("the address has to begin with http:// or https:// and a host".to_owned()),
    }
}

fn agent(url: &str, authorities: Option<&Path>) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("ironborg/", env!("CARGO_PKG_VERSION")));
    if !url.starts_with("https:") {
        return Ok(config.build().new_agent());
    }
    let roots = match authorities {
        Some(file) => certificates_in(file)?,
        None => certificates_of_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Ok(config.tls_config(tls).build().new_agent())
}

/// The authorities that this machine trusts.
fn certificates_of_system() -> Result<Vec<Certificate<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err("no certificates of authorities were found on this machine".to_owned());
    }
    let found = found.certs.iter();
    Ok(found
        .map(|der| Certificate::from_der(der).to_owned())
        .collect())
}

/// The authorities in a file.
fn certificates_in(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let content = named_file::read(file.as_os_str()).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&content) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        let file = shown(file.as_os_str());
        return Err(format!("{file}: there is no certificate in it"));
    }
    Ok(certificates)
}

fn shown(path: &OsStr) -> String {
    harmless::line(&path.to_string_lossy(), 200)
}

fn attempt_once(agent: &Agent, call: &Call, left: Duration) -> Result<(), Failure> {
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(&call.url);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(&call.body[..])
        .map_err(|_| Failure::for_good("a header is not a valid one"))?;
    let request = agent
        .configure_request(request)
        .timeout_global(Some(left))
        .allow_non_standard_methods(true)
        .build();
    let response = agent.run(request).map_err(|error| failed(&error))?;
    judged(response)
}

/// Why there was no answer.
fn failed(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::for_good("no answer in time"),
        ureq::Error::HostNotFound => Failure::for_now("there is no such host, or no name server"),
        ureq::Error::Io(error) => match certificate_error(error) {
            Some(reason) => Failure::for_good(reason),
            None => Failure::for_now(error.to_string()),
        },
        ureq::Error::ConnectionFailed => Failure::for_now("no connection"),
        ureq::Error::Protocol(_) => Failure::for_now("the answer is not one of a web server"),
        ureq::Error::Rustls(error) => Failure::for_good(error.to_string()),
        error => Failure::for_good(error.to_string()),
    }
}

/// What is wrong with the other side's certificate: another attempt finds the same one.
fn certificate_error(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.to_string())
}

/// What an answer means.
fn judged(mut response: Response<ureq::Body>) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let reason = status.canonical_reason().unwrap_or("");
    let said = response
        .body_mut()
        .with_config()
        .limit(REPLY_LEN_MAX)
        .read_to_string();
    let said = harmless::line(&said.unwrap_or_default(), 200);
    let mut text = format!("answered {} {reason}", status.as_u16());
    if status.is_redirection() {
        text.push_str(" (redirections are not followed: configure the address it leads to)");
    } else if !said.is_empty() {
        text.push_str(": ");
        text.push_str(&said);
    }
    // Too many requests, or a server that is ill.
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(Failure::for_now(text));
    }
    Err(Failure::for_good(text))
}

/// The reason without secrets: services like to repeat what they did not understand.
fn hidden(reason: String, call: &Call) -> String {
    let path = call.url.splitn(4, '/').nth(3).unwrap_or_default();
    let secrets = call.secrets.iter().map(String::as_str);
    let mut reason = reason;
    for secret in secrets.chain([call.url.as_str(), path]) {
        if secret.len() >= 4 {
            reason = reason.replace(secret, "[secret]");
        }
    }
    harmless::line(&reason, 400)
}
