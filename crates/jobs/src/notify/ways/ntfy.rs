//! By ntfy. Source: ntfy's "Publishing" documentation.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ureq::http::Method;

use super::http::{self, Call};
use crate::notify::{Kind, Parcel, SendError, Sent, harmless};

/// Longer texts arrive as a file that has to be opened.
const TEXT_LEN_MAX: usize = 3900;

/// The resolved settings.
pub(super) struct Topic<'a> {
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) priority: Option<&'a str>,
    pub(super) authorities: Option<&'a Path>,
}

/// Publishes the message.
pub(super) fn send(topic: Topic<'_>, parcel: &Parcel, limit: Duration) -> Result<Sent, SendError> {
    let message = &parcel.message;
    let kind = message.notice.kind;
    let ours = if kind.is_bad() { "high" } else { "default" };
    let mut headers = vec![
        ("Title".to_owned(), in_header(&message.subject)),
        (
            "Priority".to_owned(),
            topic.priority.unwrap_or(ours).to_owned(),
        ),
        ("Tags".to_owned(), tags(kind).to_owned()),
        (
            "Content-Type".to_owned(),
            "text/plain; charset=utf-8".to_owned(),
        ),
    ];
    let mut secrets = Vec::new();
    if let Some(token) = topic.token {
        headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        secrets.push(token);
    }
    let call = Call {
        method: Method::POST,
        url: topic.url,
        headers,
        body: shortened(&message.body).into_bytes(),
        secrets,
    };
    http::send(&call, topic.authorities, limit)
}

/// Names of emoji.
fn tags(kind: Kind) -> &'static str {
    match kind {
        Kind::Failure => "rotating_light",
        Kind::Silence => "hourglass",
        Kind::Warning => "warning",
        Kind::Success | Kind::Recovery => "white_check_mark",
        Kind::Started => "arrow_forward",
        Kind::Test => "mega",
    }
}

/// Headers are ASCII; other texts are encoded as in mail (RFC 2047), which ntfy reads.
fn in_header(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", BASE64.encode(text))
}

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_LEN_MAX {
        return text.to_owned();
    }
    format!("{}…\n", harmless::head(text, TEXT_LEN_MAX))
}
