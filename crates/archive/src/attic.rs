//! Making a repository of Attic, Borg's predecessor, one of Borg: its files and its key.
//!
//! Attic's caches are left where they are: they would be made again anyway. Source: Borg 1.4,
//! `AtticRepositoryUpgrader`, `BorgRepositoryUpgrader`.

use std::path::Path;
use std::sync::Arc;

use ironborg_repository::{AtticRepository, LockOptions};
use ironborg_types::{Level, PercentProgress, RepositoryId};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::key_files;

const LOGGER: &str = "borg.upgrader";
const PROGRESS: &str = "upgrade.convert_segments";
/// Percent between two lines of progress.
const PROGRESS_STEP: f64 = 5.0;
/// First words of key files.
const ATTIC_KEY: &str = "ATTIC KEY";
const BORG_KEY: &str = "BORG_KEY";

/// What is converted, and how.
#[derive(Debug, Clone, Copy)]
pub struct Conversion<'a> {
    /// The repository.
    pub path: &'a Path,
    /// Where it is copied to first, without taking space for its data; `None` for no copy.
    pub copy: Option<&'a Path>,
    /// Attic's directory of keys.
    pub attic_keys: &'a Path,
    /// Borg's before 1.0.
    pub old_keys: &'a Path,
    /// Whether everything is only told.
    pub dry_run: bool,
    /// Whether progress is shown.
    pub progress: bool,
}

/// Converts key, index and segments, the newest segment last: a conversion that was interrupted is begun again. What
/// is Borg's already stays as it is.
///
/// # Errors
/// No repository there; one that others use; a copy that cannot be made; a failed write.
pub fn convert(client: &Client, conversion: &Conversion<'_>) -> Result<(), ArchiveError> {
    let info = |text: String| client.log(Level::Info, LOGGER, text);
    let warn = |text: String| client.log(Level::Warning, LOGGER, text);
    let attic = AtticRepository::open(conversion.path)?;
    if let Some(copy) = conversion.copy {
        info(format!("making a hardlink copy in {}", copy.display()));
        if !conversion.dry_run {
            attic.copy_to(copy)?;
        }
    }
    info("opening attic repository with borg and converting".to_owned());
    let options = LockOptions {
        exclusive: true,
        ..client.lock.clone()
    };
    let lock = attic.lock(options, Arc::clone(&client.reporter))?;
    convert_key(client, attic.id(), conversion)?;
    match attic.index()? {
        None => {
            let path = conversion.path.display();
            warn(format!("no index file found for repository {path}"));
        }
        Some(index) => {
            info(format!("converting repo index {}", index.display()));
            if !conversion.dry_run {
                attic.convert_index()?;
            }
        }
    }
    convert_segments(client, &attic, conversion)?;
    if !conversion.dry_run {
        attic.replace_readme()?;
    }
    lock.release()?;
    info("converting borg 0.xx to borg current".to_owned());
    Ok(())
}

fn convert_key(
    client: &Client,
    id: RepositoryId,
    conversion: &Conversion<'_>,
) -> Result<(), ArchiveError> {
    let Some(old) = key_files::find_old(conversion.attic_keys, ATTIC_KEY, id)? else {
        no_key(client);
        return Ok(());
    };
    let place = old.new_place(client, ATTIC_KEY)?;
    let old_place = old.path.display();
    client.log(
        Level::Info,
        LOGGER,
        format!("converting keyfile {old_place}"),
    );
    let new_place = place.display();
    client.log(
        Level::Info,
        LOGGER,
        format!("writing borg keyfile to {new_place}"),
    );
    if conversion.dry_run {
        return Ok(());
    }
    old.write(client, &place, ATTIC_KEY)
}

fn no_key(client: &Client) {
    client.log(Level::Warning, LOGGER, "no key file found for repository");
}

fn convert_segments(
    client: &Client,
    attic: &AtticRepository,
    conversion: &Conversion<'_>,
) -> Result<(), ArchiveError> {
    let segments = attic.segments()?;
    let count = segments.len();
    client.log(
        Level::Info,
        LOGGER,
        format!("converting {count} segments..."),
    );
    let reporter = client.reporter.as_ref();
    let mut progress = conversion
        .progress
        .then(|| PercentProgress::start(reporter, PROGRESS, count as u64, PROGRESS_STEP));
    for segment in segments {
        if client.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        if let Some(progress) = &mut progress {
            progress.advance(reporter, 1, None, |percent| {
                format!("Converting segments {percent:3.0}%")
            });
        }
        if !conversion.dry_run {
            attic.convert_segment(segment)?;
        }
    }
    if let Some(progress) = &progress {
        progress.finish(reporter);
    }
    Ok(())
}

/// Copies a key from where Borg before 1.0 kept it to where it is looked for now. Stock Borg moves it; a key in two
/// places is safer than one moved onto itself through a link.
///
/// # Errors
/// A failed write.
pub fn copy_old_key(
    client: &Client,
    id: RepositoryId,
    conversion: &Conversion<'_>,
) -> Result<(), ArchiveError> {
    let Some(old) = key_files::find_old(conversion.old_keys, BORG_KEY, id)? else {
        no_key(client);
        return Ok(());
    };
    let place = old.new_place(client, BORG_KEY)?;
    if place == old.path || conversion.dry_run {
        return Ok(());
    }
    old.write(client, &place, BORG_KEY)
}
