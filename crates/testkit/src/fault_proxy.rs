//! A line to an object store that fails in ways lines and stores do: an HTTP/1.1 proxy between a program and the server.
//!
//! Requests pass unchanged, their `Host` and so their signature included. Which of them meet which fault depends on the
//! seed and on how many there were before, so a failure can be made again.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::Random;

/// How long a request is held up by [`Fault::Delay`].
const DELAY: Duration = Duration::from_millis(30);
/// Longest head of a request or an answer.
const HEAD_LEN_MAX: usize = 64 << 10;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It takes longer.
    Delay,
    /// The connection ends before it has reached the store.
    LostRequest,
    /// The store has done it; the connection ends without an answer.
    LostAnswer,
    /// The connection is reset before it has reached the store.
    Reset,
    /// The store has done it; the connection is reset.
    ResetAnswer,
    /// An answer of status 500 that is not the store's.
    InternalError,
    /// One of status 503.
    Unavailable,
    /// One of status 503 that says `SlowDown`.
    SlowDown,
    /// Half of the answer arrives.
    CutAnswer,
    /// Half of the request reaches the store.
    CutRequest,
    /// It reaches the store twice; the second answer counts.
    Repeat,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Delay,
        Self::LostRequest,
        Self::LostAnswer,
        Self::Reset,
        Self::ResetAnswer,
        Self::InternalError,
        Self::Unavailable,
        Self::SlowDown,
        Self::CutAnswer,
        Self::CutRequest,
        Self::Repeat,
    ];
}

/// Which requests meet which faults.
#[derive(Debug, Clone, Default)]
struct Plan {
    faults: Vec<Fault>,
    /// One request of so many meets one; 0 for none.
    one_in: u64,
    seed: u64,
    /// Requests since the plan was made.
    seen: u64,
    /// Conditions are what the store does not know.
    refuses_conditions: bool,
}

impl Plan {
    fn next(&mut self) -> Option<Fault> {
        let number = self.seen;
        self.seen += 1;
        let mut random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        let is_chosen = self.one_in > 0 && random.next_u64().is_multiple_of(self.one_in);
        if !is_chosen || self.faults.is_empty() {
            return None;
        }
        Some(self.faults[random.below(self.faults.len())])
    }
}

/// A running proxy; gone when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    plan: Mutex<Plan>,
    met: AtomicU64,
    has_ended: AtomicBool,
}

