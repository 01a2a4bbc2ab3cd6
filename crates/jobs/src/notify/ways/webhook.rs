//! By a request to any web service: JSON with everything in it, or what the notifier's template makes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ureq::http::Method;

use super::command::document;
use super::http::{self, Call};
use crate::notify::{Parcel, SendError, Sent, harmless, template};

/// The resolved settings.
pub(super) struct Webhook<'a> {
    pub(super) url: String,
    pub(super) method: &'a str,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) token: Option<String>,
    pub(super) authorities: Option<&'a Path>,
}

/// Makes the request.
pub(super) fn send(
    webhook: Webhook<'_>,
    parcel: &Parcel,
    limit: Duration,
) -> Result<Sent, SendError> {
    let method = Method::from_bytes(webhook.method.as_bytes())
        .map_err(|_| SendError::new("the method is not a valid one"))?;
    let fields = &parcel.message.fields;
    let mut headers = Vec::new();
    let mut secrets = Vec::new();
    for (name, value) in webhook.headers {
        let value = template::fill(value, fields, |value| harmless::line(value, 1000));
        if is_secret(name) {
            secrets.push(value.clone());
        }
        headers.push((name.clone(), value));
    }
    if let Some(token) = webhook.token {
        headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        secrets.push(token);
    }
    let content = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let is_json = content.is_none_or(|(_, value)| value.contains("json"));
    if content.is_none() && method != Method::GET {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let body = match &parcel.notifier.body {
        _ if method == Method::GET => String::new(),
        // What stands for a placeholder is the inside of a text, between the quotes of the template.
        Some(body) if is_json => template::fill(body, fields, harmless::in_json),
        Some(body) => template::fill(body, fields, str::to_owned),
        None => document(&parcel.message),
    };
    let call = Call {
        url: template::fill(&webhook.url, fields, harmless::in_url),
        method,
        headers,
        body: body.into_bytes(),
        secrets,
    };
    http::send(&call, webhook.authorities, limit)
}

/// Whether a header of this name lets somebody in.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "authorization",
        "token",
        "key",
        "cookie",
        "secret",
        "password",
    ];
    words.iter().any(|word| name.contains(word))
}
