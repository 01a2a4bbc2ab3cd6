//! Reading the files cache while index and key are being opened: neither needs the other, and each takes its time.

use std::thread::{Builder, JoinHandle};

use ironborg_cache::{FilesCache, FilesRead, Sight};
use ironborg_source::attributes::sees_all_attributes;
use ironborg_types::RepositoryId;

use super::options::CreateOptions;
use crate::client::Client;

/// The files cache of one repository, being read.
#[derive(Debug)]
pub struct FilesAhead {
    repository: RepositoryId,
    name: String,
    reading: JoinHandle<FilesRead>,
}

impl FilesAhead {
    /// Begins to read the files cache that `options` want for a repository, which is locked; `None` if they want none, or
    /// whether there is memory for it is still to be found out.
    pub fn begin(
        client: &Client,
        repository: RepositoryId,
        options: &CreateOptions,
    ) -> Option<Self> {
        if options.files_cache.is_disabled() || client.memory.get().is_some() {
            return None;
        }
        let (cache, name) = (client.own_cache(repository), file_name(options));
        let of_thread = name.clone();
        let reading = Builder::new().spawn(move || FilesRead::read(&cache, &of_thread, repository));
        Some(Self {
            repository,
            name,
            reading: reading.ok()?,
        })
    }
}

/// The files cache that `options` want for a repository: the one read ahead, if that is it.
pub(super) fn open(
    client: &Client,
    repository: RepositoryId,
    options: &CreateOptions,
    ahead: Option<FilesAhead>,
) -> Option<FilesCache> {
    if options.files_cache.is_disabled() {
        return None;
    }
    let name = file_name(options);
    let ahead = ahead.filter(|ahead| ahead.repository == repository && ahead.name == name);
    let read = ahead.map_or_else(FilesRead::default, |ahead| {
        let read = ahead.reading.join();
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Some(FilesCache::open_read(
        read,
        &client.own_cache(repository),
        &name,
        repository,
        options.files_cache,
        if sees_all_attributes() {
            Sight::All
        } else {
            Sight::Ordinary
        },
        client.reporter.as_ref(),
    ))
}

/// Name of the file.
pub(super) fn file_name(options: &CreateOptions) -> String {
    match options.files_cache_suffix.as_str() {
        "" => "files".to_owned(),
        suffix => format!("files.{suffix}"),
    }
}
