//! Hashing several messages side by side: each on a lane of the processor's vector units or, with instructions that
//! do a whole round, in between the rounds of another.
//!
//! One stream of SHA-256 or BLAKE2b waits for its own results most of the time. Here a lane that has come to the end of
//! its message goes on with the next one, so that messages of unequal length keep all lanes busy. Where a
//! processor lacks the instructions, the callers hash one message after the other, with the same results.

mod blake2b;
mod sha256;
mod simd;

pub(crate) use blake2b::KeyedBlake2b;
pub(crate) use sha256::{HmacStates, Sha256Lanes};

/// Bytes of the longest end of a message.
const TAIL_MAX: usize = 128;

/// The last blocks of a message, with padding.
struct Tail {
    bytes: [u8; TAIL_MAX],
    len: usize,
}

/// What a lane is to go over next: at least `blocks` blocks are in `bytes`.
#[derive(Clone, Copy)]
struct Stretch<'m> {
    bytes: &'m [u8],
    /// Bytes of the message up to the end of the first of the blocks.
    reached: u64,
    is_last: bool,
}

/// A hash that can go over several messages at once.
trait Lanes<const LANES: usize> {
    /// Bytes in a block.
    const BLOCK: usize;
    /// The chaining value.
    type State: Copy;

    /// Cuts a message into whole blocks and the rest with padding, at least one block.
    fn split<'m>(&self, message: &'m [u8]) -> (&'m [u8], Tail);

    /// Goes on by so many blocks in every lane.
    fn compress(
        &self,
        states: &mut [Self::State; LANES],
        stretches: &[Stretch<'_>; LANES],
        blocks: usize,
    );
}

/// A message on its way through a lane.
struct Message<'m> {
    number: usize,
    whole: &'m [u8],
    len: usize,
    tail: Tail,
    done: usize,
}

impl Message<'_> {
    /// What is to be done next, and how many blocks of it there are.
    fn stretch(&self, block: usize) -> (Stretch<'_>, usize) {
        let next = self.done + block;
        if self.done < self.whole.len() {
            let bytes = &self.whole[self.done..];
            let stretch = Stretch {
                bytes,
                reached: next as u64,
                is_last: false,
            };
            return (stretch, bytes.len() / block);
        }
        let bytes = &self.tail.bytes[self.done - self.whole.len()..self.tail.len];
        let stretch = Stretch {
            bytes,
            reached: next.min(self.len) as u64,
            is_last: bytes.len() == block,
        };
        (stretch, 1)
    }

    fn is_done(&self) -> bool {
        self.done == self.whole.len() + self.tail.len
    }
}

/// Hashes all messages, each from the state `initial` on, and hands out their last states, by their numbers.
fn hash_all<const LANES: usize, H: Lanes<LANES>>(
    hash: &H,
    initial: H::State,
    messages: &[&[u8]],
    mut take: impl FnMut(usize, &H::State),
) {
    let mut waiting = messages.iter().enumerate().map(|(number, message)| {
        let (whole, tail) = hash.split(message);
        Message {
            number,
            whole,
            len: message.len(),
            tail,
            done: 0,
        }
    });
    let mut states = [initial; LANES];
    let mut lanes: [Option<Message<'_>>; LANES] = std::array::from_fn(|_| waiting.next());
    loop {
        let mut active = lanes.iter().flatten().map(|lane| lane.stretch(H::BLOCK));
        let Some((mut filler, mut blocks)) = active.next() else {
            return;
        };
        for (stretch, count) in active {
            if count < blocks {
                (filler, blocks) = (stretch, count);
            }
        }
        // A lane without a message goes over another one's; what comes out is not looked at.
        let stretches = lanes.each_ref().map(|lane| match lane {
            Some(lane) => lane.stretch(H::BLOCK).0,
            None => filler,
        });
        hash.compress(&mut states, &stretches, blocks);
        for (lane, state) in lanes.iter_mut().zip(&mut states) {
            let Some(message) = lane else { continue };
            message.done += blocks * H::BLOCK;
            if message.is_done() {
                take(message.number, state);
                *lane = waiting.next();
                *state = initial;
            }
        }
    }
}
