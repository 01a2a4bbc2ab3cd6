//! A whole session of the client with a server that may answer anything.
//!
//! The input is a list of steps: what to do (one byte), how many bytes follow (two, little-endian), and those bytes.
//! Steps that answer wait for a call, so that arbitrary answers come to calls that were really made.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ironborg_format::msgpack::{Value, push_array_len, push_map_len, push_raw};
use ironborg_repository::{CheckOptions, CompactOptions, Repository, RepositoryError};
use ironborg_rpc::client::{Dial, JournalOptions, ReconnectOptions, Wire};
use ironborg_rpc::message::{Fault, Form, FrameBuffer, Open, Reply, Request};
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_types::{ChunkId, Event, Reporter};

/// How long a step that answers waits for a call.
const PATIENCE: Duration = Duration::from_millis(20);

/// Texts for the user are no longer than this, whatever the server sends.
const MESSAGE_LEN_MAX: usize = 8 * 1024 * 1024;

/// What one step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Bytes, whether anything was asked for or not.
    Raw = 0,
    /// A result that is one encoded value.
    Encoded = 1,
    /// A result of bytes.
    Bytes = 2,
    /// An error of that class.
    Fault = 3,
    /// A list of ids, 32 bytes each.
    Ids = 4,
    /// An answer to a call that was not made yet.
    Early = 5,
    /// Bytes on the standard error.
    Log = 6,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Raw,
        Self::Encoded,
        Self::Bytes,
        Self::Fault,
        Self::Ids,
        Self::Early,
        Self::Log,
    ];
}

type Steps = VecDeque<(Step, Vec<u8>)>;

fn steps(mut bytes: &[u8]) -> Steps {
    let mut steps = Steps::new();
    while let Some(([kind, low, high], rest)) = bytes.split_first_chunk::<3>() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, behind) = rest.split_at(len);
        bytes = behind;
        let kind = Step::ALL[usize::from(*kind) % Step::ALL.len()];
        steps.push_back((kind, payload.to_vec()));
    }
    steps
}

