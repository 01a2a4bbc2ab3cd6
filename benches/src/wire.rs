//! Repositories across a pipe: which program is at which end, and what is between them.

use std::io;
use std::path::PathBuf;

use ironborg_testkit::Program;

use crate::options::Options;

/// Milliseconds a byte is on its way on the long line, in each direction.
const DELAY_MS: u32 = 50;

/// Bytes a second on the long line, in each direction: 100 Mbit/s.
pub(crate) const RATE: f64 = 12_500_000.0;

/// The two ends of the column that is not stock Borg's, and what is between them in both columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) client: Program,
    pub(crate) server: Program,
    pub(crate) line: Line,
}

/// What is between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// As fast as the kernel moves bytes.
    Pipe,
    /// As over a good line to the other end of the world.
    Long,
}

/// What a client is told about its server.
#[derive(Debug, Clone)]
pub(crate) struct Far {
    /// `BORG_REMOTE_PATH`
    pub(crate) server: PathBuf,
    /// `BORG_RSH`
    pub(crate) rsh: String,
}

impl Far {
    pub(crate) fn new(server: PathBuf, line: Line, options: &Options) -> io::Result<Self> {
        let rsh = match line {
            // The host is dropped, and the rest takes the place of the shell.
            Line::Pipe => "sh -c 'shift; exec \"$@\"' --".to_owned(),
            Line::Long => format!(
                "'{}' --delay-ms {DELAY_MS} --rate {RATE} --",
                options.wire_proxy.canonicalize()?.display()
            ),
        };
        Ok(Self { server, rsh })
    }
}
