//! What a server is too old for. What would quietly be left out is refused, and nothing is sent.
//!
//! Source: Borg 1.4, `api`, and where it is used.

use ironborg_repository::RepositoryError;
use ironborg_types::ErrorKind;

use crate::message::{Call, Version};

/// The error for a call a server cannot do as it is meant.
///
/// What commits are told about compaction is left out by old servers, which is taken for good enough.
pub(super) fn refusal(call: &Call<'_>, server: &Version) -> Option<RepositoryError> {
    let needed = needed(call).into_iter().find(|(_, since)| server < since)?;
    let kind = ErrorKind::RemoteRepositoryRPCServerOutdated;
    Some(RepositoryError::Remote {
        kind,
        message: kind.message(&[&needed.0, &needed.1.to_string()]),
    })
}

/// What of a call is not as old as the protocol, and the version that brought it.
fn needed(call: &Call<'_>) -> Vec<(String, Version)> {
    let method = call.method();
    let part = |text: &str, since| (format!("{method} {text}"), since);
    let mut needed = vec![(method.to_owned(), Version::release(1, 0, 0))];
    match call {
        // Asked before anything is known of the server.
        Call::Negotiate { .. } => needed.clear(),
        Call::Open(open) => {
            if open.append_only {
                needed.push(part("append_only=True", Version::release(1, 0, 7)));
            }
            if open.make_parent_dirs {
                needed.push(part("make_parent_dirs=True", Version::release(1, 1, 9)));
            }
        }
        Call::Check { max_duration, .. } if *max_duration != 0 => {
            let text = format!("max_duration={max_duration}");
            needed.push(part(&text, Version::alpha(1, 2, 0, 4)));
        }
        Call::Scan { .. } => needed.push((method.to_owned(), Version::beta(1, 1, 0, 3))),
        _ => {}
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: &Call<'_>, server: &Version, expected: Option<&str>) {
        let found = refusal(call, server).map(|error| error.to_string());
        let expected = expected.map(|text| format!("Borg server is too old for {text}"));
        assert_eq!(found, expected, "{call:?} {server}");
    }

    #[test]
    fn only_what_matters_is_refused() {
        let release = Version::release;
        let scan = Call::Scan {
            limit: None,
            marker: None,
        };
        check(&scan, &release(1, 1, 0), None);
        let beta = Version::beta(1, 1, 0, 2);
        check(&scan, &beta, Some("scan. Required version 1.1.0b3"));
        check(
            &Call::Len,
            &release(0, 29, 0),
            Some("__len__. Required version 1.0.0"),
        );
        let check_for = |max_duration| Call::Check {
            repair: false,
            save_space: false,
            max_duration,
        };
        check(&check_for(0), &release(1, 1, 0), None);
        let needed = "check max_duration=5. Required version 1.2.0a4";
        check(&check_for(5), &release(1, 1, 18), Some(needed));
        let commit = Call::Commit {
            save_space: false,
            compact: false,
            threshold: 0.5,
            cleanup_commits: true,
        };
        check(&commit, &release(1, 0, 8), None);
    }
}
