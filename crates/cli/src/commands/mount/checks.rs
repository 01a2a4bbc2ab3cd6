//! What is looked at before anything is mounted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ironborg_mount::{MountOwner, MountWords};
use ironborg_source::{Names, named_file};
use ironborg_types::{ErrorKind, text};

use crate::args::values;
use crate::error::CliError;
use crate::output::pyformat::repr;

/// Whether something can be mounted there, as far as that can be seen.
pub(super) fn mountpoint(path: &OsStr) -> Result<(), CliError> {
    if named_file::is_open_directory(Path::new(path)) {
        return Ok(());
    }
    let shown = text::display(path.as_bytes());
    let message = format!("{shown}: Mount point must be a writable directory");
    Err(CliError::new(ErrorKind::RTError, &[&message]))
}

/// Whether those everything shall belong to, or whoever mounts, have names.
pub(super) fn owner(words: &MountWords, default: MountOwner) -> Result<(), CliError> {
    let names = Names::new();
    let uid = words.uid.unwrap_or(i128::from(default.uid));
    let gid = words.gid.unwrap_or(i128::from(default.gid));
    let has_name = u32::try_from(uid).is_ok_and(|uid| names.user_name(uid).is_some());
    if !has_name {
        return Err(CliError::generic(format!(
            "uid {uid} can not be resolved to a username. Please check that the corresponding user exists \
             or do not specify a uid mount option."
        )));
    }
    let has_name = u32::try_from(gid).is_ok_and(|gid| names.group_name(gid).is_some());
    if !has_name {
        return Err(CliError::generic(format!(
            "gid {gid} can not be resolved to a group name. Please check that the corresponding group exists \
             or do not specify a gid mount option."
        )));
    }
    Ok(())
}

/// The number in `BORG_MOUNT_DATA_CACHE_ENTRIES`.
pub(super) fn data_cache_entries(value: &OsStr) -> Result<i64, CliError> {
    let shown = text::display(value.as_bytes());
    values::int(&shown).map_err(|_| {
        let value = repr(&shown);
        CliError::unexpected(format!(
            "ValueError: invalid literal for int() with base 10: {value}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_a_directory() {
        let place = tempfile::tempdir().unwrap();
        assert!(mountpoint(place.path().as_os_str()).is_ok());
        let missing = place.path().join("missing");
        let error = mountpoint(missing.as_os_str()).unwrap_err();
        let expected = format!(
            "Runtime Error: {}: Mount point must be a writable directory",
            missing.display()
        );
        assert_eq!(error.message, expected);
    }

    #[test]
    fn owners_must_have_names() {
        let root = MountOwner { uid: 0, gid: 0 };
        let words = |given: &str| MountWords::parse(Some(given)).unwrap();
        assert!(owner(&words("uid=0,gid=0"), root).is_ok());
        let message = |given: &str| owner(&words(given), root).unwrap_err().message;
        assert!(message("uid=-1").starts_with("Error: uid -1 can not be resolved to a username."));
        assert!(message("gid=99999999999").starts_with("Error: gid 99999999999 can not be"));
    }

    #[test]
    fn entries_are_a_number() {
        assert_eq!(data_cache_entries(OsStr::new(" 12 ")).unwrap(), 12);
        let error = data_cache_entries(OsStr::new("many")).unwrap_err();
        assert_eq!(
            error.detail,
            "ValueError: invalid literal for int() with base 10: 'many'"
        );
    }
}
