//! Deleting the archives that no retention rule keeps.
//!
//! Source: Borg 1.4, `do_prune`.

mod rules;

use ironborg_source::pattern::NameGlob;
use ironborg_types::{BytePath, Event, Level, PercentProgress, Timestamp, text};

pub use rules::{Period, Reason, Retention, apply};

use crate::delete::RemovalOptions;
use crate::delete::removal::{Next, Removal};
use crate::selection::{ArchiveAges, ListedArchive, checkpoint_of, listed};
use crate::statistics::ArchiveStatistics;
use crate::{ArchiveError, Session};

const LOGGER: &str = "borg.archiver";

/// What is kept of which archives, and how the rest goes.
pub struct PruneOptions<'a> {
    /// Only archives whose names match, and their checkpoints; the rest is not looked at.
    pub glob: Option<NameGlob>,
    /// Only archives of these ages.
    pub ages: ArchiveAges,
    /// The rules.
    pub retention: Retention,
    /// Seconds of the local clock since 1970 at a time.
    pub local_seconds: &'a dyn Fn(Timestamp) -> i64,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// How archives are deleted.
    pub removal: RemovalOptions,
    /// Whether each archive is listed (`--list`).
    pub list: bool,
    /// One archive as a line of that list.
    pub format_archive: &'a dyn Fn(&ListedArchive) -> String,
}

/// What was deleted.
#[derive(Debug)]
pub struct PruneOutcome {
    /// How many were deleted.
    pub count: usize,
    /// Figures of the deleted archives, negative.
    pub deleted: ArchiveStatistics,
}

/// What happens to an archive.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept(Reason),
    KeptCheckpoint,
    Pruned,
}

/// Deletes what no rule keeps, and commits.
///
/// # Errors
/// [`ArchiveError::Interrupted`] after a signal: what was deleted by then is committed. Damage that is
/// not put up with: nothing since the last commit is deleted.
pub fn prune_archives(
    session: &mut Session,
    options: &PruneOptions<'_>,
) -> Result<PruneOutcome, ArchiveError> {
    let fates = decide(session, options)?;
    let doomed: Vec<&ListedArchive> = fates
        .iter()
        .filter(|(_, fate)| matches!(fate, Fate::Pruned))
        .map(|(archive, _)| archive)
        .collect();
    let mut steps = Steps::start(session, options, doomed.len());
    if options.dry_run || doomed.is_empty() {
        for (archive, fate) in &fates {
            steps.begin(*fate);
            steps.list(archive, *fate);
        }
        steps.finish();
        return Ok(PruneOutcome {
            count: 0,
            deleted: ArchiveStatistics::default(),
        });
    }
    let names: Vec<&BytePath> = doomed.iter().map(|archive| &archive.name).collect();
    let mut removal = Removal::begin(session, &names, options.removal)?;
    for (archive, fate) in &fates {
        steps.begin(*fate);
        let next = match fate {
            Fate::Pruned => removal.remove(archive)?,
            _ => Next::GoOn,
        };
        steps.list(archive, *fate);
        if next == Next::Stop {
            steps.finish();
            return Err(ArchiveError::Interrupted);
        }
    }
    steps.finish();
    let count = doomed.len();
    let deleted = removal.finish()?;
    Ok(PruneOutcome { count, deleted })
}

