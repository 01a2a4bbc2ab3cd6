//! Everything that can be asked of a repository without changing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use ironborg_archive::diff::{DiffOptions, Finding, diff, same_chunker_params};
use ironborg_archive::extract::{Destination, ExtractOptions, extract};
use ironborg_archive::info::describe;
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::references::ReferenceSums;
use ironborg_archive::statistics::all_archives;
use ironborg_archive::tar::{ExportOptions, TarFormat, export};
use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_format::item::Item;
use ironborg_repository::LockMode;
use ironborg_source::PatternMatcher;
use ironborg_storage::MemoryStorage;
use ironborg_types::ChunkId;
use sha2::{Digest, Sha256};

use crate::laboratory::Laboratory;

/// One answer: what it says in short, or why there is none.
pub(crate) type Answer = Result<String, String>;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thorough {
    /// What is in the archives.
    Contents,
    /// All that is cheap.
    Most,
    /// Figures and extraction by several threads too.
    All,
}

/// Everything a repository answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// By what was asked; where the repository does not open, there is only that.
    pub(crate) answers: BTreeMap<String, Answer>,
    /// The archives it lists.
    pub(crate) archives: Vec<String>,
}

impl Reading {
    /// Opens the repository and asks it everything `thorough` says.
    pub(crate) fn of(laboratory: &Laboratory, storage: &MemoryStorage, thorough: Thorough) -> Self {
        let mut reading = Self::default();
        match laboratory.open(storage, LockMode::Shared) {
            Ok(session) => reading.ask_all(&session, thorough),
            Err(error) => reading.note("open", Err(error)),
        }
        reading
    }

    fn note(&mut self, what: &str, answer: Result<String, ArchiveError>) {
        let answer = answer.map_err(|error| format!("{:?}: {error}", error.kind()));
        self.answers.insert(what.to_owned(), answer);
    }

    fn ask_all(&mut self, session: &Session, thorough: Thorough) {
        self.note("list", Ok(format!("{:?}", session.manifest.archives)));
        let mut archives = Vec::new();
        for (name, entry) in &session.manifest.archives {
            let text = String::from_utf8_lossy(name).into_owned();
            self.archives.push(text.clone());
            match session.load_archive_entry(name, entry) {
                Ok(archive) => {
                    self.ask_archive(session, &text, &archive, thorough);
                    archives.push(archive);
                }
                Err(error) => self.note(&format!("{text}: metadata"), Err(error)),
            }
        }
        if thorough == Thorough::Contents {
            return;
        }
        if let [old, new] = archives.as_slice() {
            self.note("diff", differences(session, old, new));
        }
        if thorough == Thorough::Most {
            return;
        }
        let ids: Vec<_> = archives.iter().map(|archive| archive.id).collect();
        let info = ReferenceSums::load(session, &ids).and_then(|references| {
            let mut text = format!("{:?}", all_archives(session, PartFiles::Skip)?);
            for archive in &archives {
                let report = describe(session, archive, &references, PartFiles::Skip)?;
                write!(text, "{report:?}").expect("a string takes everything");
            }
            Ok(text)
        });
        self.note("info", info);
    }

    fn ask_archive(
        &mut self,
        session: &Session,
        name: &str,
        archive: &Archive,
        thorough: Thorough,
    ) {
        let mut note = |what: &str, answer| self.note(&format!("{name}: {what}"), answer);
        note("metadata", Ok(format!("{:?}", archive.metadata)));
        note("items", items(session, archive));
        let mut content = Hashed::default();
        let streamed = extract(
            session,
            archive,
            Destination::Stream(&mut content),
            everything(),
        );
        note("content", streamed.map(|_| content.hex()));
        if thorough == Thorough::Contents {
            return;
        }
        let mut tarball = Hashed::default();
        let options = ExportOptions {
            matcher: PatternMatcher::new([], true),
            strip_components: 0,
            parts: PartFiles::Skip,
            list: false,
            format: TarFormat::Pax,
        };
        let exported = export(session, archive, &mut tarball, options);
        note("tar", exported.map(|()| tarball.hex()));
        if thorough == Thorough::All {
            let dry = extract(session, archive, Destination::Nowhere, everything());
            note("extract", dry.map(|_| String::new()));
        }
    }

    /// Whether every question was answered.
    pub(crate) fn is_whole(&self) -> bool {
        self.answers.values().all(Result::is_ok)
    }

    /// Whether this archive is there and all of it can be read.
    pub(crate) fn has_whole(&self, archive: &str) -> bool {
        let prefix = format!("{archive}: ");
        let mut answers = self.of_archive(&prefix).peekable();
        answers.peek().is_some() && answers.all(|(_, answer)| answer.is_ok())
    }

    /// What is in an archive: items and content, whatever it is called and however it is stored.
    pub(crate) fn contents(&self, archive: &str) -> [Option<&Answer>; 2] {
        ["items", "content"].map(|what| self.answers.get(&format!("{archive}: {what}")))
    }

    fn of_archive<'r>(&'r self, prefix: &'r str) -> impl Iterator<Item = (&'r String, &'r Answer)> {
        let answers = self.answers.iter();
        answers.filter(move |(what, _)| what.starts_with(prefix))
    }
}

fn everything() -> ExtractOptions {
    ExtractOptions {
        matcher: PatternMatcher::new([], true),
        strip_components: 0,
        parts: PartFiles::Skip,
        list: false,
    }
}

fn items(session: &Session, archive: &Archive) -> Result<String, ArchiveError> {
    let mut hash = Hashed::default();
    let mut encoded = Vec::new();
    with_items(session, archive, PartFiles::Skip, |reader| {
        let mut item = Item::default();
        while reader.next_into(&mut item)? {
            // How long the stored forms are is no part of what is in them.
            for chunk in item.chunks.iter_mut().flatten() {
                chunk.csize = 0;
            }
            encoded.clear();
            item.encode(&mut encoded);
            hash.0.update(&encoded);
        }
        Ok::<_, ArchiveError>(())
    })?;
    Ok(hash.hex())
}

fn differences(session: &Session, old: &Archive, new: &Archive) -> Result<String, ArchiveError> {
    let matcher = PatternMatcher::new([], true);
    let options = DiffOptions {
        matcher: &matcher,
        parts: PartFiles::Skip,
        same_chunker_params: same_chunker_params(old, new).unwrap_or(false),
        content_only: false,
    };
    let mut text = String::new();
    diff(session, old, new, options, |finding| {
        if let Finding::Difference(difference) = finding {
            let (path, changes) = (difference.path, difference.changes);
            write!(text, "{path:?} {changes:?}; ").expect("a string takes everything");
        }
        Ok::<_, ArchiveError>(())
    })?;
    Ok(text)
}

/// What was written, in short.
#[derive(Default)]
struct Hashed(Sha256);

impl Hashed {
    fn hex(self) -> String {
        ChunkId(self.0.finalize().into()).to_string()
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
