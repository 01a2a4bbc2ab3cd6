//! A file that is written once, as an object: small ones by one request when they are finished, others in parts while they
//! are made.
//!
//! What has been sent cannot be read before the object is complete; what may be asked for until then is in a file without
//! a name.

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ironborg_storage::{AppendFile, NextPiece, Spool, StorageError, Version};
use object_store::PutPayload;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::known::{KnownObjects, Object};
use crate::requests::{Condition, Requests};

/// Size of a part; what is not larger is sent by one request.
pub(crate) const PART_LEN: usize = 8 << 20;
/// Parts on their way at a time, of all files together: what bounds memory.
pub(crate) const PARTS_IN_FLIGHT: usize = 6;

/// The files being written and those that are not yet known to have arrived.
pub(crate) struct Uploads {
    requests: Requests,
    /// Told what has arrived.
    known: Arc<KnownObjects>,
    room: Arc<Semaphore>,
    spool_dir: PathBuf,
    open: Mutex<Vec<Arc<Pending>>>,
}

/// A file on its way.
pub(crate) struct Pending {
    name: String,
    spool: Mutex<Spool>,
    arriving: Mutex<Option<Arriving>>,
}

type Arriving = JoinHandle<Result<Version, StorageError>>;

impl Uploads {
    pub(crate) fn new(requests: Requests, known: Arc<KnownObjects>, spool_dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            requests,
            known,
            room: Arc::new(Semaphore::new(PARTS_IN_FLIGHT)),
            spool_dir: spool_dir.to_owned(),
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Pending>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new file.
    pub(crate) fn create(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Box<dyn AppendFile>, StorageError> {
        let pending = Arc::new(Pending {
            name: name.to_owned(),
            spool: Mutex::new(Spool::create(&self.spool_dir)?),
            arriving: Mutex::default(),
        });
        let mut open = self.open();
        if open.iter().any(|one| one.name == name) {
            let exists = io::Error::from_raw_os_error(libc::EEXIST);
            return Err(StorageError::io("create", self.requests.path(name), exists));
        }
        open.push(Arc::clone(&pending));
        drop(open);
        Ok(Box::new(Upload {
            uploads: Arc::clone(self),
            pending,
            part: Vec::new(),
            parts: None,
            is_sealed: false,
        }))
    }

    /// Reads what has not arrived; `None` if there is no such file on its way.
    pub(crate) fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Option<Result<usize, StorageError>> {
        let pending = self.find(name)?;
        let spool = pending.spool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        for buffer in buffers {
            let at = offset + done as u64;
            let left = usize::try_from(spool.len().saturating_sub(at)).unwrap_or(usize::MAX);
            let count = buffer.len().min(left);
            if let Err(error) = spool.read_exact_at(at, &mut buffer[..count]) {
                return Some(Err(error));
            }
            done += count;
        }
        Some(Ok(done))
    }

    /// The size of a file on its way.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let pending = self.find(name)?;
        let spool = pending.spool.lock().unwrap_or_else(PoisonError::into_inner);
        Some(spool.len())
    }

    /// The names of files on their way.
    pub(crate) fn names(&self) -> Vec<String> {
        self.open().iter().map(|one| one.name.clone()).collect()
    }

    fn find(&self, name: &str) -> Option<Arc<Pending>> {
        self.open().iter().find(|one| one.name == name).cloned()
    }

    fn forget(&self, pending: &Arc<Pending>) {
        self.open().retain(|one| !Arc::ptr_eq(one, pending));
    }

    /// Waits until all files that were handed over have arrived; the first failure counts.
    pub(crate) fn settle(&self) -> Result<(), StorageError> {
        let open: Vec<_> = self.open().clone();
        let mut result = Ok(());
        for pending in open {
            let arriving = pending
                .arriving
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(arriving) = arriving {
                let arrived = self.requests.wait(arriving);
                let arrived =
                    arrived.unwrap_or_else(|error| Err(self.broken(&pending.name, error)));
                self.forget(&pending);
                let arrived = arrived.map(|version| {
                    let spool = pending.spool.lock().unwrap_or_else(PoisonError::into_inner);
                    let size = spool.len();
                    self.known.written(&pending.name, Object { size, version });
                });
                if arrived.is_err() {
                    self.known.doubt();
                }
                result = result.and(arrived);
            }
        }
        result
    }

    /// Sends a part of an object, which is begun with the first one; waits for room.
    fn send_part(
        &self,
        name: &str,
        part: Vec<u8>,
        parts: &mut Option<Parts>,
    ) -> Result<(), StorageError> {
        let requests = &self.requests;
        let room = requests.wait(Arc::clone(&self.room).acquire_owned());
        let room = room.map_err(|error| self.broken(name, error))?;
        let Parts { sender, task } = if let Some(parts) = parts.take() {
            parts
        } else {
            let (sender, receiver) = mpsc::unbounded_channel();
            let sending = send_parts(requests.clone(), name.to_owned(), receiver);
            let task = requests.handle().spawn(sending);
            Parts { sender, task }
        };
        if sender.send(Piece::Part(Bytes::from(part), room)).is_err() {
            // It has given up.
            let ended = requests.wait(task);
            let ended = ended.unwrap_or_else(|error| Err(self.broken(name, error)));
            let too_early = || self.broken(name, "upload: ended too early");
            return Err(ended.err().unwrap_or_else(too_early));
        }
        *parts = Some(Parts { sender, task });
        Ok(())
    }

    /// Writes an object whole, in place of what is there, while its pieces are made. It has arrived when this returns.
    ///
    /// Memory: a part and a piece, besides the parts on their way.
    pub(crate) fn replace_pieces(
        &self,
        name: &str,
        next: &mut NextPiece<'_>,
    ) -> Result<Object, StorageError> {
        let mut parts = None;
        let mut size = 0;
        let mut part = Vec::new();
        let mut piece = Vec::new();
        let mut make_all = || -> Result<(), StorageError> {
            loop {
                next(&mut piece)?;
                if piece.is_empty() {
                    break;
                }
                size += piece.len() as u64;
                let mut left = &piece[..];
                while part.len() + left.len() > PART_LEN {
                    let (now, later) = left.split_at(PART_LEN - part.len());
                    part.extend_from_slice(now);
                    self.send_part(name, std::mem::take(&mut part), &mut parts)?;
                    left = later;
                }
                part.extend_from_slice(left);
            }
            if parts.is_some() && !part.is_empty() {
                self.send_part(name, std::mem::take(&mut part), &mut parts)?;
            }
            Ok(())
        };
        let made = make_all();
        let Some(Parts { sender, task }) = parts else {
            made?;
            let content = Bytes::from(part);
            let put = self.requests.put(name, content, &Condition::Always)?;
            let version = put.unwrap_or_else(|| Version(String::new()));
            return Ok(Object { size, version });
        };
        if made.is_ok() {
            // Who does not listen any more has failed, and says so below.
            let _ = sender.send(Piece::End);
        }
        // Told nothing more, it is given up.
        drop(sender);
        let ended = self.requests.wait(task);
        made?;
        let version = ended.unwrap_or_else(|error| Err(self.broken(name, error)))?;
        Ok(Object { size, version })
    }

    fn broken(
        &self,
        name: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StorageError {
        StorageError::io("upload", self.requests.path(name), io::Error::other(error))
    }
}

/// What the sender of a file's parts is told. Told nothing more, it gives the file up.
enum Piece {
    /// The next part, and the room it takes until it is sent.
    Part(Bytes, OwnedSemaphorePermit),
    /// There are no more.
    End,
}

/// Where the parts of a file go that has more than one.
struct Parts {
    sender: mpsc::UnboundedSender<Piece>,
    task: Arriving,
}

struct Upload {
    uploads: Arc<Uploads>,
    pending: Arc<Pending>,
    /// The part being filled.
    part: Vec<u8>,
    parts: Option<Parts>,
    is_sealed: bool,
}

impl Upload {
    /// Sends the part that is full, waiting for room.
    fn send_part(&mut self) -> Result<(), StorageError> {
        let part = std::mem::take(&mut self.part);
        self.uploads
            .send_part(&self.pending.name, part, &mut self.parts)
    }

    /// Hands over what is left.
    fn finish(&mut self) -> Result<(), StorageError> {
        if self.parts.is_some() && !self.part.is_empty() {
            self.send_part()?;
        }
        self.is_sealed = true;
        let task = if let Some(Parts { sender, task }) = self.parts.take() {
            // Who does not listen any more has failed, and says so below.
            let _ = sender.send(Piece::End);
            task
        } else {
            let requests = self.uploads.requests.clone();
            let name = self.pending.name.clone();
            let content = Bytes::from(std::mem::take(&mut self.part));
            let sending = async move {
                let put = requests.put_marked(&name, content, &Condition::New).await?;
                let exists = io::Error::from_raw_os_error(libc::EEXIST);
                put.ok_or_else(|| StorageError::io("create", requests.path(&name), exists))
            };
            self.uploads.requests.handle().spawn(sending)
        };
        *self
            .pending
            .arriving
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }
}

/// Sends parts as they come, several at a time; ends when all have arrived and the object is there.
async fn send_parts(
    requests: Requests,
    name: String,
    mut pieces: mpsc::UnboundedReceiver<Piece>,
) -> Result<Version, StorageError> {
    let (mark, mut upload) = requests.begin_parts(&name).await?;
    let mut sending = JoinSet::new();
    loop {
        let (part, room) = match pieces.recv().await {
            Some(Piece::Part(part, room)) => (part, room),
            Some(Piece::End) => break,
            None => {
                let _ = upload.abort().await;
                return Ok(Version(String::new()));
            }
        };
        let sent = upload.put_part(PutPayload::from(part));
        sending.spawn(async move {
            let sent = sent.await;
            drop(room);
            sent
        });
        // What has failed already needs no more of it.
        while let Some(sent) = sending.try_join_next() {
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return give_up(requests, &name, upload, error).await,
                Err(error) => return give_up(requests, &name, upload, error.into()).await,
            }
        }
    }
    while let Some(sent) = sending.join_next().await {
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return give_up(requests, &name, upload, error).await,
            Err(error) => return give_up(requests, &name, upload, error.into()).await,
        }
    }
    match requests.complete(&name, &mark, &mut *upload).await {
        Ok(version) => Ok(version),
        Err(error) => give_up(requests, &name, upload, error).await,
    }
}

