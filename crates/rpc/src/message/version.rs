//! Versions as the protocol has them.

use ironborg_format::msgpack::{Value, push_array_len, push_int};

/// A version: major, minor, patch and then -1 for a release, or a negative kind and a number for what comes before it.
///
/// Source: Borg 1.4, `parse_version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<i64>);

/// More numbers than this are no version.
const NUMBERS_MAX: usize = 8;
/// Marks a release.
const RELEASE: i64 = -1;

impl Version {
    /// A released version.
    pub fn release(major: i64, minor: i64, patch: i64) -> Self {
        Self(vec![major, minor, patch, RELEASE])
    }

    /// The numbered alpha version before a release.
    pub fn alpha(major: i64, minor: i64, patch: i64, number: i64) -> Self {
        Self(vec![major, minor, patch, -4, number])
    }

    /// The numbered beta version before a release.
    pub fn beta(major: i64, minor: i64, patch: i64, number: i64) -> Self {
        Self(vec![major, minor, patch, -3, number])
    }

    /// What both ends of this program say they are.
    pub fn own() -> Self {
        Self::release(1, 4, 5)
    }

    /// What the other end is if it does not say.
    pub fn assumed() -> Self {
        Self::release(1, 0, 8)
    }

    /// Reads it from a message; `None` if it is none.
    pub fn from_value(value: &Value<'_>) -> Option<Self> {
        let numbers = value.as_array()?;
        if numbers.is_empty() || numbers.len() > NUMBERS_MAX {
            return None;
        }
        let number = |value: &Value<'_>| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        };
        numbers.iter().map(number).collect::<Option<_>>().map(Self)
    }

    /// Appends it to a message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        push_array_len(out, self.0.len());
        for number in &self.0 {
            push_int(out, *number);
        }
    }
}

impl std::fmt::Display for Version {
    /// As people write it: `1.4.5`, `1.2.0a8`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (at, number) in self.0.iter().enumerate() {
            match (*number, self.0.get(at + 1)) {
                (RELEASE, _) => return Ok(()),
                (kind @ i64::MIN..0, following) => {
                    let letters = match kind {
                        -2 => "rc",
                        -3 => "b",
                        -4 => "a",
                        _ => ".dev",
                    };
                    return write!(f, "{letters}{}", following.copied().unwrap_or(0));
                }
                (number, _) => write!(f, "{separator}{number}")?,
            }
            separator = ".";
        }
        Ok(())
    }
}
