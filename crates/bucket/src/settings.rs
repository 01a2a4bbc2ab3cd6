//! What of our own may be said about stores, as variables of the environment: `docs/object-stores.md`, "Where it is and who
//! may".

use std::time::Duration;

use crate::{BucketError, BucketUrl};

/// Seconds in which a store may leave requests unanswered.
const PATIENCE: &str = "IRONBORG_STORE_PATIENCE";
/// Seconds after which a lock that is not renewed is lost.
const TERM: &str = "IRONBORG_STORE_TERM";
/// `yes`: what does not know conditional writes is written to all the same.
const UNPROTECTED: &str = "IRONBORG_STORE_UNPROTECTED";
/// The stores most people have do not answer for a while now and then.
const PATIENCE_DEFAULT: Duration = Duration::from_mins(3);
/// What a time may be, in seconds.
const SECONDS: std::ops::RangeInclusive<f64> = 0.5..=3600.0;

/// How a store is treated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// For how long a store may leave requests unanswered before they are given up.
    pub(crate) patience: Duration,
    /// Time after which a lock that is not renewed is lost, if it is not the usual one.
    pub(crate) term: Option<Duration>,
    /// Whether a store is written to that cannot keep two writers apart.
    pub(crate) unprotected: bool,
}

impl Settings {
    /// Reads them from the variables of the environment; those that are empty are not set.
    ///
    /// # Errors
    /// A value cannot be used.
    pub(crate) fn read(
        url: &BucketUrl,
        variables: &[(String, String)],
    ) -> Result<Self, BucketError> {
        let value = |name: &str| {
            let found = variables.iter().find(|(key, _)| key == name);
            let value = found.map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        let wrong = |name: &str, value: &str, may_be: &str| BucketError::Settings {
            location: url.to_string(),
            reason: format!("{name} is {value:?}, it may be {may_be}"),
        };
        let seconds = |name| {
            let Some(text) = value(name) else {
                return Ok(None);
            };
            let number: Option<f64> = text.parse().ok();
            let number = number.filter(|number| SECONDS.contains(number));
            let number = number.ok_or_else(|| wrong(name, text, "0.5 to 3600 seconds"))?;
            Ok(Some(Duration::from_secs_f64(number)))
        };
        let unprotected = match value(UNPROTECTED) {
            None | Some("no") => false,
            Some("yes") => true,
            Some(text) => return Err(wrong(UNPROTECTED, text, "yes or no")),
        };
        Ok(Self {
            patience: seconds(PATIENCE)?.unwrap_or(PATIENCE_DEFAULT),
            term: seconds(TERM)?,
            unprotected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let owned: Vec<_> = variables
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let url = BucketUrl::parse("s3://bucket/a").unwrap();
        Settings::read(&url, &owned).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let usual = Settings {
            patience: PATIENCE_DEFAULT,
            term: None,
            unprotected: false,
        };
        assert_eq!(read(&[]), Ok(usual));
        assert_eq!(read(&[(PATIENCE, ""), (UNPROTECTED, "no")]), Ok(usual));
        let said = Settings {
            patience: Duration::from_secs(20),
            term: Some(Duration::from_millis(1500)),
            unprotected: true,
        };
        let variables = [(PATIENCE, "20"), (TERM, "1.5"), (UNPROTECTED, "yes")];
        assert_eq!(read(&variables), Ok(said));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (name, value) in [
            (PATIENCE, "0"),
            (PATIENCE, "NaN"),
            (TERM, "1m"),
            (UNPROTECTED, "1"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(
                error.starts_with(&format!("s3://bucket/a: {name} is ")),
                "{error}"
            );
        }
    }
}
