//! The way out when a disk is full or a quota used up.

use std::path::{Path, PathBuf};

use ironborg_types::ErrorKind;

use super::is_repository;
use crate::error::{Cause, CliError};

/// How Python, and so Borg, begins the text of an error of the system: no space left, disk quota exceeded.
const FULL: [&str; 2] = ["[Errno 28]", "[Errno 122]"];

/// Whether what is said below the error is this program's own in any case: stock Borg shows where in its source an
/// error came from that it has no name for.
pub(super) fn is_free_text(error: &CliError) -> bool {
    matches!(error.cause, Cause::Unexpected | Cause::Foreign { .. }) && is_full(error)
}

/// Whether the error is about room at all.
pub(super) fn concerns(error: &CliError) -> bool {
    let kinds = [
        ErrorKind::RepositoryInsufficientFreeSpaceError,
        ErrorKind::RepositoryStorageQuotaExceeded,
    ];
    is_full(error) || matches!(error.cause, Cause::Kind(kind) if kinds.contains(&kind))
}

fn is_full(error: &CliError) -> bool {
    let says = |text: &str| FULL.iter().any(|start| text.contains(start));
    says(&error.message) || says(&error.detail)
}

/// What may be done about it.
pub(super) fn of_error(program: &str, error: &CliError) -> Option<String> {
    match error.cause {
        Cause::Kind(ErrorKind::RepositoryInsufficientFreeSpaceError) => Some(format!(
            "nothing was stored. Make room: \"{program} delete\" or \"{program} prune\", then \"{program} compact\", may \
             use what everything else has to leave free (additional_free_space and some more). If it is \
             one of these that failed, other files have to be moved off that disk first."
        )),
        Cause::Kind(ErrorKind::RepositoryStorageQuotaExceeded) => Some(format!(
            "nothing was stored. Space counts as used until \"{program} compact\" has run: \"{program} delete\" or \
             \"{program} prune\" archives first, then compact. They work with the quota used up too."
        )),
        _ => full(program, error),
    }
}

fn full(program: &str, error: &CliError) -> Option<String> {
    let path = FULL
        .iter()
        .find_map(|start| path_after(start, &error.detail));
    let repository = if matches!(error.cause, Cause::Foreign { .. }) {
        // The server's disk.
        "REPOSITORY".to_owned()
    } else {
        repository_of(path.as_deref()?)?.display().to_string()
    };
    Some(format!(
        "the disk of the repository is full; what was not committed is taken back. Make room: \"{program} delete\" \
         or \"{program} prune\", then \"{program} compact {repository}\". If there is too little for these too, other \
         files have to be moved off that disk first. To keep a reserve for next time: \
         {program} config {repository} additional_free_space 2G"
    ))
}

/// The path in `[Errno 28] No space left on device: '/path'`.
fn path_after(start: &str, text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once(start)?;
    let line = rest.lines().next()?;
    let (_, quoted) = line.split_once(": '")?;
    let path = quoted.rsplit_once('\'')?.0;
    Some(PathBuf::from(path))
}

fn repository_of(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|above| is_repository(above))
}

#[cfg(test)]
mod tests {
    use ironborg_source::named_file;

    use super::*;

    #[test]
    fn a_full_disk_has_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("repo");
        named_file::make_directories(&repository.join("data/0"), 0o700).unwrap();
        named_file::write(repository.join("config").as_os_str(), b"").unwrap();
        let error = |path: &Path| {
            let path = path.display();
            CliError::unexpected(format!(
                "[Errno 28] No space left on device: '{path}'\nmore"
            ))
        };
        let inside = error(&repository.join("data/0/6"));
        assert!(concerns(&inside) && is_free_text(&inside));
        let hint = of_error("borg", &inside).unwrap();
        let expected = format!("borg compact {}", repository.display());
        assert!(hint.contains(&expected), "{hint}");
        // Elsewhere the error says it all.
        let cache = error(&dir.path().join("cache/files"));
        assert_eq!(of_error("borg", &cache), None);
        let quota = CliError::unexpected("[Errno 122] Disk quota exceeded");
        assert_eq!(of_error("borg", &quota), None);
        let foreign = CliError {
            cause: Cause::Foreign {
                class: "OSError".to_owned(),
                traceback: true,
            },
            message: "OSError: [Errno 28] No space left on device".to_owned(),
            detail: String::new(),
        };
        let hint = of_error("borg", &foreign).unwrap();
        assert!(hint.contains("borg compact REPOSITORY"), "{hint}");
        assert!(!concerns(&CliError::unexpected(
            "[Errno 5] I/O error: '/x'"
        )));
    }

    #[test]
    fn words_stock_borg_has_are_left_alone() {
        for kind in [
            ErrorKind::RepositoryInsufficientFreeSpaceError,
            ErrorKind::RepositoryStorageQuotaExceeded,
        ] {
            let error = CliError::new(kind, &["1 kB", "2 kB"]);
            assert!(concerns(&error) && !is_free_text(&error));
            let hint = of_error("borg", &error).unwrap();
            assert!(hint.contains("\"borg compact\""), "{hint}");
        }
    }
}
