//! Public keys of clients, as `ssh-keygen` writes them: a type, the key in base64, a comment.
//!
//! A key becomes part of a line that sshd trusts, so nothing but a key is taken for one: options in front of it, a second
//! line or another type inside than outside are refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Types of keys sshd knows; not those of certificates, which are listed elsewhere.
const TYPES: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
    "ssh-dss",
];
/// Longest key with its comment; one of RSA with 16384 bits has less than 3000 characters.
const LEN_MAX: usize = 8192;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    text: String,
    blob: String,
}

/// Why something is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too long to be one.
    #[error("a public key is not that long")]
    TooLong,
    /// More than a line, or something nobody can see.
    #[error("a public key is one line of text, without control characters")]
    NotALine,
    /// A private one.
    #[error("this is a private key; the public one is in the file whose name ends with .pub")]
    Private,
    /// Options of `authorized_keys` in front of it.
    #[error("a public key begins with its type, such as ssh-ed25519; options cannot be given here")]
    NoType,
    /// A type without a key.
    #[error("there is no key behind the type {0}")]
    NoKey(&'static str),
    /// What is there is not base64.
    #[error("what is behind the type {0} is not a key in base64")]
    NotBase64(&'static str),
    /// The key says that it is of another type.
    #[error("this is not a key of the type {0}, though it says so")]
    OtherType(&'static str),
}

impl PublicKey {
    /// Checks a key.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return Err(KeyError::Private);
        }
        if text.len() > LEN_MAX {
            return Err(KeyError::TooLong);
        }
        if text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(KeyError::NotALine);
        }
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let named = words.next().unwrap_or_default();
        let kind = TYPES
            .iter()
            .find(|kind| **kind == named)
            .ok_or(KeyError::NoType)?;
        let blob = words.next().ok_or(KeyError::NoKey(kind))?;
        let bytes = STANDARD
            .decode(blob)
            .map_err(|_| KeyError::NotBase64(kind))?;
        if !is_of_type(&bytes, kind) {
            return Err(KeyError::OtherType(kind));
        }
        Ok(Self {
            text: text.to_owned(),
            blob: blob.to_owned(),
        })
    }

    /// The key with its type and comment, as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key itself, in base64: the same for the same key, whatever its comment.
    pub fn blob(&self) -> &str {
        &self.blob
    }
}

/// Whether a key begins with the name of its type, and has something behind it.
fn is_of_type(bytes: &[u8], kind: &str) -> bool {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    let len = u32::from_be_bytes(*len) as usize;
    len == kind.len() && rest.len() > len && rest.starts_with(kind.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIE+u6Q/ycvxM1XG7JitWqla/nTKvT29rHS9IUjZMaPwH";

    #[test]
    fn a_key_has_a_type_and_perhaps_a_comment() {
        for comment in ["", " me@here", " with blanks \"and quotes\" ä"] {
            let text = format!("ssh-ed25519 {KEY}{comment}");
            let key = PublicKey::parse(&format!(" {text}\n")).unwrap();
            assert_eq!(key.text(), text);
            assert_eq!(key.blob(), KEY);
        }
    }

    #[test]
    fn nothing_but_a_key_is_one() {
        let check = |text: &str, expected: KeyError| {
            assert_eq!(PublicKey::parse(text), Err(expected), "{text:?}");
        };
        let key = format!("ssh-ed25519 {KEY}");
        check("", KeyError::NoType);
        check(&format!("command=\"sh\" {key}"), KeyError::NoType);
        check(&format!("restrict,pty {key}"), KeyError::NoType);
        check(&format!("# {key}"), KeyError::NoType);
        check(&format!("{key} a\nssh-rsa AAAA"), KeyError::NotALine);
        check(&format!("{key} a\rb"), KeyError::NotALine);
        check(&format!("ssh-ed25519\t{KEY}"), KeyError::NotALine);
        check("ssh-ed25519", KeyError::NoKey("ssh-ed25519"));
        check("ssh-ed25519 me@here", KeyError::NotBase64("ssh-ed25519"));
        check("ssh-ed25519 AAAA", KeyError::OtherType("ssh-ed25519"));
        check(&format!("ssh-rsa {KEY}"), KeyError::OtherType("ssh-rsa"));
        check("ssh-ed25519-cert-v01@openssh.com AAAA", KeyError::NoType);
        check("-----BEGIN OPENSSH PRIVATE KEY-----", KeyError::Private);
        check(&format!("{key} {}", "x".repeat(LEN_MAX)), KeyError::TooLong);
    }
}
