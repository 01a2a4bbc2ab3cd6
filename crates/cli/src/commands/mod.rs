//! One module for each command: what may be typed, what will be done, and doing it.

pub(crate) mod backup;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod extract;
pub(crate) mod help;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod rename;
pub(crate) mod restore;

use crate::args::ParseError;
use crate::args::global::CommonArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::reporter::levels::OutputLoggers;

/// Deduplicating backups: compressed, encrypted, and readable by BorgBackup 1.4
#[derive(Debug, clap::Parser)]
#[command(
    name = "ironborg",
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true,
    infer_subcommands = false,
    subcommand_value_name = "command"
)]
pub(crate) struct Program {
    /// Show the version and exit
    #[arg(short = 'V', long, action = clap::ArgAction::SetTrue)]
    version: bool,
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Back up files with nothing configured
    Backup(WithCommon<backup::BackupArgs>),
    /// Bring files back from the newest backup that has them
    Restore(WithCommon<restore::RestoreArgs>),
    /// Make a repository
    Init(WithCommon<init::InitArgs>),
    /// Make an archive of files
    Create(WithCommon<create::CreateArgs>),
    /// Extract the files of an archive into the current directory
    Extract(WithCommon<extract::ExtractArgs>),
    /// List archives, or the files of an archive
    List(WithCommon<list::ListArgs>),
    /// Show facts and figures of a repository or of archives
    Info(WithCommon<info::InfoArgs>),
    /// Rename an archive
    Rename(WithCommon<rename::RenameArgs>),
    /// Delete archives, or a whole repository
    Delete(WithCommon<delete::DeleteArgs>),
    /// Show help on a command or topic
    Help(WithCommon<help::HelpArgs>),
}

/// A command's own arguments with those every command has.
#[derive(Debug, clap::Args)]
pub(crate) struct WithCommon<A: clap::Args> {
    #[command(flatten)]
    pub(crate) own: A,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What a command needs to be told before it runs.
#[derive(Debug, Default)]
pub(crate) struct Traits {
    /// Loggers its options switch on.
    pub(crate) output: OutputLoggers,
    /// Status letters its `--filter` lets through.
    pub(crate) status_filter: Option<String>,
    /// Options without effect in a dry run, to be warned about.
    pub(crate) ignored: Vec<&'static str>,
    /// Whether `--bypass-lock` is accepted.
    pub(crate) may_bypass_lock: bool,
    /// Whether progress is shown on a terminal without being asked for.
    pub(crate) progress_on_terminal: bool,
}

/// A command whose words have become options.
pub(crate) trait Run {
    /// What the program has to know beforehand.
    fn traits(&self) -> Traits;

    /// Does it.
    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError>;
}

impl Command {
    /// The options every command has.
    pub(crate) fn common(&self) -> &CommonArgs {
        match self {
            Self::Backup(args) => &args.common,
            Self::Restore(args) => &args.common,
            Self::Init(args) => &args.common,
            Self::Create(args) => &args.common,
            Self::Extract(args) => &args.common,
            Self::List(args) => &args.common,
            Self::Info(args) => &args.common,
            Self::Rename(args) => &args.common,
            Self::Delete(args) => &args.common,
            Self::Help(args) => &args.common,
        }
    }

    /// Turns words into options.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<Box<dyn Run>, ParseError> {
        Ok(match self {
            Self::Backup(args) => Box::new(args.own.resolve(parse)?),
            Self::Restore(args) => Box::new(args.own.resolve(parse)?),
            Self::Init(args) => Box::new(args.own.resolve(parse)?),
            Self::Create(args) => Box::new(args.own.resolve(parse)?),
            Self::Extract(args) => Box::new(args.own.resolve(parse)?),
            Self::List(args) => Box::new(args.own.resolve(parse)?),
            Self::Info(args) => Box::new(args.own.resolve(parse)?),
            Self::Rename(args) => Box::new(args.own.resolve(parse)?),
            Self::Delete(args) => Box::new(args.own.resolve(parse)?),
            Self::Help(args) => Box::new(args.own.resolve()?),
        })
    }
}
