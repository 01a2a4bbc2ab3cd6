//! Passphrases the program has made up itself, kept in files only their owner can read.
//!
//! One file for each repository: `CONFIG/ironborg/ID.passphrase`. It is used for a repository whenever
//! neither variable nor command nor descriptor gives a passphrase, by every command.

use std::path::{Path, PathBuf};

use ironborg_source::named_file;
use ironborg_types::RepositoryId;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Characters of a generated passphrase: no two of them look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters in a generated passphrase: 5 bits each, 160 bits in all.
const PASSPHRASE_LEN: usize = 32;
/// Characters between two dashes.
const GROUP_LEN: usize = 4;

/// The file for a repository.
pub(crate) fn path(config: &Path, id: RepositoryId) -> PathBuf {
    config.join("ironborg").join(format!("{id}.passphrase"))
}

/// The stored passphrase of a repository, if there is one.
pub(crate) fn load(config: &Path, id: RepositoryId) -> Option<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(named_file::read(path(config, id).as_os_str()).ok()?);
    while content.last() == Some(&b'\n') {
        content.pop();
    }
    Some(content)
}

/// Makes a passphrase up and stores it durably. It must not be there yet.
pub(crate) fn create(config: &Path, id: RepositoryId) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut random = Zeroizing::new([0_u8; PASSPHRASE_LEN]);
    getrandom::fill(random.as_mut())
        .map_err(|error| CliError::generic(format!("no random numbers: {error}")))?;
    let mut passphrase = Zeroizing::new(Vec::with_capacity(PASSPHRASE_LEN * 2));
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index.is_multiple_of(GROUP_LEN) {
            passphrase.push(b'-');
        }
        passphrase.push(ALPHABET[usize::from(byte % 32)]);
    }
    let mut content = Zeroizing::new(passphrase.to_vec());
    content.push(b'\n');
    named_file::create_private(&path(config, id), &content)
        .map_err(|error| CliError::generic(error.to_string()))?;
    Ok(passphrase)
}

/// Stores another passphrase in the place of the stored one, if there is one; returns its file.
pub(crate) fn replace(
    config: &Path,
    id: RepositoryId,
    passphrase: &[u8],
) -> Result<Option<PathBuf>, CliError> {
    let path = path(config, id);
    if !named_file::exists(&path) {
        return Ok(None);
    }
    let mut content = Zeroizing::new(passphrase.to_vec());
    content.push(b'\n');
    named_file::replace_private(&path, &content)
        .map_err(|error| CliError::generic(error.to_string()))?;
    Ok(Some(path))
}

/// Removes the stored passphrase of a repository that is no more.
pub(crate) fn remove(config: &Path, id: RepositoryId) {
    let _ = named_file::remove(&path(config, id));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_passphrase_is_stored_for_its_owner_only() {
        let config = tempfile::tempdir().unwrap();
        let id = RepositoryId([7; 32]);
        assert_eq!(load(config.path(), id), None);
        let made = create(config.path(), id).unwrap();
        assert_eq!(made.len(), PASSPHRASE_LEN + PASSPHRASE_LEN / GROUP_LEN - 1);
        assert_eq!(load(config.path(), id), Some(made));
        let mode = std::fs::metadata(path(config.path(), id))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            create(config.path(), id).is_err(),
            "an existing passphrase is never replaced"
        );
        let replaced = replace(config.path(), id, b"another").unwrap();
        assert_eq!(replaced, Some(path(config.path(), id)));
        let stored = load(config.path(), id).unwrap();
        assert_eq!(stored.as_slice(), b"another");
        let other = RepositoryId([8; 32]);
        assert_eq!(replace(config.path(), other, b"another").unwrap(), None);
        assert_eq!(load(config.path(), other), None);
        remove(config.path(), id);
        assert_eq!(load(config.path(), id), None);
    }
}
