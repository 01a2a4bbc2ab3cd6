//! What `create` is asked to do. The command line fills it in; defaults are the command line's business.

use std::ffi::OsString;
use std::time::Duration;

use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_object::Compression;
use ironborg_source::{AttributeOptions, PatternMatcher};
use ironborg_types::{BytePath, Timestamp};

/// Where an archive's files come from.
#[derive(Debug)]
pub enum Input {
    /// Roots that are walked; `-` is standard input.
    Roots(Vec<BytePath>),
    /// Paths read from standard input, each archived by itself.
    PathsFromStdin {
        /// What ends a path.
        delimiter: Vec<u8>,
    },
    /// Paths a command prints, each archived by itself.
    PathsFromCommand {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// What ends a path.
        delimiter: Vec<u8>,
    },
    /// The output of a command becomes the content of one file.
    ContentFromCommand {
        /// The command and its arguments.
        command: Vec<OsString>,
    },
}

/// How the file made of standard input or of a command's output is called.
#[derive(Debug, Clone)]
pub struct PipedFile {
    /// Its path, taken as it is.
    pub name: BytePath,
    /// Owner; must exist.
    pub user: Vec<u8>,
    /// Group; must exist.
    pub group: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Which timestamp tells that a file changed while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesChanged {
    /// The time of the last change of anything.
    Ctime,
    /// The time of the last change of content.
    Mtime,
    /// None: it is not looked at.
    Disabled,
}

/// Which files are archived and which are not.
#[derive(Debug)]
pub struct Selection {
    /// Patterns; falls back to "included".
    pub matcher: PatternMatcher,
    /// Skip directories with a valid `CACHEDIR.TAG`.
    pub exclude_caches: bool,
    /// Skip directories with an entry of one of these names.
    pub exclude_if_present: Vec<BytePath>,
    /// Archive the skipped directory itself and its tags.
    pub keep_exclude_tags: bool,
    /// Skip what has the nodump flag.
    pub exclude_nodump: bool,
    /// Do not enter other file systems.
    pub one_file_system: bool,
    /// Archive the content of devices and fifos.
    pub read_special: bool,
    /// Paths that are never archived: the cache and the repository themselves.
    pub never: Vec<BytePath>,
}

/// Which metadata is archived.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metadata {
    /// No user and group names.
    pub numeric_ids: bool,
    /// With access times.
    pub atime: bool,
    /// Without change times.
    pub noctime: bool,
    /// Without creation times.
    pub nobirthtime: bool,
    /// Without flags.
    pub noflags: bool,
    /// Without ACLs.
    pub noacls: bool,
    /// Without extended attributes.
    pub noxattrs: bool,
}

impl Metadata {
    /// What is read of a file beside its status.
    pub(super) fn attributes(self) -> AttributeOptions {
        AttributeOptions {
            flags: !self.noflags,
            xattrs: !self.noxattrs,
            acls: !self.noacls,
            numeric_ids: self.numeric_ids,
        }
    }
}

/// When what has been archived so far is made durable.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointPolicy {
    /// After so much time; zero: never.
    pub interval: Duration,
    /// After so many bytes of new objects; zero: never.
    pub volume: u64,
}

/// Everything `create` is asked to do.
#[derive(Debug)]
pub struct CreateOptions {
    /// Name of the archive.
    pub name: BytePath,
    /// Comment; empty for none.
    pub comment: Vec<u8>,
    /// The archive's time, if not now.
    pub timestamp: Option<Timestamp>,
    /// Where files come from.
    pub input: Input,
    /// How piped data is called.
    pub piped: PipedFile,
    /// What is left out.
    pub selection: Selection,
    /// What is recorded of each file.
    pub metadata: Metadata,
    /// How a change during reading shows.
    pub files_changed: FilesChanged,
    /// What the files cache compares.
    pub files_cache: FilesCacheMode,
    /// `BORG_FILES_CACHE_SUFFIX`; empty for none.
    pub files_cache_suffix: String,
    /// Runs a files cache entry survives without being seen.
    pub files_cache_ttl: u32,
    /// How content is cut.
    pub chunker: ChunkerParams,
    /// Look for holes (fixed chunker only).
    pub sparse: bool,
    /// How chunks are compressed.
    pub compression: Compression,
    /// When to write checkpoints.
    pub checkpoints: CheckpointPolicy,
}

impl CreateOptions {
    /// Options of an archive that is not made of files of this system: nothing is walked or remembered.
    pub fn without_files(
        name: BytePath,
        chunker: ChunkerParams,
        compression: Compression,
        checkpoints: CheckpointPolicy,
    ) -> Self {
        Self {
            name,
            comment: Vec::new(),
            timestamp: None,
            input: Input::Roots(Vec::new()),
            piped: PipedFile {
                name: BytePath::default(),
                user: Vec::new(),
                group: Vec::new(),
                mode: 0,
            },
            selection: Selection {
                matcher: PatternMatcher::new(Vec::new(), true),
                exclude_caches: false,
                exclude_if_present: Vec::new(),
                keep_exclude_tags: false,
                exclude_nodump: false,
                one_file_system: false,
                read_special: false,
                never: Vec::new(),
            },
            metadata: Metadata::default(),
            files_changed: FilesChanged::Disabled,
            files_cache: FilesCacheMode::DISABLED,
            files_cache_suffix: String::new(),
            files_cache_ttl: 0,
            chunker,
            sparse: false,
            compression,
            checkpoints,
        }
    }
}
