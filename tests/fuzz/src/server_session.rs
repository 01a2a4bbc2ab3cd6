//! A whole session of the server with a client that may send anything.
//!
//! The server is restricted to one directory. Whatever is sent: nothing is made or changed outside of it, no lock
//! stays behind, and what is answered is well-formed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironborg_format::roster::{LockOwner, Roster};
use ironborg_rpc::message::{Call, Form, FrameBuffer, Open, Reply, Version};
use ironborg_rpc::server::{Host, ServeError, ServerOptions, serve};
use ironborg_types::{ChunkId, Event, Reporter};

/// What the server says to whoever leaves without having opened anything.
const FAREWELL: &[u8] = b"Borg 1.4.5: Got connection close before repository was opened.\n";
/// The one directory that may be used, below the one the server is started in.
const ALLOWED: &str = "allowed";

/// A machine with nobody on it.
struct Nobody(PathBuf);

impl Host for Nobody {
    fn base_directory(&self) -> PathBuf {
        self.0.clone()
    }

    fn home(&self, user: Option<&OsStr>) -> Option<PathBuf> {
        (user == Some(OsStr::new("root"))).then(|| self.0.join("root"))
    }

    fn system_information(&self) -> String {
        String::new()
    }

    fn log_as_json(&self) {}
}

/// Listens to nothing.
struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event<'_>) {}
}

/// A directory of this run, in memory where there is such a place, with something outside to be protected.
fn new_directory() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = parent.join(format!("ironborg-fuzz-{}-{number}", std::process::id()));
    fs::create_dir_all(dir.join(ALLOWED)).expect("a writable directory");
    fs::write(dir.join("outside"), b"not to be touched").expect("a writable directory");
    dir
}

/// Fails if a lock is held anywhere below.
fn assert_no_locks(dir: &Path) {
    for entry in fs::read_dir(dir).expect("a readable directory") {
        let entry = entry.expect("a readable directory");
        assert_ne!(entry.file_name(), "lock.exclusive", "a lock stayed");
        if entry.file_name() == "lock.roster" {
            let roster = fs::read(entry.path()).expect("a readable file");
            let empty = Roster::default();
            assert_eq!(Roster::decode(&roster), empty, "a lock stayed");
        }
        if entry.file_type().expect("a readable directory").is_dir() {
            assert_no_locks(&entry.path());
        }
    }
}

/// Removes the directory, whatever happened.
struct Cleared(PathBuf);

impl Drop for Cleared {
    fn drop(&mut self) {
        // Nothing is lost if it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn rpc_server_session(bytes: &[u8]) {
    let dir = new_directory();
    let _cleared = Cleared(dir.clone());
    let options = ServerOptions {
        cwd: dir.clone(),
        restrict_to_paths: vec![PathBuf::from(ALLOWED)],
        restrict_to_repositories: Vec::new(),
        append_only: bytes.len() % 2 == 1,
        storage_quota: None,
        owner: LockOwner {
            host: "fuzz@1".to_owned(),
            pid: u64::from(std::process::id()),
            thread: 0,
        },
        threads: 1,
        interrupt: None,
        reporter: Arc::new(Silent),
    };
    let mut output = Vec::new();
    let ended = serve(bytes, &mut output, &options, &Nobody(dir.clone()));
    assert!(matches!(
        ended,
        Ok(()) | Err(ServeError::UnexpectedFormat | ServeError::Close(_))
    ));
    let replies = output.strip_suffix(FAREWELL).unwrap_or(&output);
    let mut frames = FrameBuffer::new();
    frames.feed(replies);
    while let Some(frame) = frames.next_frame().expect("the server writes messages") {
        // A number that is none is repeated all the same, and then only the client knows what it is.
        let _ = Reply::decode(frame);
    }
    assert!(!frames.is_inside(), "the last reply is whole");

    let outside = fs::read(dir.join("outside")).expect("it stayed");
    assert_eq!(outside, b"not to be touched");
    let names = fs::read_dir(&dir).expect("a readable directory").count();
    assert!(names <= 2, "something was made outside");
    assert_no_locks(&dir);
}

fn open(path: &str, create: bool) -> Call<'static> {
    Call::Open(Open {
        path: path.as_bytes().to_vec(),
        create,
        lock_wait: Some(0.0),
        lock: true,
        exclusive: Some(true),
        append_only: false,
        make_parent_dirs: true,
    })
}

fn snapshot(path: &str) -> Call<'static> {
    Call::OpenSnapshot {
        path: path.as_bytes().to_vec(),
    }
}

/// Sessions with one repository, with two, and with paths that are not allowed.
pub(crate) fn server_session_seeds() -> Vec<Vec<u8>> {
    let (first, second) = (ChunkId([7; 32]), ChunkId([8; 32]));
    let negotiate = Call::Negotiate {
        client: Some(Version::own()),
        snapshots: true,
    };
    let commit = |compact| Call::Commit {
        save_space: false,
        compact,
        threshold: 0.1,
        cleanup_commits: false,
    };
    let put = |id| Call::Put {
        id,
        data: b"an object",
    };
    let whole = vec![
        negotiate.clone(),
        open("allowed/a", true),
        put(first),
        put(second),
        Call::Get { id: first },
        Call::Get { id: second },
        commit(false),
        Call::Delete { id: first },
        Call::List {
            limit: Some(10),
            marker: None,
        },
        Call::Scan {
            limit: None,
            marker: Some(second),
        },
        commit(true),
        Call::SaveKey { keydata: b"a key" },
        Call::LoadKey,
        Call::CommitNonceReservation {
            next_unreserved: 9,
            start_nonce: None,
        },
        Call::GetFreeNonce,
        Call::Check {
            repair: true,
            save_space: false,
            max_duration: 0,
        },
        Call::Len,
        put(first),
        Call::Rollback,
        snapshot("allowed/a"),
        Call::Get { id: second },
        Call::Get {
            id: ChunkId::MANIFEST,
        },
        Call::Len,
        put(first),
        commit(true),
    ];
    let two = vec![
        negotiate.clone(),
        open("allowed/a", true),
        put(first),
        open("allowed/b/c", true),
        open("allowed/a", false),
        Call::BreakLock,
        put(second),
        Call::Destroy,
        Call::Len,
    ];
    let outside = vec![
        negotiate,
        open("outside", false),
        open("allowed/../x", true),
        open("/~root/x", true),
        open("~/x", true),
        snapshot("outside"),
        Call::Get { id: first },
    ];
    let mut seeds = Vec::new();
    for (calls, form) in [
        (&whole, Form::Named),
        (&whole, Form::Positional),
        (&two, Form::Named),
        (&outside, Form::Named),
    ] {
        let mut session = Vec::new();
        for (call, msgid) in calls.iter().zip(1..) {
            call.encode(form, msgid, &Version::own(), &mut session);
        }
        seeds.push(session);
    }
    seeds
}
