//! Deleting a whole repository, and what this client remembers of it.

use ironborg_cache::directory_name;
use ironborg_format::Operation;
use ironborg_repository::{Repository, RepositoryError};
use ironborg_storage::{LocalStorage, Storage};
use ironborg_types::{Answer, ChunkId, Level, Question, RepositoryId};

use super::{Force, LOGGER};
use crate::selection::{ArchiveSelection, ListedArchive, SortKey, select};
use crate::{ArchiveError, Client, Session};

/// The line of dashes in stock Borg's texts.
const DASHES: &str =
    "------------------------------------------------------------------------------";

/// What of a repository is deleted, and how.
pub struct RepositoryDeletion<'a> {
    /// Only what is remembered of it here (`--cache-only`).
    pub cache_only: bool,
    /// Keep the security record.
    pub keep_security_info: bool,
    /// With any force nobody is asked.
    pub force: Force,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Whether the question lists the archives (`--list`).
    pub list: bool,
    /// One archive as a line of that list.
    pub format_archive: &'a dyn Fn(&ListedArchive) -> String,
}

/// Asks, and deletes the repository, its caches and its security record.
///
/// `repository` must be locked exclusively.
///
/// # Errors
/// `CancelledByUser`; whatever the file system refuses.
pub fn delete_repository(
    client: &Client,
    repository: Box<dyn Repository>,
    options: &RepositoryDeletion<'_>,
) -> Result<(), ArchiveError> {
    let id = repository.id();
    let log = |message: &str| client.log(Level::Info, LOGGER, message);
    if !options.cache_only {
        let mut repository = repository;
        if options.force == Force::No {
            repository = confirm(client, repository, options)?;
        }
        if options.dry_run {
            let fate = if options.keep_security_info {
                "keep"
            } else {
                "delete"
            };
            log("Would delete repository.");
            log(&format!("Would {fate} security info."));
        } else {
            repository.destroy()?;
            log("Repository deleted.");
            if !options.keep_security_info {
                let records = LocalStorage::new(client.directories.security.clone());
                records.remove_tree(&id.to_string())?;
            }
        }
    }
    if options.dry_run {
        log("Would delete cache.");
    } else {
        delete_caches(client, &id)?;
        log("Cache deleted.");
    }
    Ok(())
}

/// Removes stock Borg's and our own caches of a repository.
pub fn delete_caches(client: &Client, id: &RepositoryId) -> Result<(), ArchiveError> {
    let storage = LocalStorage::new(client.directories.cache.clone());
    for directory in [id.to_string(), directory_name(id)] {
        if storage.status(&directory)?.is_some() {
            // Without its config stock Borg takes a cache for none, should this be interrupted.
            let config = format!("{directory}/config");
            if storage.status(&config)?.is_some() {
                storage.remove(&config)?;
            }
            storage.remove_tree(&directory)?;
        }
    }
    Ok(())
}

/// Has the user confirm what will be lost. Source: Borg 1.4, `_delete_repository`.
fn confirm(
    client: &Client,
    repository: Box<dyn Repository>,
    options: &RepositoryDeletion<'_>,
) -> Result<Box<dyn Repository>, ArchiveError> {
    let id = repository.id();
    let has_manifest = match repository.get(&ChunkId::MANIFEST, &mut Vec::new()) {
        Err(RepositoryError::ObjectNotFound { .. }) => false,
        other => other.map(|()| true)?,
    };
    let (archives, repository) = if has_manifest {
        let no_operation: &[Operation] = &[];
        let session = Session::open(client.clone(), repository, no_operation)?;
        let by_time = ArchiveSelection {
            sort_by: vec![SortKey::Timestamp],
            ..Default::default()
        };
        (
            Some(select(&session.manifest, &by_time)?),
            session.repository,
        )
    } else {
        (None, repository)
    };
    let message = question(client, &id, archives.as_deref(), options);
    let answer = client.questioner.ask(&Question {
        message: &message,
        false_message: Some("Aborting."),
        invalid_message: Some("Invalid answer, aborting."),
        env_var: "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING",
        only_yes: true,
        retry: false,
    });
    match answer {
        Answer::Yes => Ok(repository),
        Answer::No => Err(ArchiveError::Cancelled),
    }
}

fn question(
    client: &Client,
    id: &RepositoryId,
    archives: Option<&[ListedArchive]>,
    options: &RepositoryDeletion<'_>,
) -> String {
    let which = match archives {
        Some(archives) => format!("*including* {} archives it contains:", archives.len()),
        None => "*including* all archives it may contain:".to_owned(),
    };
    let mut lines = vec![
        format!("You requested to completely DELETE the following repository {which}"),
        DASHES.to_owned(),
        format!("Repository ID: {id}"),
        format!("Location: {}", client.location),
    ];
    if options.list {
        lines.extend([String::new(), "Archives:".to_owned()]);
        match archives {
            Some([]) => lines.push("This repository seems to not have any archives.".to_owned()),
            Some(archives) => lines.extend(archives.iter().map(options.format_archive)),
            None => lines.push(
                "This repository seems to have no manifest, so we can't tell anything about its contents."
                    .to_owned(),
            ),
        }
    }
    lines.push(DASHES.to_owned());
    lines.push("Type 'YES' if you understand this and want to continue: ".to_owned());
    lines.join("\n")
}
