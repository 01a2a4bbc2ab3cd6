//! Replies on their way out: small ones together, large objects without a copy.

use std::io::{self, IoSlice, Write};

use ironborg_format::msgpack::push_raw_len;

use super::ServeError;

/// Replies are collected up to this length.
const COLLECTED_LEN: usize = 128 * 1024;
/// Objects from this length on are written from where they are.
const LARGE_LEN: usize = 16 * 1024;

/// The pipe to the client.
pub(super) struct Outgoing<W> {
    writer: W,
    collected: Vec<u8>,
}

impl<W: Write> Outgoing<W> {
    /// Nothing is waiting.
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            collected: Vec::with_capacity(COLLECTED_LEN + LARGE_LEN + 1024),
        }
    }

    /// Where replies are appended; [`Outgoing::reply_ends`] has to follow.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.collected
    }

    /// A reply, or a piece of one, is complete.
    pub(super) fn reply_ends(&mut self) -> Result<(), ServeError> {
        if self.collected.len() >= COLLECTED_LEN {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends a reply, whose beginning is in the buffer, with an object.
    pub(super) fn object(&mut self, object: &[u8]) -> Result<(), ServeError> {
        push_raw_len(&mut self.collected, object.len());
        if object.len() < LARGE_LEN {
            self.collected.extend_from_slice(object);
            return self.reply_ends();
        }
        let mut slices = [IoSlice::new(&self.collected), IoSlice::new(object)];
        let mut slices = &mut slices[..];
        while !slices.is_empty() {
            match self.writer.write_vectored(slices) {
                Ok(0) => return Err(ServeError::Output(io::ErrorKind::WriteZero.into())),
                Ok(len) => IoSlice::advance_slices(&mut slices, len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ServeError::Output(error)),
            }
        }
        self.collected.clear();
        Ok(())
    }

    /// Writes what is waiting.
    pub(super) fn flush(&mut self) -> Result<(), ServeError> {
        let written = self.writer.write_all(&self.collected);
        self.collected.clear();
        written
            .and_then(|()| self.writer.flush())
            .map_err(ServeError::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes little at a time.
    #[derive(Default)]
    struct Narrow(Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(1000);
            self.0.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_leaves_in_order_however_large_it_is() {
        let mut out = Outgoing::new(Narrow::default());
        let mut expected = Vec::new();
        for (byte, len) in [(1_u8, 10), (2, LARGE_LEN), (3, 300_000), (4, 5), (5, 0)] {
            out.buffer().push(0xaa);
            out.object(&vec![byte; len]).unwrap();
            expected.push(0xaa);
            push_raw_len(&mut expected, len);
            expected.extend(vec![byte; len]);
        }
        out.flush().unwrap();
        assert!(out.writer.0 == expected);
    }
}
