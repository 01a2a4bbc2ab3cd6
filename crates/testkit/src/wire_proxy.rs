//! Repositories behind a line that is slow, narrow or cut: `tests/wire-proxy` in the place of ssh.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::program::build_dir;
use crate::{Home, Program};

/// A line to a server on this machine, being described.
#[derive(Debug, Clone, Default)]
pub struct WireProxy {
    options: Vec<String>,
}

impl WireProxy {
    /// A line without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more option of the program, as its `--help` has it.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Display) -> Self {
        self.options.push(name.to_owned());
        self.options.push(value.to_string());
        self
    }

    /// Lets every byte be on its way for so long, in either direction.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.option("--delay-ms", delay.as_millis())
    }

    /// Lets so many bytes a second pass in either direction.
    #[must_use]
    pub fn rate(self, rate: u64) -> Self {
        self.option("--rate", rate)
    }

    /// Cuts connections at the request of this number of a method; `when` is one of the moments of `--help`.
    #[must_use]
    pub fn cut_method(self, method: &str, number: u64, when: &str) -> Self {
        self.option("--cut-method", format!("{method}:{number}:{when}"))
    }

    /// Counts connections in a file that does not exist yet.
    #[must_use]
    pub fn state(self, path: &Path) -> Self {
        self.option("--state", path.display())
    }

    /// Writes down every message in a file.
    #[must_use]
    pub fn log(self, path: &Path) -> Self {
        self.option("--log", path.display())
    }

    /// What `BORG_RSH` is to be.
    ///
    /// # Panics
    /// When the program has not been built.
    pub fn rsh(&self) -> String {
        let program = build_dir().join("wire-proxy");
        assert!(
            program.is_file(),
            "the wire is missing: {} (built by `cargo build --workspace --bins`)",
            program.display()
        );
        let words = [program.display().to_string()].into_iter();
        let quoted = words
            .chain(self.options.iter().cloned())
            .map(|word| format!("'{word}'"));
        quoted
            .chain(["--".to_owned()])
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The machine, with its remote repositories behind this line and served by `server`.
    #[must_use]
    pub fn before(&self, home: &Home, server: Program) -> Home {
        home.with("BORG_RSH", self.rsh())
            .with("BORG_REMOTE_PATH", server.path())
    }

    /// The location of a repository on the other side; any host will do.
    pub fn url(repository: &Path) -> String {
        format!("ssh://far.example{}", repository.display())
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireMessage {
    /// Number of the connection, from 1.
    pub dial: u64,
    /// From the client; otherwise it is a reply.
    pub is_request: bool,
    /// When a request came from the client, or the reply was handed to it; since the connection began.
    pub at: Duration,
    /// Bytes.
    pub size: u64,
    /// What request and reply have in common.
    pub id: Option<u64>,
    /// The method of a request, the error of a reply that is one.
    pub word: Option<String>,
}

impl WireMessage {
    /// Reads a log, in the order the client saw things happen.
    ///
    /// # Panics
    /// When it is not one.
    pub fn read_all(path: &Path) -> Vec<Self> {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut messages: Vec<Self> = text.lines().map(Self::parse).collect();
        messages.sort_by_key(|message| (message.dial, message.at));
        messages
    }

    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [dial, mark, micros, size, id, word] = words[..] else {
            panic!("no line of a log: {line:?}");
        };
        let number = |word: &str| -> u64 { word.parse().expect("a number") };
        Self {
            dial: number(dial),
            is_request: mark == ">",
            at: Duration::from_micros(number(micros)),
            size: number(size),
            id: (id != "-").then(|| number(id)),
            word: (word != "-").then(|| word.to_owned()),
        }
    }

    /// How often the client had nothing under way and everything answered before it asked again: the round trips
    /// that a long line makes it wait for.
    pub fn turns(messages: &[Self]) -> usize {
        let mut turns = 0;
        let mut open = 0_usize;
        for message in messages {
            if message.is_request {
                turns += usize::from(open == 0);
                open += 1;
            } else {
                open = open.saturating_sub(1);
            }
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_not_requests() {
        let lines = "1 > 10 35 1 negotiate\n1 < 20 25 1 -\n1 > 30 51 2 get\n1 > 31 51 3 get\n\
                     1 < 40 436 2 -\n1 > 41 51 4 get\n1 < 42 436 3 -\n1 < 43 99 4 ObjectNotFound\n1 > 50 9 5 rollback";
        let messages: Vec<WireMessage> = lines.lines().map(WireMessage::parse).collect();
        assert_eq!(WireMessage::turns(&messages), 3);
        assert_eq!(messages[7].word.as_deref(), Some("ObjectNotFound"));
        assert!(messages[0].is_request && !messages[1].is_request);
    }
}