/// The calls that were not answered yet.
#[derive(Debug, Default)]
struct Received {
    calls: VecDeque<(Value<'static>, Form)>,
    /// No more will come.
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Received>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the client writes to: calls are understood, or the client is broken.
struct ToServer(Arc<Shared>, FrameBuffer);

impl Write for ToServer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.feed(bytes);
        while let Some(frame) = self.1.next_frame().expect("the client writes messages") {
            let request = Request::decode(frame).expect("the client writes calls");
            assert!(request.call.is_ok(), "with all that belongs to them");
            let call = (request.msgid.into_owned(), request.form);
            self.0.lock().calls.push_back(call);
            self.0.changed.notify_all();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ToServer {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// Where the client reads from.
struct FromServer {
    shared: Arc<Shared>,
    steps: Steps,
    out: Cursor<Vec<u8>>,
}

impl FromServer {
    /// Waits for a call; `None` if there will be none.
    fn next_call(&self) -> Option<(Value<'static>, Form)> {
        let mut received = self.shared.lock();
        loop {
            if let Some(call) = received.calls.pop_front() {
                return Some(call);
            }
            if received.ended {
                return None;
            }
            // An answer that is no whole value leaves its call unanswered, and the client waits for it: the line is
            // cut then, as nobody else is there to do so.
            let (now, timeout) = self
                .shared
                .changed
                .wait_timeout(received, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            received = now;
            if timeout.timed_out() && received.calls.is_empty() {
                return None;
            }
        }
    }

    /// The bytes of the next step; `None` at the end.
    fn next_bytes(&mut self) -> Option<Vec<u8>> {
        let (step, payload) = self.steps.pop_front()?;
        if matches!(step, Step::Raw | Step::Log) {
            return Some(payload);
        }
        let (msgid, form) = self.next_call()?;
        let mut out = Vec::new();
        match step {
            Step::Early => {
                let early = Value::Uint(msgid.as_u64().unwrap_or(0).saturating_add(1));
                Reply::encode_head(form, &early, &mut out);
                push_raw(&mut out, &payload);
            }
            Step::Fault => {
                let texts: Vec<Vec<u8>> = payload.split(|byte| *byte == 0).map(Vec::from).collect();
                let fault = Fault {
                    class: texts[0].clone(),
                    errno: None,
                    args: (texts.len() > 1).then(|| texts[1..].to_vec()),
                    full: texts.clone(),
                    short: texts,
                    trace: payload.len() % 2 == 0,
                    sysinfo: Vec::new(),
                };
                fault.encode(form, &msgid, &mut out);
            }
            _ => {
                Reply::encode_head(form, &msgid, &mut out);
                match step {
                    Step::Bytes => push_raw(&mut out, &payload),
                    Step::Ids => {
                        let ids = payload.chunks(32);
                        push_array_len(&mut out, ids.len());
                        ids.for_each(|id| push_raw(&mut out, id));
                    }
                    _ => out.extend_from_slice(&payload),
                }
            }
        }
        Some(out)
    }
}

impl Read for FromServer {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.out.read(room)?;
            if len > 0 {
                return Ok(len);
            }
            match self.next_bytes() {
                Some(bytes) => self.out = Cursor::new(bytes),
                None => return Ok(0),
            }
        }
    }
}

/// Leads to a server that does as the script says, once.
struct Script(Mutex<Option<Steps>>);

impl Dial for Script {
    fn dial(&self) -> io::Result<Wire> {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let steps = steps.ok_or(io::ErrorKind::ConnectionRefused)?;
        let shared = Arc::new(Shared::default());
        let (log, steps): (Steps, Steps) =
            steps.into_iter().partition(|(step, _)| *step == Step::Log);
        let log: Vec<u8> = log.into_iter().flat_map(|(_, bytes)| bytes).collect();
        Ok(Wire {
            to_server: Box::new(ToServer(Arc::clone(&shared), FrameBuffer::new())),
            from_server: Box::new(FromServer {
                shared,
                steps,
                out: Cursor::default(),
            }),
            log: Box::new(Cursor::new(log)),
            process: None,
        })
    }
}

/// Looks at what the user would be told.
struct Told;

impl Reporter for Told {
    fn report(&self, event: Event<'_>) {
        let len = match &event {
            Event::Log { message, .. }
            | Event::Warning { message, .. }
            | Event::ProgressPercent { message, .. }
            | Event::ProgressMessage { message, .. } => message.len(),
            _ => 0,
        };
        assert!(len <= MESSAGE_LEN_MAX, "the user is told too much");
    }

    fn wants_progress(&self) -> bool {
        true
    }
}

pub(crate) fn rpc_client_session(bytes: &[u8]) {
    let options = RemoteOptions {
        dial: Arc::new(Script(Mutex::new(Some(steps(bytes))))),
        open: Open {
            path: b"/repo".to_vec(),
            create: false,
            lock_wait: Some(1.0),
            lock: true,
            exclusive: Some(true),
            append_only: false,
            make_parent_dirs: false,
        },
        location: "ssh://host/repo".to_owned(),
        upload_rate: 0,
        upload_buffer: 0,
        reporter: Arc::new(Told),
        reconnect: ReconnectOptions::never(),
        journal: JournalOptions::default(),
    };
    let opened = RemoteRepository::open(options);
    let result = opened.and_then(|repository| use_it(Box::new(repository)));
    if let Err(error) = result {
        assert!(error.to_string().len() <= MESSAGE_LEN_MAX, "{error:.1000}");
        let _ = error.kind().row();
    }
}

/// Something of everything; errors of single calls do not keep from the others.
fn use_it(mut repository: Box<dyn Repository>) -> Result<(), RepositoryError> {
    let ids = [ChunkId([1; 32]), ChunkId([2; 32]), ChunkId([3; 32])];
    let mut object = Vec::new();
    let _ = repository.get(&ChunkId([0; 32]), &mut object);
    let _ = repository.load_key();
    let _ = (repository.len(), repository.contains(&ids[0]));
    let _ = (
        repository.list(Some(10), Some(&ids[0])),
        repository.scan(10, None),
    );
    repository.will_need(&ids);
    for id in &ids {
        let _ = repository.get(id, &mut object);
    }
    let nonces = repository.nonce_store();
    let _ = nonces.next_unreserved();
    let _ = nonces.reserve(1 << 20, Some(0));
    for id in &ids {
        let _ = repository.put(id, b"an object");
    }
    let _ = repository.delete_many(&ids);
    let _ = repository.commit();
    let _ = repository.check(&CheckOptions {
        mode: ironborg_repository::CheckMode::Look,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    });
    let _ = repository.save_key(b"a key");
    let _ = repository.commit_compact(CompactOptions {
        threshold: 0.1,
        cleanup_commits: false,
        interrupt: None,
    });
    let _ = repository.rollback();
    let _ = repository.break_lock();
    repository.close()
}

fn step(kind: Step, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("seeds are short");
    [&[kind as u8][..], &len.to_le_bytes(), payload].concat()
}

/// The first two answers: a version and the repository's id.
fn greeting() -> Vec<u8> {
    let mut version = Vec::new();
    push_map_len(&mut version, 1);
    push_raw(&mut version, b"server_version");
    version.extend_from_slice(&[0x94, 1, 4, 5, 0xff]);
    [step(Step::Encoded, &version), step(Step::Bytes, &[9; 32])].concat()
}

pub(crate) fn client_session_seeds() -> Vec<Vec<u8>> {
    let good = |rest: &[Vec<u8>]| [greeting(), rest.concat()].concat();
    let nil = || step(Step::Encoded, &[0xc0]);
    let object = || step(Step::Bytes, b"object");
    let log = br#"{"type": "progress_percent", "operation": 1, "msgid": "repository.check", "finished": false, "message": "x", "current": 1, "total": 4, "info": null}
{"type": "log_message", "time": 1.5, "message": "text", "levelname": "WARNING", "name": "borg.repository"}
$LOG ERROR root Remote: old
something else
"#;
    let whole = vec![
        object(),
        object(),
        step(Step::Encoded, &[3]),
        step(Step::Ids, &[[1; 32], [2; 32], [3; 32]].concat()),
        step(Step::Ids, &[]),
        step(Step::Ids, &[5; 64]),
        step(Step::Ids, &[6; 32]),
        object(),
        object(),
        step(Step::Fault, b"ObjectNotFound\0aa\0/repo"),
        nil(),
        nil(),
        nil(),
        step(Step::Fault, b"StorageQuotaExceeded\x0010 MB\x0011 MB"),
        nil(),
        nil(),
        step(Step::Fault, b"ObjectNotFound"),
        nil(),
        nil(),
        step(Step::Encoded, &[0xc3]),
        nil(),
        nil(),
        nil(),
        nil(),
    ];
    vec![
        good(&whole),
        good(&[step(Step::Log, log), object(), step(Step::Raw, b"rubbish")]),
        good(&[step(Step::Early, b"x"), object()]),
        good(&[step(Step::Raw, &[0xdb, 0xff, 0xff, 0xff, 0xff])]),
        good(&[step(Step::Ids, &[1; 33])]),
        // A server from before 1.1.
        [
            step(Step::Encoded, &[2]),
            step(Step::Bytes, &[9; 32]),
            whole.concat(),
        ]
        .concat(),
        step(Step::Fault, b"PathNotAllowed\0/repo"),
        step(Step::Raw, b"bash: borg: command not found\n"),
    ]
}
