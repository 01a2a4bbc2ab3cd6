//! What has been read of objects and what is being read: ranges announced beforehand are asked for at once, so that
//! whoever reads them one after the other waits for the slowest, not for the sum.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use ironborg_storage::StorageError;

use crate::requests::Requests;

/// One request asks for as much of a range at most: several are on their way at the same time.
const REQUEST_LEN: u64 = 8 << 20;
/// What is asked for where nothing was announced: most objects are smaller than this.
const LEAST_LEN: u64 = 128 << 10;
/// Bytes that are kept or on their way, at most.
const KEPT_LEN: u64 = 48 << 20;
/// Ranges that are kept or on their way, at most.
const BLOCKS_MAX: usize = 1024;

type Coming = Shared<BoxFuture<'static, Result<Bytes, Arc<StorageError>>>>;

/// A range of an object.
struct Block {
    name: String,
    offset: u64,
    len: u64,
    content: Coming,
}

impl Block {
    fn covers(&self, name: &str, offset: u64) -> bool {
        self.name == name && (self.offset..self.offset + self.len).contains(&offset)
    }
}

/// Ranges of objects that never change.
pub(crate) struct Ahead {
    requests: Requests,
    /// The oldest first.
    blocks: Mutex<VecDeque<Block>>,
}

impl Ahead {
    pub(crate) fn new(requests: Requests) -> Self {
        Self {
            requests,
            blocks: Mutex::default(),
        }
    }

    fn blocks(&self) -> MutexGuard<'_, VecDeque<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a range, but for what has been asked for already, and what is behind the end of an object whose `size` is
    /// known.
    pub(crate) fn will_need(&self, name: &str, mut offset: u64, len: u64, size: Option<u64>) {
        let end = offset.saturating_add(len.min(KEPT_LEN / 2));
        let end = end.min(size.unwrap_or(u64::MAX));
        let mut blocks = self.blocks();
        while offset < end {
            if let Some(block) = blocks.iter().find(|block| block.covers(name, offset)) {
                offset = block.offset + block.len;
                continue;
            }
            let next = blocks
                .iter()
                .filter(|block| block.name == name && block.offset > offset);
            let gap = next.map(|block| block.offset).min().unwrap_or(u64::MAX) - offset;
            let len = (end - offset).min(REQUEST_LEN).min(gap);
            let content = self.ask(name, offset, len);
            // Sent now, not when somebody waits for it.
            self.requests.handle().spawn(content.clone().map(drop));
            blocks.push_back(Block {
                name: name.to_owned(),
                offset,
                len,
                content,
            });
            offset += len;
        }
        drop_oldest(&mut blocks);
    }

    fn ask(&self, name: &str, offset: u64, len: u64) -> Coming {
        let requests = self.requests.clone();
        let name = name.to_owned();
        let range = async move { requests.range(name, offset, len).await.map_err(Arc::new) };
        range.boxed().shared()
    }

    /// Fills the buffers from what is there or asked for; fewer bytes mean the end of the object.
    pub(crate) fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
        size: Option<u64>,
    ) -> Result<usize, StorageError> {
        let mut wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if let Some(size) = size {
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
            wanted = wanted.min(left);
        }
        if wanted == 0 {
            return Ok(0);
        }
        let is_asked = self.blocks().iter().any(|block| block.covers(name, offset));
        let len = if is_asked {
            // Somebody knew how much there is to come.
            wanted as u64
        } else {
            (wanted as u64).max(LEAST_LEN)
        };
        self.will_need(name, offset, len, size);
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let (start, len, content) = {
                let mut blocks = self.blocks();
                let there = blocks.iter().find(|block| block.covers(name, at));
                if let Some(block) = there {
                    (block.offset, block.len, block.content.clone())
                } else {
                    let len = ((wanted - done) as u64).clamp(LEAST_LEN, REQUEST_LEN);
                    let len = len.min(size.unwrap_or(u64::MAX) - at);
                    let content = self.ask(name, at, len);
                    blocks.push_back(Block {
                        name: name.to_owned(),
                        offset: at,
                        len,
                        content: content.clone(),
                    });
                    drop_oldest(&mut blocks);
                    (at, len, content)
                }
            };
            let bytes = match self.requests.wait(content) {
                Ok(bytes) => bytes,
                Err(error) => {
                    // The next one asks again.
                    self.forget(name);
                    return Err(copy_of(&error));
                }
            };
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            let there = bytes.get(from..).unwrap_or_default();
            let there = &there[..there.len().min(wanted - done)];
            copy_into(there, buffers, done);
            done += there.len();
            if (bytes.len() as u64) < len {
                break;
            }
        }
        Ok(done)
    }

    /// Forgets what is known of an object.
    pub(crate) fn forget(&self, name: &str) {
        self.blocks().retain(|block| block.name != name);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.blocks().clear();
    }
}

fn drop_oldest(blocks: &mut VecDeque<Block>) {
    let mut kept: u64 = blocks.iter().map(|block| block.len).sum();
    while (kept > KEPT_LEN || blocks.len() > BLOCKS_MAX) && blocks.len() > 1 {
        let oldest = blocks.pop_front();
        kept -= oldest.map_or(0, |block| block.len);
    }
}

/// Copies bytes into buffers that have `skip` bytes already.
fn copy_into(mut bytes: &[u8], buffers: &mut [IoSliceMut<'_>], mut skip: usize) {
    for buffer in buffers {
        if skip >= buffer.len() {
            skip -= buffer.len();
            continue;
        }
        let room = &mut buffer[skip..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        skip = 0;
    }
}

/// Several may wait for the same range; each of them is told.
fn copy_of(error: &StorageError) -> StorageError {
    let source = error.source_io();
    let copy = source.raw_os_error().map_or_else(
        || std::io::Error::new(source.kind(), source.to_string()),
        std::io::Error::from_raw_os_error,
    );
    StorageError::io("read", error.path(), copy)
}
