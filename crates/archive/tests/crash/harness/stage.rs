//! What is worked with: a machine, a repository in memory, files to back up; and the steps of the work.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ironborg_archive::create::{
    CheckpointPolicy, CreateOptions, FilesChanged, Input, Metadata, PipedFile, Selection, create,
};
use ironborg_archive::{ArchiveError, Session};
use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::KeyMode;
use ironborg_object::Compression;
use ironborg_repository::{
    CompactOptions, CreateOptions as RepositoryOptions, LocalRepository, Repository,
};
use ironborg_source::PatternMatcher;
use ironborg_storage::Storage;
use ironborg_testkit::generated;
use ironborg_types::BytePath;

use super::machine::Machine;

/// Rewrites every segment of which anything at all can be freed.
pub(crate) const EVERYTHING: CompactOptions = CompactOptions {
    threshold: 0.0,
    cleanup_commits: false,
    interrupt: None,
};

/// A machine, a storage for its repository, and files.
pub(crate) struct Stage {
    pub(crate) machine: RefCell<Machine>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) source: PathBuf,
    /// Something one step leaves for a later one.
    pub(crate) kept: RefCell<String>,
}

impl Stage {
    pub(crate) fn new(machine: Machine, storage: Arc<dyn Storage>, source: PathBuf) -> Self {
        Self {
            machine: RefCell::new(machine),
            storage,
            source,
            kept: RefCell::default(),
        }
    }

    /// The same with another storage.
    pub(crate) fn on(self, storage: Arc<dyn Storage>) -> Self {
        Self { storage, ..self }
    }

    /// The passphrase is another one from now on.
    pub(crate) fn know_passphrase(&self, passphrase: &str) {
        let machine = self.machine.borrow().with_passphrase(passphrase);
        self.machine.replace(machine);
    }

    pub(crate) fn session(&self) -> Result<Session, ArchiveError> {
        self.machine.borrow().session(Arc::clone(&self.storage))
    }

    pub(crate) fn repository(&self) -> Result<LocalRepository, ArchiveError> {
        let storage = Arc::clone(&self.storage);
        Ok(self.machine.borrow().repository(storage)?)
    }

    /// Does something with an open repository, and closes it.
    pub(crate) fn with_session(
        &self,
        act: impl FnOnce(&mut Session) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let mut session = self.session()?;
        act(&mut session)?;
        close(session)
    }

    /// Makes a repository with segments of a few entries and its key.
    pub(crate) fn init(&self, mode: KeyMode) -> Result<(), ArchiveError> {
        let create = RepositoryOptions {
            append_only: false,
            storage_quota: None,
            make_parent_dirs: false,
        };
        let machine = self.machine.borrow();
        let storage = Arc::clone(&self.storage);
        let mut repository = LocalRepository::create_in(storage, &create, machine.open_options())?;
        let mut config = repository.config().clone();
        config.set("repository", "max_segment_size", "9000");
        config.set("repository", "segments_per_dir", "4");
        repository.save_config(config)?;
        repository.close()?;
        let repository = machine.repository(Arc::clone(&self.storage))?;
        close(Session::init(
            machine.client(),
            Box::new(repository),
            mode,
            None,
        )?)
    }

    /// Archives the files.
    pub(crate) fn create(&self, name: &str) -> Result<(), ArchiveError> {
        let options = create_options(name, &self.source);
        self.with_session(|session| create(session, &options).map(drop))
    }

    pub(crate) fn compact(&self, options: CompactOptions) -> Result<(), ArchiveError> {
        let mut repository = self.repository()?;
        repository.commit_compact(options)?;
        Ok(repository.close()?)
    }

    /// Makes the files to back up as they are at first.
    pub(crate) fn write_source(&self) {
        let dir = self.source.join("dir");
        fs::create_dir_all(&dir).expect("the scratch directory is writable");
        for (number, len) in [0, 1, 300, 5_000, 20_000].into_iter().enumerate() {
            let name = format!("file{number}");
            write(&dir.join(&name), &generated(&name, len));
        }
        write(
            &self.source.join("text"),
            "some text\n".repeat(900).as_bytes(),
        );
        symlink("dir/file1", self.source.join("link")).expect("a new name");
        fs::hard_link(dir.join("file3"), self.source.join("hard")).expect("a new name");
    }

    /// Changes some of them: `round` says how.
    pub(crate) fn change_source(&self, round: usize) {
        let name = format!("new{round}");
        write(&self.source.join(&name), &generated(&name, 6_000));
        let mut content = generated("file4", 20_000);
        content[round * 4_000..][..100].fill(b'x');
        write(&self.source.join("dir/file4"), &content);
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("the scratch directory is writable");
}

/// Gives the lock back, which may fail.
pub(crate) fn close(session: Session) -> Result<(), ArchiveError> {
    Ok(session.repository.close()?)
}

/// Chunks of about 1 KiB.
pub(crate) fn chunker() -> ChunkerParams {
    "9,13,11,63".parse().expect("parameters")
}

/// How the files are archived.
pub(crate) fn create_options(name: &str, source: &Path) -> CreateOptions {
    CreateOptions {
        name: name.into(),
        comment: Vec::new(),
        timestamp: None,
        input: Input::Roots(vec![BytePath::new(source.as_os_str().as_encoded_bytes())]),
        piped: PipedFile {
            name: "stdin".into(),
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            mode: 0o660,
        },
        selection: Selection {
            matcher: PatternMatcher::new([], true),
            exclude_caches: false,
            exclude_if_present: Vec::new(),
            keep_exclude_tags: false,
            exclude_nodump: false,
            one_file_system: false,
            read_special: false,
            never: Vec::new(),
        },
        metadata: Metadata::default(),
        files_changed: FilesChanged::Ctime,
        files_cache: FilesCacheMode::DEFAULT,
        files_cache_suffix: String::new(),
        files_cache_ttl: 20,
        chunker: chunker(),
        sparse: false,
        compression: Compression::default(),
        checkpoints: CheckpointPolicy {
            interval: Duration::ZERO,
            volume: 7_000,
        },
    }
}
