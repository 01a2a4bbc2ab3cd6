//! By Healthchecks, and what speaks like it: an address for each check, that is asked for when the job begins, succeeds
//! and fails. Source: Healthchecks' "Pinging API".

use std::path::Path;
use std::time::Duration;

use ureq::http::Method;

use super::http::{self, Call};
use crate::notify::{Kind, Parcel, SendError, Sent, harmless, template};

/// Bytes of the log that are sent along; the service keeps no more.
const TEXT_LEN_MAX: usize = 90_000;

/// Pings the check.
pub(super) fn send(
    url: &str,
    parcel: &Parcel,
    authorities: Option<&Path>,
    limit: Duration,
) -> Result<Sent, SendError> {
    let message = &parcel.message;
    let check = template::fill(url, &message.fields, harmless::in_url);
    let ending = match message.notice.kind {
        Kind::Started => "/start",
        Kind::Success | Kind::Warning | Kind::Recovery => "",
        Kind::Failure => "/fail",
        // Noted there, and does not count: neither as a backup nor as a failure.
        Kind::Silence | Kind::Test => "/log",
    };
    let call = Call {
        method: Method::POST,
        url: address(&check, ending, message.notice.run.as_deref()),
        headers: vec![(
            "Content-Type".to_owned(),
            "text/plain; charset=utf-8".to_owned(),
        )],
        body: harmless::head(&message.body, TEXT_LEN_MAX)
            .as_bytes()
            .to_vec(),
        secrets: vec![check],
    };
    http::send(&call, authorities, limit)
}

/// The address of an event of a check. The run's UUID lets the service tell how long it took.
fn address(check: &str, ending: &str, run: Option<&str>) -> String {
    let (path, query) = check.split_once('?').unwrap_or((check, ""));
    let mut address = format!("{}{ending}", path.trim_end_matches('/'));
    let run = run.map(|run| format!("rid={}", harmless::in_url(run)));
    let query = (!query.is_empty()).then(|| query.to_owned());
    let parts: Vec<String> = query.into_iter().chain(run).collect();
    if !parts.is_empty() {
        address.push('?');
        address.push_str(&parts.join("&"));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_an_address_below_the_checks() {
        let check = "https://hc-ping.com/5c0d";
        assert_eq!(
            address(check, "/start", Some("a-b")),
            "https://hc-ping.com/5c0d/start?rid=a-b"
        );
        assert_eq!(address(check, "", None), check);
        assert_eq!(
            address("http://x/ping/k/slug/", "/fail", None),
            "http://x/ping/k/slug/fail"
        );
        assert_eq!(
            address("http://x/k/slug?create=1", "/fail", Some("u")),
            "http://x/k/slug/fail?create=1&rid=u"
        );
    }
}
