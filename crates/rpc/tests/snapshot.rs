//! Reading from a server without a lock: what is committed, and nothing else.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ironborg_repository::{
    CheckMode, CheckOptions, CompactOptions, CreateOptions, LocalRepository, LockMode, OpenOptions,
    Repository, RepositoryError, process_identity,
};
use ironborg_rpc::client::{Dial, JournalOptions, ReconnectOptions, Wire};
use ironborg_rpc::message::Open;
use ironborg_rpc::server::{Host, ServerOptions, serve};
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_types::{ChunkId, NullReporter};

struct Here;

impl Host for Here {
    fn base_directory(&self) -> PathBuf {
        PathBuf::from("/nowhere")
    }

    fn home(&self, _: Option<&OsStr>) -> Option<PathBuf> {
        None
    }

    fn system_information(&self) -> String {
        String::new()
    }

    fn log_as_json(&self) {}
}

/// Serves on a thread.
struct InProcess;

impl Dial for InProcess {
    fn dial(&self) -> io::Result<Wire> {
        let (to_server, input) = UnixStream::pair()?;
        let (from_server, output) = UnixStream::pair()?;
        let (log, _) = UnixStream::pair()?;
        thread::spawn(move || {
            let options = ServerOptions {
                cwd: PathBuf::from("/"),
                restrict_to_paths: Vec::new(),
                restrict_to_repositories: Vec::new(),
                append_only: false,
                storage_quota: None,
                owner: process_identity("server@1"),
                threads: 1,
                interrupt: None,
                reporter: Arc::new(NullReporter),
            };
            // A client that goes away is no failure.
            let _ = serve(input, output, &options, &Here);
        });
        Ok(Wire {
            to_server: Box::new(to_server),
            from_server: Box::new(from_server),
            log: Box::new(log),
            process: None,
        })
    }
}

fn writing() -> OpenOptions {
    OpenOptions {
        lock: LockMode::Exclusive,
        lock_wait: Some(Duration::ZERO),
        owner: process_identity("writer@1"),
        append_only: false,
        storage_quota: None,
        reporter: Arc::new(NullReporter),
    }
}

fn open_remote(path: &Path) -> RemoteRepository {
    let options = RemoteOptions {
        dial: Arc::new(InProcess),
        open: Open {
            path: path.to_str().unwrap().into(),
            create: false,
            lock_wait: Some(0.0),
            lock: true,
            exclusive: Some(false),
            append_only: false,
            make_parent_dirs: false,
        },
        location: "host:repo".to_owned(),
        upload_rate: 0,
        upload_buffer: 0,
        reporter: Arc::new(NullReporter),
        reconnect: ReconnectOptions::never(),
        journal: JournalOptions::default(),
    };
    RemoteRepository::open_snapshot(options).unwrap()
}

fn id(n: u8) -> ChunkId {
    ChunkId([n; 32])
}

fn files(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_writer_goes_on_while_a_client_reads_from_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("repo");
    let create = CreateOptions {
        append_only: false,
        storage_quota: None,
        make_parent_dirs: false,
    };
    let mut writer = LocalRepository::create(&path, &create, writing()).unwrap();
    for n in 1..6 {
        writer.put(&id(n), &[n; 100]).unwrap();
    }
    writer.put(&ChunkId::MANIFEST, b"one").unwrap();
    writer.commit().unwrap();
    writer.close().unwrap();
    let before = files(&path);

    let mut reader = open_remote(&path);
    let mut object = Vec::new();
    reader.get(&ChunkId::MANIFEST, &mut object).unwrap();
    assert!(!reader.holds_lock());
    assert!(!reader.has_moved_on().unwrap());
    assert_eq!(files(&path), before, "there is no lock");
    assert_eq!(reader.len().unwrap(), 6);

    // Who writes has the lock at once, and takes away what the reader has seen.
    let mut writer = LocalRepository::open(&path, writing()).unwrap();
    writer.delete(&id(1)).unwrap();
    writer.put(&id(9), b"new").unwrap();
    writer.put(&ChunkId::MANIFEST, b"two").unwrap();
    assert!(!reader.has_moved_on().unwrap());
    let options = CompactOptions {
        threshold: 0.0,
        cleanup_commits: false,
        interrupt: None,
    };
    writer.commit_compact(options).unwrap();
    assert!(reader.has_moved_on().unwrap());
    for n in 2..6 {
        reader.get(&id(n), &mut object).unwrap();
        assert_eq!(object, [n; 100]);
    }
    let gone = reader.get(&id(1), &mut object);
    assert!(matches!(gone, Err(RepositoryError::ObjectNotFound { .. })));
    reader.get(&id(9), &mut object).unwrap();
    assert_eq!(object, b"new");
    reader.get(&ChunkId::MANIFEST, &mut object).unwrap();
    assert_eq!(object, b"two");
    assert!(!reader.has_moved_on().unwrap());

    writer.close().unwrap();
    assert_writes_nothing(&mut reader, &path);

    // After a rest there is no connection, and that is what is said.
    reader.rest();
    let error = reader.get(&id(2), &mut object).unwrap_err();
    assert_eq!(error.kind(), ironborg_types::ErrorKind::ConnectionClosed);
    let reader = open_remote(&path);
    reader.get(&id(2), &mut object).unwrap();
    assert_eq!(object, [2; 100]);
}

/// Whatever a client asks for.
#[track_caller]
fn assert_writes_nothing(reader: &mut RemoteRepository, path: &Path) {
    let before = files(path);
    let _ = reader.put(&id(7), b"x");
    assert!(reader.commit().is_err());
    let check = CheckOptions {
        mode: CheckMode::Repair,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    assert!(reader.check(&check).is_err());
    assert!(reader.save_key(b"key").is_err());
    assert!(reader.break_lock().is_err() && reader.destroy().is_err());
    assert_eq!(files(path), before);
}
