//! The content of files, in order.

use ironborg_format::item::ChunkEntry;

use super::fetch::{ReadAhead, Window};
use crate::ArchiveError;

/// Chunks of a file that may be on their way.
const ANNOUNCED_MAX: usize = 64;

/// Reads what files hold: the plaintext of their chunks, in order, verified.
pub struct ContentReader<'a> {
    pub(super) read_ahead: ReadAhead<'a>,
}

impl<'a> ContentReader<'a> {
    pub(crate) fn new(read_ahead: ReadAhead<'a>) -> Self {
        Self { read_ahead }
    }

    /// Hands the plaintext of each chunk to `take`, in order. The first error ends it.
    pub fn read<E: From<ArchiveError>>(
        &mut self,
        chunks: &[ChunkEntry],
        mut take: impl FnMut(&ChunkEntry, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut to_ask = chunks.iter();
        let mut window = Window::new(ANNOUNCED_MAX);
        for (taken, chunk) in chunks.iter().enumerate() {
            let object = |at: usize| (chunks[at].id, chunks[at].csize);
            self.read_ahead
                .announce(&mut window, taken, chunks.len(), object);
            while self.read_ahead.room() > 0
                && let Some(next) = to_ask.next()
            {
                self.read_ahead.ask(next.id);
            }
            let outcome = self
                .read_ahead
                .take()
                .expect("one was asked for each chunk");
            let result = match outcome {
                Ok(fetched) => {
                    let result = take(chunk, &fetched.plaintext);
                    self.read_ahead.recycle(fetched);
                    result
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                self.read_ahead.forget(); // The next file starts clean.
                return Err(error);
            }
        }
        Ok(())
    }
}