async fn give_up(
    requests: Requests,
    name: &str,
    mut upload: Box<dyn object_store::MultipartUpload>,
    error: object_store::Error,
) -> Result<Version, StorageError> {
    // What is left of it costs until the store's own rules remove it.
    let _ = upload.abort().await;
    Err(requests.failed("upload", name, error))
}

impl AppendFile for Upload {
    fn append(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        let mut spool = self
            .pending
            .spool
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        spool.append(bytes)?;
        drop(spool);
        while self.part.len() + bytes.len() > PART_LEN {
            let (now, later) = bytes.split_at(PART_LEN - self.part.len());
            self.part.extend_from_slice(now);
            self.send_part()?;
            bytes = later;
        }
        if self.part.capacity() == 0 && self.parts.is_some() {
            self.part.reserve_exact(PART_LEN);
        }
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    /// An object is there as a whole or not at all: nothing of it comes before the rest.
    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn seal(mut self: Box<Self>) -> Result<(), StorageError> {
        // Should this file say that others are complete, they have to be there first.
        self.uploads.settle()?;
        self.finish()?;
        self.uploads.settle()
    }

    fn seal_later(mut self: Box<Self>) -> Result<(), StorageError> {
        self.finish()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_sealed {
            return;
        }
        // Without its end the object never comes to be.
        self.parts = None;
        self.uploads.forget(&self.pending);
    }
}
