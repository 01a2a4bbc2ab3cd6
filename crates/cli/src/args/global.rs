//! Options every command has, before or after its name.

use clap::ArgAction;
use ironborg_types::{Level, MemoryLimit};

use super::values;

/// Heading of these options in help texts.
pub(crate) const HEADING: &str = "Common options";
/// umask of the process unless told otherwise: repositories and keys are nobody else's business.
const UMASK: &str = "0077";

/// Options every command has.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct CommonArgs {
    /// Show this help and exit
    #[arg(short = 'h', long, action = ArgAction::SetTrue)]
    help: bool,
    /// Show only critical messages
    #[arg(long)]
    critical: bool,
    /// Show errors, but no warnings
    #[arg(long)]
    error: bool,
    /// Show warnings and errors (the default)
    #[arg(long)]
    warning: bool,
    /// Tell what is being done
    #[arg(long, short = 'v', alias = "verbose")]
    info: bool,
    /// Tell what is being done in detail
    #[arg(long)]
    debug: bool,
    /// Show debug messages of logger borg.debug.TOPIC (or of the logger of that full name)
    #[arg(long, value_name = "TOPIC")]
    debug_topic: Vec<String>,
    /// Show progress
    #[arg(short = 'p', long)]
    pub(crate) progress: bool,
    /// Show sizes in KiB, MiB ... instead of kB, MB ...
    #[arg(long)]
    pub(crate) iec: bool,
    /// Write messages as JSON, one object per line
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Wait at most SECONDS for locks [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = values::int, default_value = "1", hide_default_value = true)]
    pub(crate) lock_wait: i64,
    /// Do not lock the repository (read-only commands)
    #[arg(long)]
    pub(crate) bypass_lock: bool,
    /// Show the version of Borg
    #[arg(long)]
    pub(crate) show_version: bool,
    /// Show the exit code
    #[arg(long)]
    pub(crate) show_rc: bool,
    /// Permissions that new files do not get [default: 0077]
    #[arg(long, value_name = "M", value_parser = values::octal, default_value = UMASK, hide_default_value = true)]
    pub(crate) umask: u32,
    /// Program to start on the other host
    #[arg(long, value_name = "PATH")]
    pub(crate) remote_path: Option<std::ffi::OsString>,
    /// Send at most RATE KiB/s to the other host
    #[arg(long, value_name = "RATE", value_parser = values::int, alias = "remote-ratelimit")]
    pub(crate) upload_ratelimit: Option<i64>,
    /// Buffer what is sent to the other host in so many MiB
    #[arg(long, value_name = "UPLOAD_BUFFER", value_parser = values::int, alias = "remote-buffer")]
    pub(crate) upload_buffer: Option<i64>,
    /// Treat parts of files that a checkpoint has left as files
    #[arg(long)]
    pub(crate) consider_part_files: bool,
    /// Accepted and ignored: there is no interpreter to profile
    #[arg(long, value_name = "FILE", hide = true)]
    debug_profile: Option<std::ffi::OsString>,
    /// Command to connect to the other host with
    #[arg(long, value_name = "RSH")]
    pub(crate) rsh: Option<std::ffi::OsString>,
    /// Work with N threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = values::positive)]
    pub(crate) threads: Option<usize>,
    /// Take at most SIZE of memory, such as 200M, as far as possible
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_memory: Option<u64>,
    /// Try for SECONDS to restore a lost connection to the other host; 0 to end at once [default: 300 for commands that take long]
    #[arg(long, value_name = "SECONDS", value_parser = values::int)]
    pub(crate) reconnect: Option<i64>,
}

impl CommonArgs {
    /// The threshold of log messages; the reader has left one of the switches at most.
    pub(crate) fn level(&self) -> Level {
        match (self.critical, self.error, self.info, self.debug) {
            (true, ..) => Level::Critical,
            (_, true, ..) => Level::Error,
            (_, _, true, _) => Level::Info,
            (_, _, _, true) => Level::Debug,
            _ => Level::Warning,
        }
    }

    /// How much memory may be taken.
    pub(crate) fn memory(&self) -> MemoryLimit {
        self.max_memory
            .map_or(MemoryLimit::NONE, MemoryLimit::bytes)
    }

    /// Takes over what the client of a server may decide.
    ///
    /// Source: Borg 1.4, `Archiver.get_args`.
    pub(crate) fn adopt(&mut self, client: &Self) {
        self.critical = client.critical;
        self.error = client.error;
        self.warning = client.warning;
        self.info = client.info;
        self.debug = client.debug;
        self.debug_topic.clone_from(&client.debug_topic);
        self.lock_wait = client.lock_wait;
    }

    /// Full names of the loggers `--debug-topic` asks for.
    pub(crate) fn topics(&self) -> Vec<String> {
        let full = |topic: &String| {
            if topic.contains('.') {
                topic.clone()
            } else {
                format!("borg.debug.{topic}")
            }
        };
        self.debug_topic.iter().map(full).collect()
    }
}
