//! What is between a program and the store: passes bytes on after a while, and counts them and the requests they are.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Bytes taken at once.
const PIECE_LEN: usize = 32 << 10;
/// Pieces of one connection on their way in one direction at most: 200 MB/s at ten milliseconds.
const PIECES_MAX: usize = 64;
/// The first line of a request ends so; what is sent besides is encrypted or compressed and hardly ever has it.
const MARK: &[u8] = b" HTTP/1.1\r\n";

/// An address behind which the store is, some way off.
#[derive(Debug)]
pub(crate) struct Line {
    port: u16,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    to_store: AtomicU64,
    from_store: AtomicU64,
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    pub(crate) requests: u64,
    /// Bytes to the store, headers included.
    pub(crate) sent: u64,
    /// Bytes from the store, headers included.
    pub(crate) received: u64,
}

impl Line {
    /// Begins to pass on to a port of this machine what comes, each byte after `delay`, in both directions.
    pub(crate) fn start(to: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let port = listener.local_addr()?.port();
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = join(client, to, delay, &counted) {
                    eprintln!("the line to the store: {error}");
                }
            }
        });
        Ok(Self { port, counters })
    }

    /// Where programs reach the store.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has passed since this was asked last.
    pub(crate) fn take(&self) -> Passed {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Passed {
            requests: take(&self.counters.requests),
            sent: take(&self.counters.to_store),
            received: take(&self.counters.from_store),
        }
    }
}

fn join(client: TcpStream, to: u16, delay: Duration, counters: &Arc<Counters>) -> io::Result<()> {
    let store = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    client.set_nodelay(true)?;
    store.set_nodelay(true)?;
    let (there, back) = (Arc::clone(counters), Arc::clone(counters));
    let mut scanner = Scanner::default();
    relay(
        client.try_clone()?,
        store.try_clone()?,
        delay,
        move |bytes| {
            there
                .to_store
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
            there
                .requests
                .fetch_add(scanner.count(bytes), Ordering::Relaxed);
        },
    );
    relay(store, client, delay, move |bytes| {
        back.from_store
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
    });
    Ok(())
}

/// One direction: one thread takes what comes and notes when it is due, another one hands it over then.
fn relay(
    from: TcpStream,
    to: TcpStream,
    delay: Duration,
    count: impl FnMut(&[u8]) + Send + 'static,
) {
    let (sender, receiver) = sync_channel(PIECES_MAX);
    thread::spawn(move || take_in(from, &sender, delay, count));
    thread::spawn(move || hand_over(to, &receiver));
}

fn take_in(
    mut from: TcpStream,
    sender: &SyncSender<(Instant, Vec<u8>)>,
    delay: Duration,
    mut count: impl FnMut(&[u8]),
) {
    let mut piece = vec![0; PIECE_LEN];
    while let Ok(len @ 1..) = from.read(&mut piece) {
        count(&piece[..len]);
        if sender
            .send((Instant::now() + delay, piece[..len].to_vec()))
            .is_err()
        {
            // Nobody takes it any more: whoever sends it has to know.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn hand_over(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    for (due, piece) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Finds the beginnings of requests, also where two pieces meet.
#[derive(Debug, Default)]
struct Scanner {
    /// How much of the mark has come.
    matched: usize,
}

impl Scanner {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut found = 0;
        for &byte in bytes {
            if byte == MARK[self.matched] {
                self.matched += 1;
                if self.matched == MARK.len() {
                    found += 1;
                    self.matched = 0;
                }
            } else {
                // No later part of the mark begins as the mark does.
                self.matched = usize::from(byte == MARK[0]);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_wherever_they_are_cut() {
        let text = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b  HTTP/1.1\r\n\r\nabc HTTP/1.0\r\n";
        for cut in 0..text.len() {
            let mut scanner = Scanner::default();
            let (one, two) = text.split_at(cut);
            assert_eq!(scanner.count(one) + scanner.count(two), 2, "{cut}");
        }
    }

    #[test]
    fn what_passes_arrives_late_and_is_counted() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap().port();
        let delay = Duration::from_millis(20);
        let line = Line::start(to, delay).unwrap();
        let store = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 17];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(b"answer").unwrap();
        });
        let started = Instant::now();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, line.port)).unwrap();
        client.write_all(b"GET /a HTTP/1.1\r\n").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
        assert!(started.elapsed() >= 2 * delay);
        store.join().unwrap();
        let passed = line.take();
        assert_eq!((passed.requests, passed.sent, passed.received), (1, 17, 6));
        assert_eq!(line.take().requests, 0);
    }
}
