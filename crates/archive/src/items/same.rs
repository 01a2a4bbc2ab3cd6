//! Whether two files hold the same bytes, however they were cut into chunks.

use ironborg_format::item::{ChunkEntry, ChunkList};
use ironborg_types::Interrupt;

use super::content::ContentReader;
use super::fetch::{Fetched, Window};
use crate::ArchiveError;

/// Chunks that may be on their way: not many, as the first difference makes the rest useless.
const ANNOUNCED_MAX: usize = 8;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    One,
    Other,
}

/// A chunk that has to be read.
type Step = (File, ChunkEntry);

impl ContentReader<'_> {
    /// Compares the content of two files; ends at the first byte that differs.
    ///
    /// Chunks that both have at the same place are not read. Memory: the objects in flight, and the list
    /// of chunks to be read.
    pub(crate) fn is_same(
        &mut self,
        one: ChunkList<'_>,
        other: ChunkList<'_>,
        interrupt: &Interrupt,
    ) -> Result<bool, ArchiveError> {
        let verdict = match self.compare(&steps(one, other), interrupt) {
            // The sizes in an item are not to be trusted, and so neither is what was left out because of them.
            Ok(None) => self.compare_all(one, other, interrupt).map(Some),
            verdict => verdict,
        };
        self.read_ahead.forget(); // The next file starts clean.
        verdict.map(|same| same == Some(true))
    }

    /// Reads and compares in the order of `steps`; `None`: a chunk is not as long as it was said to be.
    fn compare(
        &mut self,
        steps: &[Step],
        interrupt: &Interrupt,
    ) -> Result<Option<bool>, ArchiveError> {
        let mut to_ask = steps.iter();
        let mut window = Window::new(ANNOUNCED_MAX);
        // What the file that is ahead has beyond the end of the other one.
        let mut ahead: Option<(File, Fetched, usize)> = None;
        for (taken, (file, chunk)) in steps.iter().enumerate() {
            let object = |at: usize| (steps[at].1.id, steps[at].1.csize);
            self.read_ahead
                .announce(&mut window, taken, steps.len(), object);
            while self.read_ahead.room() > 0
                && let Some((_, next)) = to_ask.next()
            {
                self.read_ahead.ask(next.id);
            }
            let fetched = self.take_next(interrupt)?;
            if fetched.plaintext.len() as u64 != u64::from(chunk.size) {
                return Ok(None);
            }
            let Some((leader, before, start)) = ahead.take() else {
                ahead = Some((*file, fetched, 0));
                continue;
            };
            if leader == *file {
                return Ok(Some(false)); // The other one has ended.
            }
            let rest = &before.plaintext[start..];
            let len = rest.len().min(fetched.plaintext.len());
            if rest[..len] != fetched.plaintext[..len] {
                return Ok(Some(false));
            }
            let (left, used) = if rest.len() > len {
                self.read_ahead.recycle(fetched);
                ((leader, before, start + len), false)
            } else {
                self.read_ahead.recycle(before);
                let used = fetched.plaintext.len() == len;
                ((*file, fetched, len), used)
            };
            if used {
                self.read_ahead.recycle(left.1);
            } else {
                ahead = Some(left);
            }
        }
        Ok(Some(ahead.is_none_or(|(_, fetched, start)| {
            fetched.plaintext.len() == start
        })))
    }

    /// Reads and compares everything, believing nothing.
    fn compare_all(
        &mut self,
        one: ChunkList<'_>,
        other: ChunkList<'_>,
        interrupt: &Interrupt,
    ) -> Result<bool, ArchiveError> {
        self.read_ahead.forget();
        let mut files = [one, other].map(|chunks| (chunks.iter(), Fetched::default(), 0_usize));
        loop {
            for (chunks, fetched, start) in &mut files {
                while fetched.plaintext.len() == *start
                    && let Some(next) = chunks.next()
                {
                    self.read_ahead.ask(next.id);
                    *fetched = self.take_next(interrupt)?;
                    *start = 0;
                }
            }
            let [one, other] =
                [&files[0], &files[1]].map(|(_, fetched, start)| &fetched.plaintext[*start..]);
            let len = one.len().min(other.len());
            if len == 0 {
                return Ok(one.len() == other.len());
            }
            if one[..len] != other[..len] {
                return Ok(false);
            }
            for (_, _, start) in &mut files {
                *start += len;
            }
        }
    }

    fn take_next(&mut self, interrupt: &Interrupt) -> Result<Fetched, ArchiveError> {
        if interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        self.read_ahead.take().expect("one was asked for")
    }
}

/// The chunks to be read, each when the bytes before it have been compared.
fn steps(one: ChunkList<'_>, other: ChunkList<'_>) -> Vec<Step> {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    let (mut one_end, mut other_end) = (0_u64, 0_u64);
    let mut steps = Vec::new();
    loop {
        let next = match (ones.peek(), others.peek()) {
            (None, None) => return steps,
            (Some(a), Some(b)) if one_end == other_end && (a.id, a.size) == (b.id, b.size) => {
                ones.next();
                others.next();
                continue;
            }
            (Some(_), None) => File::One,
            (None, Some(_)) => File::Other,
            (Some(_), Some(_)) if one_end <= other_end => File::One,
            (Some(_), Some(_)) => File::Other,
        };
        let (chunks, end) = match next {
            File::One => (&mut ones, &mut one_end),
            File::Other => (&mut others, &mut other_end),
        };
        let chunk = chunks.next().expect("it was peeked at");
        *end += u64::from(chunk.size);
        steps.push((next, chunk));
    }
}
