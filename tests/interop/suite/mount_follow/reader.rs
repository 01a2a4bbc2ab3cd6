//! Reads a repository in this process, as a mount does, and knows what has to be in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use ironborg_archive::{
    Archive, ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource,
    Reopening, Session, Workarounds,
};
use ironborg_crypto::Passphrase;
use ironborg_format::item::ItemDecoder;
use ironborg_mount::MountError;
use ironborg_mount::follow::{ChunkReader, Follower, Opens, is_overtaken, open_settled};
use ironborg_repository::{
    LockMode, LockOptions, OpenOptions, Repository, RepositoryError, SnapshotRepository,
    process_identity,
};
use ironborg_rpc::client::{JournalOptions, ReconnectOptions, ServerCommand};
use ironborg_rpc::message::Open;
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_testkit::{Home, Program, generated};
use ironborg_types::{Answer, Interrupt, NullReporter, Question, Questioner};

use crate::scene::{Scene, text};

static NEVER: Interrupt = Interrupt::new();
/// Files of an archive.
const FILES: usize = 5;
/// Where segments are so small that every object of some size has one of its own.
pub(super) const SEGMENT_SIZE: &str = "60000";

/// What is in a file of an archive: some of it is only there, some in every archive.
fn content(archive: &str, file: usize) -> Vec<u8> {
    let mut content = generated(&format!("{archive} {file}"), 20_000 + 7_000 * file);
    content.extend(generated(&format!("all {file}"), 30_000));
    content
}

/// Writes what an archive is to be made of below `tree`.
pub(super) fn write_tree(scene: &Scene, tree: &str, archive: &str) {
    let dir = scene.scratch.dir(tree);
    for file in 0..FILES {
        let path = dir.join(format!("file-{file}"));
        std::fs::write(path, content(archive, file)).unwrap();
    }
}

struct Given(Vec<u8>);

impl PassphraseSource for Given {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(Some(Passphrase::new(self.0.clone())))
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        unreachable!("one is given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        unreachable!("there is a key")
    }
}

/// Nothing is to be asked.
struct Nobody;

impl Questioner for Nobody {
    fn ask(&self, question: &Question<'_>) -> Answer {
        panic!("asked: {}", question.message)
    }
}

/// The way to a repository.
#[derive(Clone)]
pub(super) enum Way {
    /// Its files are here.
    Files,
    /// A server that is started for it.
    Server(Program),
}

/// Opens the repository of a scene.
struct Again {
    way: Way,
    home: Home,
    repo: String,
    reopening: Option<Reopening>,
}

impl Again {
    fn repository(&self) -> Result<Box<dyn Repository>, RepositoryError> {
        let Way::Server(program) = self.way else {
            let options = OpenOptions {
                lock: LockMode::None,
                lock_wait: None,
                owner: process_identity("reader@1"),
                append_only: false,
                storage_quota: None,
                reporter: Arc::new(NullReporter),
            };
            let opened = SnapshotRepository::open(self.repo.as_ref(), &options)?;
            return Ok(Box::new(opened));
        };
        let environment = self.home.environment().into_iter();
        let command = ServerCommand {
            words: vec![program.path().into(), "serve".into()],
            environment: environment
                .map(|(name, value)| (name, Some(value)))
                .collect(),
            directory: None,
        };
        let opened = RemoteRepository::open_snapshot(RemoteOptions {
            dial: Arc::new(command),
            open: Open {
                path: self.repo.as_bytes().to_vec(),
                create: false,
                lock_wait: Some(1.0),
                lock: true,
                exclusive: Some(false),
                append_only: false,
                make_parent_dirs: false,
            },
            location: self.repo.clone(),
            upload_rate: 0,
            upload_buffer: 0,
            reporter: Arc::new(NullReporter),
            reconnect: ReconnectOptions::never(),
            journal: JournalOptions::default(),
        })?;
        Ok(Box::new(opened))
    }

    fn passphrase(&self) -> Vec<u8> {
        let environment = self.home.environment();
        environment[OsStr::new("BORG_PASSPHRASE")]
            .as_bytes()
            .to_vec()
    }

    /// A machine of its own.
    fn client(&self) -> Client {
        let base = self.home.base().with_file_name("reader");
        Client {
            directories: ClientDirectories {
                keys: base.join("keys"),
                security: base.join("security"),
                cache: base.join("cache"),
                key_file: None,
            },
            reporter: Arc::new(NullReporter),
            questioner: Arc::new(Nobody),
            passphrases: Arc::new(Given(self.passphrase())),
            interrupt: &NEVER,
            unlocked: None,
            workarounds: Workarounds::default(),
            identity: Identity::default(),
            threads: 2,
            location: self.repo.clone(),
            lock: LockOptions {
                exclusive: true,
                wait: Some(Duration::ZERO),
                owner: process_identity("reader@1"),
            },
            subprocess_environment: Vec::new(),
            memory: ironborg_types::MemoryLimit::NONE,
            key_file_stem: "reader".into(),
        }
    }
}

impl Opens for Again {
    fn open(&self) -> Result<Session, ArchiveError> {
        let repository = self.repository()?;
        match &self.reopening {
            Some(reopening) => reopening.open(repository, &[]),
            None => Session::open(self.client(), repository, &[]),
        }
    }
}

/// Follows the repository of a scene.
pub(super) fn follow(scene: &Scene, way: &Way) -> Follower {
    let mut again = Again {
        way: way.clone(),
        home: scene.home.clone(),
        repo: text(&scene.repo).to_owned(),
        reopening: None,
    };
    let session = open_settled(|| again.open(), is_overtaken).unwrap();
    again.reopening = Some(session.reopening());
    Follower::new(session, Box::new(again))
}

/// Reads everything in an archive and compares it with what was stored; says how many chunks that were.
pub(super) fn read_archive(follower: &Follower, archive: &Archive) -> Result<u64, MountError> {
    let name = archive.name.to_string();
    let mut reader = ChunkReader::default();
    let (mut chunk, mut count, mut files) = (Vec::new(), 0, 0);
    let mut decoder = ItemDecoder::new();
    for id in &archive.metadata.items {
        follower.read(&mut reader, id, &mut chunk)?;
        decoder.push(&chunk);
        count += 1;
        while let Some(item) = decoder.next_view().expect("items decode") {
            let path = String::from_utf8(item.path.to_vec()).unwrap();
            let Some((_, number)) = path.rsplit_once("file-") else {
                continue;
            };
            let ids: Vec<_> = item.to_item().chunks.expect("files have chunks");
            let mut found = Vec::new();
            for entry in ids {
                follower.read(&mut reader, &entry.id, &mut chunk)?;
                found.extend_from_slice(&chunk);
                count += 1;
            }
            let expected = content(&name, number.parse().expect("a number"));
            assert!(found == expected, "{name}: {path} is not what was stored");
            files += 1;
        }
    }
    assert_eq!(files, FILES, "files of {name}");
    Ok(count)
}

/// Loads the archive of a name, if it is there now.
pub(super) fn find(follower: &Follower, name: &str) -> Result<Archive, MountError> {
    follower.following(|session| Ok(session.load_archive(name.as_bytes())?))
}
