//! The place where the connection is cut: passes bytes on up to a certain byte, or up to a certain message.

use crate::scanner::{Message, Scanner};

/// Where a connection is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// After so many bytes to the server.
    ToServerAfter(u64),
    /// After so many bytes to the client.
    ToClientAfter(u64),
    /// After so many bytes, whichever way they went.
    After(u64),
    /// At a message of the client or the reply to it.
    At { request: Request, moment: Moment },
}

/// One of the messages of the client, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Number(u64),
    OfMethod { method: String, number: u64 },
}

/// How much of a request and its reply still arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing of the request.
    Before,
    /// Half of the request.
    Inside,
    /// The request; nobody waits for what the server makes of it.
    After,
    /// The request, and the server has answered it, but nothing of the reply.
    Unanswered,
    /// The request and half of the reply.
    HalfAnswered,
    /// Both.
    Answered,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// What may go on to the other end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) bytes: Vec<u8>,
    /// The connection is cut when these bytes have arrived.
    pub(crate) cut: bool,
}

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Gate {
    cut: Option<Cut>,
    is_cut: bool,
    /// Bytes that went to the server, and to the client.
    passed: [u64; 2],
    /// The scanner and what has come of the current message; only for cuts at messages.
    streams: [(Scanner, Vec<u8>); 2],
    /// Requests that count for the cut.
    requests: u64,
    /// The request whose reply is waited for.
    awaited: Option<u64>,
}

impl Gate {
    /// `cut`: where this connection ends, if it does before its time.
    pub(crate) fn new(cut: Option<Cut>) -> Self {
        Self {
            cut,
            is_cut: false,
            passed: [0; 2],
            streams: std::array::from_fn(|_| (Scanner::new(), Vec::new())),
            requests: 0,
            awaited: None,
        }
    }

    /// Takes bytes that have arrived; returns what may be handed over.
    pub(crate) fn pass(&mut self, direction: Direction, bytes: Vec<u8>) -> Passage {
        if self.is_cut {
            return Passage {
                bytes: Vec::new(),
                cut: true,
            };
        }
        let passage = match &self.cut {
            None => {
                let mut held = self.end(direction);
                held.extend_from_slice(&bytes);
                let cut = false;
                Passage { bytes: held, cut }
            }
            Some(Cut::At { request, moment }) => {
                let (request, moment) = (request.clone(), *moment);
                self.pass_messages(direction, &bytes, &request, moment)
            }
            Some(cut) => {
                let left = self.left(cut, direction);
                up_to(bytes, left)
            }
        };
        self.passed[direction as usize] += passage.bytes.len() as u64;
        self.is_cut |= passage.cut;
        passage
    }

    /// Gives out what is left when the sender has ended.
    pub(crate) fn end(&mut self, direction: Direction) -> Vec<u8> {
        std::mem::take(&mut self.streams[direction as usize].1)
    }

    /// Bytes that may still go that way; None for any number.
    fn left(&self, cut: &Cut, direction: Direction) -> Option<u64> {
        let [to_server, to_client] = self.passed;
        match (cut, direction) {
            (Cut::ToServerAfter(limit), Direction::ToServer) => Some(limit - to_server),
            (Cut::ToClientAfter(limit), Direction::ToClient) => Some(limit - to_client),
            (Cut::After(limit), _) => Some(limit - to_server - to_client),
            _ => None,
        }
    }

    /// Hands over whole messages only: what a message is shows when much of it has come.
    fn pass_messages(
        &mut self,
        direction: Direction,
        mut bytes: &[u8],
        request: &Request,
        moment: Moment,
    ) -> Passage {
        let mut passage = Passage::default();
        while !bytes.is_empty() {
            let (scanner, held) = &mut self.streams[direction as usize];
            let Ok((used, message)) = scanner.scan(bytes) else {
                // Something else is spoken here, which has no messages to cut at.
                passage.bytes.append(held);
                passage.bytes.extend_from_slice(bytes);
                self.cut = None;
                return passage;
            };
            held.extend_from_slice(&bytes[..used]);
            bytes = &bytes[used..];
            let Some(message) = message else { break };
            let mut held = std::mem::take(held);
            let end = match direction {
                Direction::ToServer => self.end_of_request(&message, request, moment),
                Direction::ToClient => self.end_of_reply(&message, moment),
            };
            if let Some(end) = end {
                held.truncate(end.of(held.len()));
            }
            passage.bytes.append(&mut held);
            if end.is_some() {
                passage.cut = true;
                break;
            }
        }
        passage
    }

    /// How much of the request is the last to pass; None if all goes on.
    fn end_of_request(
        &mut self,
        message: &Message,
        request: &Request,
        moment: Moment,
    ) -> Option<End> {
        let number = match request {
            Request::Number(number) => *number,
            Request::OfMethod { method, number } => {
                if message.word.as_ref() != Some(method) {
                    return None;
                }
                *number
            }
        };
        self.requests += 1;
        if self.requests != number {
            return None;
        }
        match moment {
            Moment::Before => Some(End::Nothing),
            Moment::Inside => Some(End::Half),
            Moment::After => Some(End::Whole),
            Moment::Unanswered | Moment::HalfAnswered | Moment::Answered => {
                self.awaited = message.id;
                None
            }
        }
    }

    /// The same for a reply.
    fn end_of_reply(&self, message: &Message, moment: Moment) -> Option<End> {
        if self.awaited.is_none() || self.awaited != message.id {
            return None;
        }
        match moment {
            Moment::Unanswered => Some(End::Nothing),
            Moment::HalfAnswered => Some(End::Half),
            Moment::Answered => Some(End::Whole),
            Moment::Before | Moment::Inside | Moment::After => None,
        }
    }
}

