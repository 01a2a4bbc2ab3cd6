//! `{hostname}`, `{now:%Y-%m-%d}` and the like in locations, archive names, globs and comments.
//!
//! Source: Borg 1.4, `replace_placeholders`.

use ironborg_types::{ErrorKind, Timestamp, text};

use crate::error::CliError;
use crate::identity::HostIdentity;
use crate::output::pyformat::{self, Piece, Spec};
use crate::output::strftime::CivilTime;
use crate::output::time;
use crate::program::BORG_VERSION;

/// Format of `{now}` and `{utcnow}` without a specification.
const ISO_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placeholders<'a> {
    /// Names of host and user.
    pub(crate) identity: &'a HostIdentity,
    /// What `{now}` and `{utcnow}` give; the clock if `None`.
    pub(crate) now: Option<Timestamp>,
}

/// Why a text could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// A placeholder that does not exist: ends the program as one of Borg's errors.
    Error(CliError),
    /// Unbalanced braces and the like: stock Borg sees Python's ValueError with this text.
    Value(String),
}

enum Value {
    Text(Vec<u8>),
    Number(i128),
    Time(CivilTime),
}

impl<'a> Placeholders<'a> {
    /// Taking the time from the clock.
    pub(crate) fn new(identity: &'a HostIdentity) -> Self {
        Self {
            identity,
            now: None,
        }
    }

    /// Expands the placeholders in `template`, whose bytes need not be UTF-8.
    pub(crate) fn expand(&self, template: &[u8]) -> Result<Vec<u8>, ExpandError> {
        if !template.iter().any(|byte| matches!(byte, b'{' | b'}')) {
            return Ok(template.to_vec());
        }
        // Undecodable bytes travel as private-use characters through the text functions and back.
        let as_text = to_text(template);
        let pieces = pyformat::parse(&as_text).map_err(|error| ExpandError::Value(error.0))?;
        let clock = Timestamp::now();
        let mut out = String::new();
        for piece in &pieces {
            let field = match piece {
                Piece::Literal(literal) => {
                    out.push_str(literal);
                    continue;
                }
                Piece::Field(field) => field,
            };
            if field.name.is_empty() {
                let arguments = [
                    &*text::display(template),
                    "...",
                    "ValueError",
                    "Format string contains positional fields",
                ];
                return Err(ExpandError::Error(CliError::new(
                    ErrorKind::PlaceholderError,
                    &arguments,
                )));
            }
            let value = self
                .value(&field.name, clock)
                .filter(|_| field.conversion.is_none());
            let Some(value) = value else {
                let arguments = [field.name.as_str(), &text::display(template)];
                return Err(ExpandError::Error(CliError::new(
                    ErrorKind::InvalidPlaceholder,
                    &arguments,
                )));
            };
            push_value(&value, &field.spec, &mut out).map_err(|message| {
                let arguments = [&*text::display(template), "...", "ValueError", &message];
                ExpandError::Error(CliError::new(ErrorKind::PlaceholderError, &arguments))
            })?;
        }
        Ok(to_bytes(&out))
    }

    fn value(&self, name: &str, clock: Timestamp) -> Option<Value> {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let version_part = |parts: usize| {
            BORG_VERSION
                .split('.')
                .take(parts)
                .collect::<Vec<_>>()
                .join(".")
        };
        Some(match name {
            "pid" => Value::Number(i128::from(std::process::id())),
            "fqdn" => Value::Text(self.identity.fqdn().to_vec()),
            "reverse-fqdn" => {
                let mut parts: Vec<&[u8]> = self.identity.fqdn().split(|&b| b == b'.').collect();
                parts.reverse();
                Value::Text(parts.join(&b'.'))
            }
            "hostname" => Value::Text(self.identity.hostname()),
            "now" => Value::Time(match self.now {
                Some(now) => time::local_time_exact(now),
                None => time::local_time_exact(clock),
            }),
            "utcnow" => Value::Time(time::utc_time(self.now.unwrap_or(clock))),
            "unixtime" => Value::Number(i128::from(clock.seconds())),
            "user" => Value::Text(self.identity.user()),
            "uuid4" => text(&uuid::Uuid::new_v4().to_string()),
            "borgversion" | "borgpatch" => text(&version_part(3)),
            "borgmajor" => text(&version_part(1)),
            "borgminor" => text(&version_part(2)),
            _ => return None,
        })
    }
}

