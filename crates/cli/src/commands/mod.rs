//! One module for each command: what may be typed, what will be done, and doing it.

/// Defines an enum of commands; `=>` marks one that has commands of its own.
macro_rules! commands {
    (
        $(#[doc = $doc:literal])* $name:ident
        $($(#[doc = $about:literal])* $variant:ident $(($args:path))? $(=> $group:path)?,)+
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum $name {
            $(
                $(#[doc = $about])*
                $(#[command(subcommand, subcommand_value_name = "command")] $variant($group),)?
                $($variant($crate::commands::WithCommon<$args>),)?
            )+
        }

        impl $name {
            /// The options every command has.
            pub(crate) fn common(&self) -> &$crate::args::global::CommonArgs {
                match self {
                    $(Self::$variant(args) => commands!(@common args $($group)?),)+
                }
            }

            /// Turns words into options.
            pub(crate) fn resolve(
                self,
                parse: &$crate::parse::ParseContext<'_>,
            ) -> Result<Box<dyn $crate::commands::Run>, $crate::args::ParseError> {
                Ok(match self {
                    $(Self::$variant(args) => commands!(@resolve args parse $($group)?),)+
                })
            }
        }
    };
    (@common $args:ident) => { &$args.common };
    (@common $args:ident $group:path) => { $args.common() };
    (@resolve $args:ident $parse:ident) => { Box::new($args.own.resolve($parse)?) };
    (@resolve $args:ident $parse:ident $group:path) => { $args.resolve($parse)? };
}

pub(crate) mod automount;
pub(crate) mod backup;
pub(crate) mod benchmark;
pub(crate) mod break_lock;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod export_tar;
pub(crate) mod extract;
pub(crate) mod help;
pub(crate) mod import_tar;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod mirror;
pub(crate) mod mount;
pub(crate) mod prune;
pub(crate) mod recreate;
pub(crate) mod rename;
pub(crate) mod repos;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod umount;
pub(crate) mod upgrade;
pub(crate) mod version;
pub(crate) mod with_lock;

use crate::args::global::CommonArgs;
use crate::context::Context;
use crate::error::CliError;
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

commands! {
    /// The commands.
    Command
    /// Back up files with nothing configured
    Backup(backup::BackupArgs),
    /// Bring files back from the newest backup that has them
    Restore(restore::RestoreArgs),
    /// Make a repository
    Init(init::InitArgs),
    /// Make an archive of files
    Create(create::CreateArgs),
    /// Extract the files of an archive into the current directory
    Extract(extract::ExtractArgs),
    /// List archives, or the files of an archive
    List(list::ListArgs),
    /// Show facts and figures of a repository or of archives
    Info(info::InfoArgs),
    /// Show what differs between two archives
    Diff(diff::DiffArgs),
    /// Rename an archive
    Rename(rename::RenameArgs),
    /// Delete archives, or a whole repository
    Delete(delete::DeleteArgs),
    /// Delete archives that no rule keeps
    Prune(prune::PruneArgs),
    /// Free the space of what was deleted
    Compact(compact::CompactArgs),
    /// Keep a copy of a repository in step
    Mirror(mirror::MirrorArgs),
    /// Check a repository and its archives
    Check(check::CheckArgs),
    /// Rewrite archives: leave files out, compress or cut them anew
    Recreate(recreate::RecreateArgs),
    /// Show archives as directories
    Mount(mount::MountArgs),
    /// Take a mounted archive away
    Umount(umount::UmountArgs),
    /// Show repositories that open when they are entered
    Automount => automount::AutomountCommand,
    /// Back up by itself: jobs, schedules, notification
    Jobs => jobs::JobsCommand,
    /// Keep the repositories of a server's clients
    Repos => repos::ReposCommand,
    /// Write an archive as a tarball
    ExportTar(export_tar::ExportTarArgs),
    /// Make an archive of a tarball
    ImportTar(import_tar::ImportTarArgs),
    /// Show or change a repository's settings
    Config(config::ConfigArgs),
    /// Run a command while the repository is locked
    WithLock(with_lock::WithLockArgs),
    /// Remove locks that a dead process left
    BreakLock(break_lock::BreakLockArgs),
    /// Bring an old repository up to date
    Upgrade(upgrade::UpgradeArgs),
    /// Serve repositories to clients on other hosts
    Serve(serve::ServeArgs),
    /// Show the versions of client and server
    Version(version::VersionArgs),
    /// Keep keys safe and change their passphrases
    Key => key::KeyCommand,
    /// Measure how fast things are
    Benchmark => benchmark::BenchmarkCommand,
    /// Look into a repository (for those who know what they do)
    Debug => debug::DebugCommand,
    /// Show help on a command or topic
    Help(help::HelpArgs),
    /// Write a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a directory
    Man(man::ManArgs),
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
    /// Whether figures of an archive in the making are text in decimal units, whatever the options say.
    pub(crate) plain_archive_progress: bool,
    /// Whether standard error is read by a client: lines are marked as its, and it decides what to show of
    /// progress.
    pub(crate) serves: bool,
    /// Whether it takes so long that a lost connection is worth restoring.
    pub(crate) takes_long: bool,
    /// Whether it goes on in the background, once nothing can be complained of any more.
    pub(crate) detaches: bool,
}

/// Statistics that were asked for and that a dry run has none of.
pub(crate) fn without_effect(dry_run: bool, stats: bool, quick_stats: bool) -> Vec<&'static str> {
    let statistics = [("--stats", stats), ("--quick-stats", quick_stats)];
    let ignored = statistics
        .into_iter()
        .filter(|(_, given)| dry_run && *given);
    ignored.map(|(option, _)| option).collect()
}

/// A command whose words have become options.
pub(crate) trait Run {
    /// What the program has to know beforehand.
    fn traits(&self) -> Traits;

    /// Does it.
    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError>;
}
