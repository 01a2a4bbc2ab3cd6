//! A server in memory for tests: as forgetful as a real one, behind lines that break where they are told to.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ironborg_format::msgpack::{
    Value, push_array_len, push_map_len, push_nil, push_raw, push_uint,
};
use ironborg_types::ChunkId;

use crate::client::{Dial, Wire};
use crate::message::{Call, Fault, Form, FrameBuffer, Reply, Request, Version};

pub(super) const ID: [u8; 32] = [0xab; 32];

pub(super) type Objects = BTreeMap<ChunkId, Vec<u8>>;

/// Where a line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// After so many bytes to the server.
    ToServer(usize),
    /// After so many bytes to the client.
    ToClient(usize),
    /// Before the call of this number is done.
    BeforeCall(usize),
    /// When it is done, before its reply.
    AfterCall(usize),
    /// Before the first call of a method is done.
    Before(&'static str),
    /// When it is done, before its reply.
    After(&'static str),
    /// There is no line.
    Refused,
}

/// What outlives connections.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) objects: Objects,
    pub(super) nonce: Option<u64>,
    pub(super) commits: usize,
    pub(super) dials: usize,
    /// Bytes that went to the servers, and came from them.
    pub(super) traffic: (usize, usize),
    /// How many calls were answered.
    pub(super) calls: usize,
    /// How often opening finds the lock taken.
    pub(super) locked_for: usize,
    /// What somebody else does between the first connection and the second.
    pub(super) meanwhile: Option<fn(&mut Objects)>,
    has_server: bool,
}

/// Dials servers of one disk.
pub(super) struct ModelServer {
    pub(super) disk: Arc<Mutex<Disk>>,
    cuts: Box<dyn Fn(usize) -> Option<Cut> + Send + Sync>,
}

impl ModelServer {
    /// `cuts` says for each connection, counted from zero, where it breaks.
    pub(super) fn new(
        objects: Objects,
        cuts: impl Fn(usize) -> Option<Cut> + Send + Sync + 'static,
    ) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                objects,
                ..Disk::default()
            })),
            cuts: Box::new(cuts),
        }
    }

    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dial for ModelServer {
    fn dial(&self) -> io::Result<Wire> {
        let (to_server, from_client) = UnixStream::pair()?;
        let (from_server, to_client) = UnixStream::pair()?;
        let (log, _) = UnixStream::pair()?;
        let cut = {
            let mut disk = self.disk();
            disk.dials += 1;
            if disk.dials == 2
                && let Some(meanwhile) = disk.meanwhile.take()
            {
                meanwhile(&mut disk.objects);
            }
            (self.cuts)(disk.dials - 1)
        };
        if cut == Some(Cut::Refused) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let server = Server {
            disk: Arc::clone(&self.disk),
            cut,
            transaction: None,
            is_open: false,
            calls: 0,
            sent: 0,
        };
        thread::spawn(move || server.serve(from_client, to_client));
        Ok(Wire {
            to_server: Box::new(to_server),
            from_server: Box::new(from_server),
            log: Box::new(log),
            process: None,
        })
    }
}

struct Server {
    disk: Arc<Mutex<Disk>>,
    cut: Option<Cut>,
    transaction: Option<Objects>,
    is_open: bool,
    calls: usize,
    sent: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_open {
            lock(&self.disk).has_server = false;
        }
    }
}

impl Server {
    /// Answers until the line breaks.
    fn serve(mut self, mut from_client: UnixStream, mut to_client: UnixStream) {
        let mut frames = FrameBuffer::new();
        let mut received = 0;
        loop {
            let allowed = match self.cut {
                Some(Cut::ToServer(allowed)) => allowed - received,
                _ => usize::MAX,
            };
            let room = frames.room();
            let room_len = room.len().min(allowed);
            let len = match from_client.read(&mut room[..room_len]) {
                Ok(0) | Err(_) => return,
                Ok(len) => len,
            };
            frames.received(len);
            received += len;
            lock(&self.disk).traffic.0 += len;
            while let Ok(Some(frame)) = frames.next_frame() {
                let frame = frame.to_vec();
                let Some(reply) = self.answer(&frame) else {
                    return;
                };
                let allowed = match self.cut {
                    Some(Cut::ToClient(allowed)) => (allowed - self.sent).min(reply.len()),
                    _ => reply.len(),
                };
                self.sent += allowed;
                let sent = to_client.write_all(&reply[..allowed]);
                lock(&self.disk).traffic.1 += allowed;
                if sent.is_err() || allowed < reply.len() {
                    return;
                }
            }
        }
    }