/// How much of a message still passes.
#[derive(Debug, Clone, Copy)]
enum End {
    Nothing,
    Half,
    Whole,
}

impl End {
    fn of(self, len: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Half => len / 2,
            Self::Whole => len,
        }
    }
}

fn up_to(mut bytes: Vec<u8>, left: Option<u64>) -> Passage {
    let left = left.and_then(|left| usize::try_from(left).ok());
    let cut = left.is_some_and(|left| left <= bytes.len());
    if let Some(left) = left {
        bytes.truncate(left);
    }
    Passage { bytes, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET_1: &[u8] = b"\x83\xa1i\x01\xa1m\xa3get\xa1a\x80";
    const PUT_2: &[u8] = b"\x83\xa1i\x02\xa1m\xa3put\xa1a\x80";
    const GET_3: &[u8] = b"\x83\xa1i\x03\xa1m\xa3get\xa1a\x80";
    const REPLY_1: &[u8] = b"\x82\xa1i\x01\xa1r\xc0";
    const REPLY_3: &[u8] = b"\x82\xa1i\x03\xa1r\xc0";

    fn at_get(number: u64, moment: Moment) -> Gate {
        let method = "get".to_owned();
        let request = Request::OfMethod { method, number };
        Gate::new(Some(Cut::At { request, moment }))
    }

    /// What passes of the three requests and two replies above, sent in pieces.
    fn passing(gate: &mut Gate, piece: usize) -> ([Vec<u8>; 2], bool) {
        let streams = [[GET_1, PUT_2, GET_3].concat(), [REPLY_1, REPLY_3].concat()];
        let directions = [Direction::ToServer, Direction::ToClient];
        let mut passed = [Vec::new(), Vec::new()];
        for (index, direction) in directions.into_iter().enumerate() {
            for part in streams[index].chunks(piece) {
                let passage = gate.pass(direction, part.to_vec());
                passed[index].extend(passage.bytes);
                if passage.cut {
                    return (passed, true);
                }
            }
            passed[index].extend(gate.end(direction));
        }
        (passed, false)
    }

    #[track_caller]
    fn check(gate: impl Fn() -> Gate, to_server: &[u8], to_client: &[u8], cut: bool) {
        for piece in [1, 5, 1000] {
            let expected = ([to_server.to_vec(), to_client.to_vec()], cut);
            assert_eq!(
                passing(&mut gate(), piece),
                expected,
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn without_a_cut_everything_passes() {
        let (requests, replies) = ([GET_1, PUT_2, GET_3].concat(), [REPLY_1, REPLY_3].concat());
        check(|| Gate::new(None), &requests, &replies, false);
        let never = || at_get(3, Moment::Before);
        check(never, &requests, &replies, false);
    }

    #[test]
    fn bytes_pass_up_to_the_limit() {
        let (requests, replies) = ([GET_1, PUT_2, GET_3].concat(), [REPLY_1, REPLY_3].concat());
        let gate = || Gate::new(Some(Cut::ToServerAfter(7)));
        check(gate, &requests[..7], b"", true);
        let gate = || Gate::new(Some(Cut::ToClientAfter(0)));
        check(gate, &requests, b"", true);
        let gate = || Gate::new(Some(Cut::ToClientAfter(9)));
        check(gate, &requests, &replies[..9], true);
        let limit = requests.len() as u64 + 3;
        let gate = || Gate::new(Some(Cut::After(limit)));
        check(gate, &requests, &replies[..3], true);
    }

    #[test]
    fn requests_pass_as_far_as_the_moment_says() {
        let until_2 = [GET_1, PUT_2].concat();
        let whole = [GET_1, PUT_2, GET_3].concat();
        let half = GET_3.len() / 2;
        check(|| at_get(2, Moment::Before), &until_2, b"", true);
        let halved = [until_2.as_slice(), &GET_3[..half]].concat();
        check(|| at_get(2, Moment::Inside), &halved, b"", true);
        check(|| at_get(2, Moment::After), &whole, b"", true);
        let by_number = || {
            Gate::new(Some(Cut::At {
                request: Request::Number(2),
                moment: Moment::After,
            }))
        };
        check(by_number, &until_2, b"", true);
    }

    #[test]
    fn replies_pass_as_far_as_the_moment_says() {
        let whole = [GET_1, PUT_2, GET_3].concat();
        let half = REPLY_3.len() / 2;
        check(|| at_get(2, Moment::Unanswered), &whole, REPLY_1, true);
        let halved = [REPLY_1, &REPLY_3[..half]].concat();
        check(|| at_get(2, Moment::HalfAnswered), &whole, &halved, true);
        let both = [REPLY_1, REPLY_3].concat();
        check(|| at_get(2, Moment::Answered), &whole, &both, true);
    }

    #[test]
    fn other_languages_pass_uncut() {
        let mut gate = at_get(1, Moment::Before);
        let passage = gate.pass(Direction::ToServer, vec![0x92, 0x01, 0xc1, 0x05]);
        assert_eq!(passage.bytes, [0x92, 0x01, 0xc1, 0x05]);
        let passage = gate.pass(Direction::ToServer, GET_1.to_vec());
        assert_eq!((passage.bytes.as_slice(), passage.cut), (GET_1, false));
    }

    #[test]
    fn nothing_passes_after_the_cut() {
        let mut gate = Gate::new(Some(Cut::ToServerAfter(1)));
        assert!(gate.pass(Direction::ToServer, vec![1, 2]).cut);
        let passage = gate.pass(Direction::ToClient, vec![3]);
        assert_eq!((passage.bytes.len(), passage.cut), (0, true));
    }
}
