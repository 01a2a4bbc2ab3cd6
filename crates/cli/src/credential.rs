//! Passphrases that nobody types: what a command prints, what a file holds, what the service manager hands to services by
//! name.
//!
//! Source: systemd.exec(5), "Credentials". A service finds its own in `$CREDENTIALS_DIRECTORY`. A line of fstab has no
//! way to ask for one, so the directories they come from are looked through as well.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_source::named_file;
use ironborg_types::text;

use crate::environment::PassphraseVariables;
use crate::output::shell;

/// Where secrets lie as they are.
const PLAIN_STORES: &[&str] = &[
    "/etc/credstore",
    "/run/credstore",
    "/usr/local/lib/credstore",
    "/usr/lib/credstore",
];
/// Where they lie encrypted, for this machine only.
const ENCRYPTED_STORES: &[&str] = &[
    "/etc/credstore.encrypted",
    "/run/credstore.encrypted",
    "/usr/local/lib/credstore.encrypted",
    "/usr/lib/credstore.encrypted",
];

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PassphraseOrigin {
    /// It is what a command prints.
    Command(OsString),
    /// It is the content of a file.
    File(PathBuf),
    /// It is the credential of this name.
    Credential(OsString),
}

impl PassphraseOrigin {
    /// What says so in the environment; `own` is the directory of the credentials of this service.
    ///
    /// # Errors
    /// There is no such credential.
    pub(crate) fn variables(
        &self,
        own: Option<&Path>,
    ) -> Result<PassphraseVariables, CredentialError> {
        match self {
            Self::Command(command) => Ok(PassphraseVariables {
                command: Some(command.clone()),
                ..PassphraseVariables::default()
            }),
            Self::File(file) => Ok(PassphraseVariables {
                file: Some(file.clone()),
                ..PassphraseVariables::default()
            }),
            Self::Credential(name) => find(name, own)?.variables(own),
        }
    }
}

/// Why a credential is not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialError {
    /// The name would lead elsewhere.
    #[error("not a name of a credential: {0}")]
    Name(String),
    /// It is nowhere.
    #[error("there is no credential {0}, neither in $CREDENTIALS_DIRECTORY nor in /etc/credstore")]
    Missing(String),
}

/// Checks a name before a path is made of it.
pub(crate) fn check_name(name: &OsStr) -> Result<(), CredentialError> {
    let bytes = name.as_bytes();
    let leads_elsewhere = bytes.is_empty()
        || bytes.contains(&b'/')
        || bytes.contains(&b':')
        || matches!(bytes, b"." | b"..");
    if leads_elsewhere || text::decode(bytes, |_, out| out.push('\0')).contains(char::is_control) {
        return Err(CredentialError::Name(text::display(bytes).into_owned()));
    }
    Ok(())
}

/// Looks for a credential, which is a file or what a command prints: in the directory of this service, then where services get theirs from.
fn find(name: &OsStr, own: Option<&Path>) -> Result<PassphraseOrigin, CredentialError> {
    check_name(name)?;
    let plain = PLAIN_STORES.iter().map(Path::new);
    let mut files = own.into_iter().chain(plain).map(|store| store.join(name));
    if let Some(file) = files.find(|file| named_file::exists(file)) {
        return Ok(PassphraseOrigin::File(file));
    }
    let shown = text::display(name.as_bytes()).into_owned();
    let mut encrypted = ENCRYPTED_STORES
        .iter()
        .map(|store| Path::new(store).join(name));
    match encrypted.find(|file| named_file::exists(file)) {
        Some(file) => Ok(PassphraseOrigin::Command(decrypting(&shown, &file))),
        None => Err(CredentialError::Missing(shown)),
    }
}

/// The command line that prints an encrypted one.
fn decrypting(name: &str, file: &Path) -> OsString {
    let name = format!("--name={name}");
    let file = text::display(file.as_os_str().as_bytes());
    shell::join(["systemd-creds", "decrypt", &name, &file, "-"]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_in_the_directory_of_the_service() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("borg"), "secret").unwrap();
        let found = find("borg".as_ref(), Some(dir.path()));
        assert_eq!(found, Ok(PassphraseOrigin::File(dir.path().join("borg"))));
        let missing = find("no-such-credential".as_ref(), Some(dir.path()));
        assert_eq!(
            missing,
            Err(CredentialError::Missing("no-such-credential".to_owned()))
        );
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", ".", "..", "../x", "/etc/shadow", "a:b", "a\nb"] {
            let found = find(name.as_ref(), Some(Path::new("/")));
            assert!(matches!(found, Err(CredentialError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn an_encrypted_one_is_printed_by_the_service_managers_own_tool() {
        let command = decrypting("my pass", Path::new("/etc/credstore.encrypted/my pass"));
        assert_eq!(
            command,
            "systemd-creds decrypt '--name=my pass' '/etc/credstore.encrypted/my pass' -"
        );
    }
}