/// Applies the rules to the archives asked for; the result is newest first.
fn decide(
    session: &Session,
    options: &PruneOptions<'_>,
) -> Result<Vec<(ListedArchive, Fate)>, ArchiveError> {
    let now = Timestamp::now();
    let mut candidates = listed(&session.manifest, |name| match &options.glob {
        None => true,
        Some(glob) => {
            let whole_or_stem = [Some(name), checkpoint_of(name)];
            whole_or_stem
                .into_iter()
                .flatten()
                .any(|name| glob.matches(&text::display(name)))
        }
    })?;
    options.ages.retain(&mut candidates, now);
    newest_first(&mut candidates);
    let is_checkpoint = |archive: &ListedArchive| checkpoint_of(&archive.name).is_some();
    // Of checkpoints only the newest stays, as long as no finished backup is newer.
    let kept_checkpoint = candidates.first().is_some_and(is_checkpoint);
    // Rules do not see checkpoints: one would be kept instead of a finished backup.
    let archives: Vec<ListedArchive> = candidates
        .iter()
        .filter(|archive| !is_checkpoint(archive))
        .cloned()
        .collect();
    let reasons = apply(&archives, &options.retention, now, options.local_seconds);
    let kept = reasons.iter().flatten().count();
    let checkpoints = candidates.len() - archives.len();
    let kept_checkpoints = usize::from(kept_checkpoint);
    let all_checkpoints = session
        .manifest
        .archives
        .keys()
        .filter(|name| checkpoint_of(name).is_some())
        .count();
    for message in [
        format!(
            "Repository contains {} normal archives and {all_checkpoints} checkpoint archives.",
            session.manifest.archives.len() - all_checkpoints,
        ),
        format!(
            "Applying rules to the matching {} archives and {checkpoints} checkpoints...",
            archives.len(),
        ),
        format!(
            "Keeping {kept} archives and {kept_checkpoints} checkpoints, pruning {} archives and {} checkpoints.",
            archives.len() - kept,
            checkpoints - kept_checkpoints,
        ),
    ] {
        session.client.log(Level::Info, LOGGER, message);
    }
    let mut reasons = reasons.into_iter();
    let fates = candidates.into_iter().enumerate().map(|(index, archive)| {
        let fate = if is_checkpoint(&archive) {
            match index {
                0 => Fate::KeptCheckpoint,
                _ => Fate::Pruned,
            }
        } else {
            let reason = reasons.next().expect("one for each that is no checkpoint");
            reason.map_or(Fate::Pruned, Fate::Kept)
        };
        (archive, fate)
    });
    Ok(fates.collect())
}

/// Sorts as the rules want it; of archives with the same time the last comes first.
pub fn newest_first(archives: &mut [ListedArchive]) {
    archives.sort_by_key(|archive| archive.time);
    archives.reverse();
}

/// Shows what is done: lines of the list, and progress.
struct Steps<'a> {
    client: crate::Client,
    options: &'a PruneOptions<'a>,
    doomed: usize,
    pruned: usize,
    progress: PercentProgress,
}

impl<'a> Steps<'a> {
    fn start(session: &Session, options: &'a PruneOptions<'a>, doomed: usize) -> Self {
        let client = session.client.clone();
        let progress =
            PercentProgress::start(client.reporter.as_ref(), "prune", doomed as u64, 5.0);
        Self {
            client,
            options,
            doomed,
            pruned: 0,
            progress,
        }
    }

    fn begin(&mut self, fate: Fate) {
        if matches!(fate, Fate::Pruned) {
            self.pruned += 1;
            let reporter = self.client.reporter.as_ref();
            self.progress.advance(reporter, 1, None, |percent| {
                format!("Pruning archives {percent:3.0}%")
            });
        }
    }

    fn list(&self, archive: &ListedArchive, fate: Fate) {
        if !self.options.list {
            return;
        }
        let message = match fate {
            Fate::Kept(reason) => format!("Keeping archive (rule: {reason}):"),
            Fate::KeptCheckpoint => "Keeping checkpoint archive:".to_owned(),
            Fate::Pruned if self.options.dry_run => "Would prune:".to_owned(),
            Fate::Pruned => format!("Pruning archive ({}/{}):", self.pruned, self.doomed),
        };
        let line = format!("{message:<44} {}", (self.options.format_archive)(archive));
        self.client.reporter.report(Event::List(line.into()));
    }

    fn finish(&self) {
        self.progress.finish(self.client.reporter.as_ref());
    }
}
