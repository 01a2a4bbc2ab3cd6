//! `mirror`: keeps a copy of a repository in step.

use std::ffi::OsString;
use std::sync::Arc;

use ironborg_repository::{MirrorFigures, MirrorOptions as Mirroring};
use ironborg_storage::{FencedStorage, LocalStorage, Retention, Storage, real_path};

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::output::size::{SizeUnits, format_count};
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::{self, PolledOperation, last_will};

/// What may be typed.
///
/// The copy is a repository of its own, whole at every moment: it has the last commit it had or the one it gets. Only what it
/// lacks is sent, and each entry is compared with its checksum on the way. What was interrupted goes on where it was.
#[derive(Debug, clap::Args)]
pub(crate) struct MirrorArgs {
    /// Repository to copy: a directory, or one on an object store
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Where the copy is: an object store (s3://BUCKET/PREFIX), or a directory
    #[arg(value_name = "MIRROR", required = true)]
    target: OsString,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Show figures of what was done
    #[arg(short = 's', long)]
    stats: bool,
    /// Read what the copy has, too, and send again what differs
    #[arg(long)]
    verify: bool,
    /// Keep each segment of the copy from being removed for so long (S3 with Object Lock), such as 30d or 1y,compliance
    #[arg(long, value_name = "TIME", value_parser = values::retention)]
    retain: Option<Retention>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct MirrorOptions {
    location: Location,
    target: Location,
    dry_run: bool,
    stats: bool,
    verify: bool,
    retain: Option<Retention>,
}

impl MirrorArgs {
    /// Resolves the locations.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<MirrorOptions, ParseError> {
        let location = |name, value| parse.location(name, value, ArchivePart::Forbidden, None);
        Ok(MirrorOptions {
            location: location("REPOSITORY", &self.location)?,
            target: location("MIRROR", &self.target)?,
            dry_run: self.dry_run,
            stats: self.stats,
            verify: self.verify,
            retain: self.retain,
        })
    }
}

impl Run for MirrorOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                stats: self.stats,
                ..OutputLoggers::default()
            },
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let is_store = matches!(self.target.protocol, Protocol::Bucket(_));
        if self.retain.is_some() && !is_store {
            return Err(CliError::generic("--retain is for mirrors on S3."));
        }
        let source = files_of(context, &self.location)?;
        let target = files_of(context, &self.target)?;
        let options = Mirroring {
            open: context.open_options(Access::Read),
            interrupt: Some(&signals::INTERRUPT),
            dry_run: self.dry_run,
            verify: self.verify,
            retain: self.retain,
        };
        let _polled = PolledOperation::begin();
        let done = ironborg_repository::mirror(&source, &target, &options);
        if done.is_err() {
            signals::check()?;
        }
        let figures = done?;
        if figures.replaced > 0 {
            context.reporter.exit.add_generic_warning();
        }
        if self.stats {
            let block = block(&figures, self.dry_run, context.units());
            context.reporter.stats(&block);
        }
        Ok(())
    }
}

/// The files of a repository, whatever keeps them.
fn files_of(context: &Context, location: &Location) -> Result<Arc<dyn Storage>, CliError> {
    match &location.protocol {
        Protocol::Bucket(url) => context.bucket_storage(url),
        Protocol::Ssh { .. } => Err(CliError::generic(format!(
            "A server does not hand out the files of a repository; run this on the host that has them: {}",
            context.canonical(location)
        ))),
        Protocol::File => {
            let path = context.local_path(location)?;
            let path = real_path(&path).map_err(|error| CliError::generic(error.to_string()))?;
            let fence = last_will::fence(&path, &context.lock_owner());
            Ok(Arc::new(FencedStorage::new(
                LocalStorage::new(&path),
                fence,
            )))
        }
    }
}

/// The figures as text.
fn block(figures: &MirrorFigures, dry_run: bool, units: SizeUnits) -> String {
    let line = |what: &str, count: u64, size: u64| {
        let label = format!("Segments {what}:");
        format!("{label:22}{count:>10} {:>20}", format_count(size, units))
    };
    let [sent, removed] = if dry_run {
        ["to be sent", "to be removed"]
    } else {
        ["sent", "removed"]
    };
    let mut lines = Vec::new();
    if let Some(commit) = figures.commit {
        lines.push(format!("Transaction:          {:>10}", commit.to_string()));
    }
    lines.push(line(sent, figures.sent, figures.sent_size));
    lines.push(line("there already", figures.kept, figures.kept_size));
    lines.push(line(removed, figures.removed, figures.removed_size));
    if figures.left > 0 {
        lines.push(format!(
            "{} segments stay that the repository has removed: the copy is append-only.",
            figures.left
        ));
    }
    if figures.replaced > 0 {
        lines.push(format!(
            "{} segments were not what they should be.",
            figures.replaced
        ));
    }
    if !dry_run {
        let size = format_count(figures.files_size, units);
        lines.push(format!("Index and other files:           {size:>20}"));
    }
    lines.join("\n")
}