impl Shared {
    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// Stands before a server; without faults for now.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            server,
            plan: Mutex::default(),
            met: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        });
        let for_clients = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if for_clients.has_ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&for_clients);
                // A client that goes away is what this is for.
                thread::spawn(move || client.and_then(|client| serve(&client, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Where clients find it: `http://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on one request of `one_in` meets one of these faults. The same seed gives the same places.
    pub fn fail(&self, faults: &[Fault], one_in: u64, seed: u64) {
        let mut plan = self.shared.plan();
        plan.faults = faults.to_vec();
        (plan.one_in, plan.seed, plan.seen) = (one_in, seed, 0);
    }

    /// Answers as a store that does not know `If-None-Match` and `If-Match` from now on.
    pub fn refuse_conditions(&self) {
        self.shared.plan().refuses_conditions = true;
    }

    /// How many requests have met a fault.
    pub fn met(&self) -> u64 {
        self.shared.met.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one client until it goes away or a fault takes the connection.
fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client);
    while let Some(request) = Message::read_request(&mut reader)? {
        let (fault, refuses_conditions) = {
            let mut plan = shared.plan();
            (plan.next(), plan.refuses_conditions)
        };
        if refuses_conditions && request.is_conditional() {
            refuse(client, "501 Not Implemented", "NotImplemented")?;
            continue;
        }
        if fault.is_some() {
            shared.met.fetch_add(1, Ordering::SeqCst);
        }
        if !pass(client, shared.server, &request, fault)? {
            break;
        }
    }
    Ok(())
}

/// Lets a request pass as far as its fault allows; says whether the connection goes on.
fn pass(
    client: &TcpStream,
    server: SocketAddr,
    request: &Message,
    fault: Option<Fault>,
) -> io::Result<bool> {
    let ask = || request.ask(server);
    let mut to_client = client;
    match fault {
        None => to_client.write_all(&ask()?)?,
        Some(Fault::Delay) => {
            thread::sleep(DELAY);
            to_client.write_all(&ask()?)?;
        }
        Some(Fault::LostRequest) => return hang_up(client),
        Some(Fault::LostAnswer) => {
            ask()?;
            return hang_up(client);
        }
        Some(Fault::Reset) => return reset(client),
        Some(Fault::ResetAnswer) => {
            ask()?;
            return reset(client);
        }
        Some(Fault::InternalError) => refuse(client, "500 Internal Server Error", "InternalError")?,
        Some(Fault::Unavailable) => {
            refuse(client, "503 Service Unavailable", "ServiceUnavailable")?;
        }
        Some(Fault::SlowDown) => refuse(client, "503 Slow Down", "SlowDown")?,
        Some(Fault::CutAnswer) => {
            let answer = ask()?;
            let head_len = find_end(&answer).unwrap_or(answer.len() / 2);
            let half = head_len + (answer.len() - head_len) / 2;
            // One without a body loses part of its head.
            let half = if half == answer.len() { half / 2 } else { half };
            to_client.write_all(&answer[..half])?;
            return hang_up(client);
        }
        Some(Fault::CutRequest) => {
            let mut store = TcpStream::connect(server)?;
            let whole = request.bytes();
            store.write_all(&whole[..request.head.len() + request.body.len() / 2])?;
            let half = if request.body.is_empty() {
                reset(&store)
            } else {
                hang_up(&store)
            };
            half?;
            return hang_up(client);
        }
        Some(Fault::Repeat) => {
            ask()?;
            to_client.write_all(&ask()?)?;
        }
    }
    Ok(true)
}

fn hang_up(connection: &TcpStream) -> io::Result<bool> {
    connection.shutdown(Shutdown::Both)?;
    Ok(false)
}

/// Ends a connection as a machine does that has forgotten it.
fn reset(connection: &TcpStream) -> io::Result<bool> {
    set_socket_linger(connection, Some(Duration::ZERO))?;
    Ok(false)
}

/// Answers in the place of the store.
fn refuse(mut client: &TcpStream, status: &str, code: &str) -> io::Result<()> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>try again</Message></Error>"
    );
    let len = body.len();
    client.write_all(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len}\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

/// A request.
struct Message {
    /// With the empty line at its end.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    /// Reads a request; `None` where the client has no more.
    fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        loop {
            let len = reader.read_until(b'\n', &mut head)?;
            if len == 0 || head.len() > HEAD_LEN_MAX {
                return Ok(None);
            }
            if head.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(':').trim().to_owned())
        };
        assert_eq!(value("transfer-encoding:"), None, "the length is known");
        let len = value("content-length:").map_or(0, |len| len.parse().expect("a length"));
        let mut body = vec![0; len];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }

    fn is_conditional(&self) -> bool {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        ["\r\nif-none-match:", "\r\nif-match:"]
            .iter()
            .any(|header| head.contains(header))
    }

    /// Takes lines of the head out, and puts others in.
    fn edit(&mut self, without: &[&str], and: &str) {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        let kept = text.trim_end().split("\r\n").filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !without.contains(&name.to_ascii_lowercase().as_str())
        });
        let lines: Vec<&str> = kept.collect();
        self.head = format!("{}\r\n{and}\r\n", lines.join("\r\n")).into_bytes();
    }

    /// Has the server answer it: head and body as they came, of a connection that can go on.
    fn ask(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let mut once = Self {
            head: self.head.clone(),
            body: self.body.clone(),
        };
        once.edit(&["connection"], "Connection: close\r\n");
        let mut store = TcpStream::connect(server)?;
        store.write_all(&once.bytes())?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer)?;
        let head_len = find_end(&answer).ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = answer.split_off(head_len);
        let mut answer = Self { head: answer, body };
        answer.edit(&["connection"], "");
        Ok(answer.bytes())
    }
}

/// Where the body of an answer begins.
fn find_end(answer: &[u8]) -> Option<usize> {
    let found = answer.windows(4).position(|four| four == b"\r\n\r\n");
    found.map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every request with its first line.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let request = Message::read_request(&mut BufReader::new(&client));
                if let Ok(Some(request)) = request {
                    let line: Vec<u8> = request
                        .head
                        .iter()
                        .copied()
                        .take_while(|byte| *byte != b'\r')
                        .collect();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        line.len()
                    );
                    let _ = (&client).write_all(&[head.as_bytes(), &line].concat());
                }
            }
        });
        address
    }

    fn ask(proxy: &FaultProxy) -> String {
        let mut client = TcpStream::connect(proxy.address).expect("it listens");
        client
            .write_all(b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n")
            .expect("it reads");
        client.shutdown(Shutdown::Write).expect("connected");
        let mut answer = Vec::new();
        // A reset is an error here.
        let _ = client.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    #[test]
    fn requests_pass_or_meet_the_fault_that_was_chosen() {
        let proxy = FaultProxy::before(echo());
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nGET /a HTTP/1.1";
        assert_eq!(ask(&proxy), whole);
        for (fault, expected) in [
            (Fault::Delay, whole),
            (Fault::Repeat, whole),
            (Fault::LostRequest, ""),
            (Fault::LostAnswer, ""),
            (Fault::Reset, ""),
            (Fault::CutAnswer, &whole[..whole.len() - 8]),
        ] {
            proxy.fail(&[fault], 1, 0);
            assert_eq!(ask(&proxy), expected, "{fault:?}");
        }
        proxy.fail(&[Fault::SlowDown], 1, 0);
        assert!(ask(&proxy).contains("<Code>SlowDown</Code>"));
        assert_eq!(proxy.met(), 7);
    }
}