    /// The reply to a call; `None` if the line breaks instead.
    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let request = Request::decode(frame).expect("the client sends calls");
        let call = request.call.expect("and good ones");
        let (number, method) = (self.calls, call.method());
        self.calls += 1;
        let is = |moment: fn(usize) -> Cut, first: fn(&'static str) -> Cut| {
            self.cut == Some(moment(number)) || self.cut == Some(first(method))
        };
        let (before, after) = (
            is(Cut::BeforeCall, Cut::Before),
            is(Cut::AfterCall, Cut::After),
        );
        if before {
            return None;
        }
        let mut reply = Vec::new();
        Reply::encode_head(Form::Named, &request.msgid, &mut reply);
        match self.perform(call) {
            Ok(result) => reply.extend(result),
            Err(class) => {
                let fault = Fault {
                    class: class.to_vec(),
                    args: Some(vec![b"x".to_vec(); 2]),
                    ..Fault::default()
                };
                reply.clear();
                fault.encode(Form::Named, &request.msgid, &mut reply);
            }
        }
        lock(&self.disk).calls += 1;
        (!after).then_some(reply)
    }

    /// The first words of a client; `None` if the call is none of them.
    fn greet(
        &mut self,
        call: &Call<'_>,
        disk: &mut Disk,
    ) -> Option<Result<Vec<u8>, &'static [u8]>> {
        let mut out = Vec::new();
        match call {
            Call::Negotiate { .. } => {
                push_map_len(&mut out, 1);
                push_raw(&mut out, b"server_version");
                Version::own().encode(&mut out);
            }
            Call::Open(open) => {
                assert!(!open.create, "what exists is not made again");
                if disk.has_server || disk.locked_for > 0 {
                    disk.locked_for = disk.locked_for.saturating_sub(1);
                    return Some(Err(b"LockTimeout"));
                }
                disk.has_server = true;
                self.is_open = true;
                push_raw(&mut out, &ID);
            }
            _ => return None,
        }
        Some(Ok(out))
    }

    fn perform(&mut self, call: Call<'_>) -> Result<Vec<u8>, &'static [u8]> {
        let mut out = Vec::new();
        let disk = Arc::clone(&self.disk);
        let mut disk = lock(&disk);
        if let Some(result) = self.greet(&call, &mut disk) {
            return result;
        }
        assert!(self.is_open, "{} before open", call.method());
        match call {
            Call::Get { id } => {
                let objects = self.transaction.as_ref().unwrap_or(&disk.objects);
                push_raw(&mut out, objects.get(&id).ok_or(&b"ObjectNotFound"[..])?);
            }
            Call::Put { id, data } => {
                if data == b"refused" {
                    return Err(b"StorageQuotaExceeded");
                }
                let objects = self.transaction.get_or_insert_with(|| disk.objects.clone());
                objects.insert(id, data.to_vec());
                push_nil(&mut out);
            }
            Call::Delete { id } => {
                let objects = self.transaction.get_or_insert_with(|| disk.objects.clone());
                objects.remove(&id).ok_or(&b"ObjectNotFound"[..])?;
                push_nil(&mut out);
            }
            Call::Commit { .. } => {
                if let Some(objects) = self.transaction.take() {
                    disk.objects = objects;
                }
                disk.commits += 1;
                push_nil(&mut out);
            }
            Call::Rollback => {
                self.transaction = None;
                push_nil(&mut out);
            }
            Call::List { marker, .. } => {
                let objects = self.transaction.as_ref().unwrap_or(&disk.objects);
                let behind = |id: &&ChunkId| marker.is_none_or(|marker| **id > marker);
                let ids: Vec<_> = objects.keys().filter(behind).collect();
                push_array_len(&mut out, ids.len());
                for id in ids {
                    push_raw(&mut out, id.as_bytes());
                }
            }
            Call::GetFreeNonce => match disk.nonce {
                Some(nonce) => push_uint(&mut out, nonce),
                None => push_nil(&mut out),
            },
            Call::CommitNonceReservation {
                next_unreserved,
                start_nonce,
            } => {
                if start_nonce != disk.nonce {
                    return Err(b"Exception");
                }
                disk.nonce = Some(next_unreserved);
                push_nil(&mut out);
            }
            other => panic!("{} is not needed here", other.method()),
        }
        Ok(out)
    }
}

/// A reply is for a number.
#[test]
fn the_model_answers_calls() {
    let mut frame = Vec::new();
    let call = Call::Negotiate {
        client: None,
        snapshots: false,
    };
    call.encode(Form::Named, 7, &Version::own(), &mut frame);
    let mut server = Server {
        disk: Arc::default(),
        cut: None,
        transaction: None,
        is_open: false,
        calls: 0,
        sent: 0,
    };
    let reply = server.answer(&frame).unwrap();
    let reply = Reply::decode(&reply).unwrap();
    assert_eq!(reply.msgid, 7);
    let value = reply.outcome.unwrap().small_value().unwrap();
    assert!(matches!(
        value.get(b"server_version"),
        Some(Value::Array(_))
    ));
}