fn push_value(value: &Value, spec: &str, out: &mut String) -> Result<(), String> {
    let parse = || Spec::parse(spec).map_err(|error| error.0);
    match value {
        Value::Text(bytes) => parse()?
            .push_text(&to_text(bytes), out)
            .map_err(|error| error.0),
        Value::Number(number) => parse()?.push_int(*number, out).map_err(|error| error.0),
        Value::Time(time) => {
            time.format_into(if spec.is_empty() { ISO_FORMAT } else { spec }, out);
            Ok(())
        }
    }
}

/// First of the 128 private-use characters that stand for undecodable bytes 0x80 to 0xff.
const ESCAPE_BASE: u32 = 0x10_ff00;

fn to_text(bytes: &[u8]) -> String {
    text::decode(bytes, |byte, out| {
        out.push(char::from_u32(ESCAPE_BASE + u32::from(byte)).unwrap_or('?'));
    })
    .into_owned()
}

fn to_bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character)
            .checked_sub(ESCAPE_BASE)
            .map(u8::try_from)
        {
            Some(Ok(byte)) if byte >= 0x80 => out.push(byte),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::IdentityVariables;

    fn identity() -> HostIdentity {
        HostIdentity::new(IdentityVariables {
            hostname: Some("myhost".into()),
            username: Some("me".into()),
            ..IdentityVariables::default()
        })
    }

    fn expand(template: &[u8]) -> Result<String, ExpandError> {
        let identity = identity();
        let now = "2024-01-02T02:04:05".parse().unwrap();
        let placeholders = Placeholders {
            identity: &identity,
            now: Some(now),
        };
        placeholders
            .expand(template)
            .map(|bytes| text::display(&bytes).into_owned())
    }

    #[test]
    fn placeholders_are_expanded_as_borg_does() {
        let vectors = crate::test_vectors::strings();
        let (_, cases) = vectors
            .as_object()
            .unwrap()
            .iter()
            .find(|(k, _)| k.starts_with("placeholders"))
            .unwrap();
        for case in cases.as_array().unwrap() {
            let template = case["in"].as_str().unwrap();
            // These depend on the clock, the process, the zone or the resolver of the capturing machine.
            if ["fqdn", "pid", "now", "unixtime", "uuid4"]
                .iter()
                .any(|name| template.contains(name))
            {
                continue;
            }
            match expand(template.as_bytes()) {
                Ok(out) => assert_eq!(Some(out.as_str()), case["out"].as_str(), "{case}"),
                Err(ExpandError::Value(message)) => {
                    assert_eq!(
                        case["error"].as_str(),
                        Some(format!("ValueError: {message}").as_str())
                    );
                }
                Err(ExpandError::Error(error)) => {
                    let expected = case["error"].as_str().unwrap();
                    let (class, message) = expected.split_once(": ").unwrap();
                    assert_eq!(error.msgid(), Some(class), "{case}");
                    let start: String = message.chars().take(31).collect();
                    assert!(error.message.starts_with(&start), "{error:?} {case}");
                }
            }
        }
    }

    #[test]
    fn times_take_a_format() {
        assert_eq!(expand(b"{utcnow}").unwrap(), "2024-01-02T02:04:05");
        assert_eq!(expand(b"{utcnow:%Y-%m-%d_%H}").unwrap(), "2024-01-02_02");
        let pid = std::process::id();
        assert_eq!(expand(b"{pid:08d}").unwrap(), format!("{pid:08}"));
    }

    #[test]
    fn undecodable_bytes_pass_through() {
        let identity = identity();
        let out = Placeholders::new(&identity)
            .expand(b"\xff{user}\xfe\xc3\xa9")
            .unwrap();
        assert_eq!(out, b"\xffme\xfe\xc3\xa9");
    }
}
