//! The log of messages: what a test counts round trips in.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::gate::Direction;
use crate::scanner::Scanner;

/// Writes down one direction of one connection.
#[derive(Debug)]
pub(crate) struct Record {
    file: File,
    dial: u64,
    mark: char,
    scanner: Scanner,
    /// Something went by that is no message; nothing after it can be told apart.
    lost: bool,
}

impl Record {
    pub(crate) fn open(path: &Path, dial: u64, direction: Direction) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mark = match direction {
            Direction::ToServer => '>',
            Direction::ToClient => '<',
        };
        Ok(Self {
            file,
            dial,
            mark,
            scanner: Scanner::new(),
            lost: false,
        })
    }

    /// Adds a line for every message that ends in these bytes.
    pub(crate) fn note(&mut self, now: Duration, mut bytes: &[u8]) -> io::Result<()> {
        while !self.lost && !bytes.is_empty() {
            let Ok((used, message)) = self.scanner.scan(bytes) else {
                self.lost = true;
                break;
            };
            bytes = &bytes[used..];
            let Some(message) = message else { break };
            let id = message.id.map_or("-".to_owned(), |id| id.to_string());
            let word = message.word.unwrap_or("-".to_owned());
            let (dial, mark, micros, size) = (self.dial, self.mark, now.as_micros(), message.size);
            // One write for a line: both directions append to the same file.
            let line = format!("{dial} {mark} {micros} {size} {id} {word}\n");
            self.file.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}
