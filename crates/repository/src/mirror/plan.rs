//! What has to be done so that the target has what the source has, and whether that may be done at all.

use std::collections::BTreeSet;

use ironborg_format::config::{Config, parse_boolean, parse_integer};
use ironborg_format::segment::COMMIT_SEGMENT_SIZE;
use ironborg_storage::Retention;
use ironborg_types::SegmentId;

use super::reading::is_same;
use super::record::{RECORD, Record};
use super::side::{Contents, refused};
use super::{Mirroring, Trouble};
use crate::lock::Lock;
use crate::segments::DATA;
use crate::settings::{CONFIG, RETAIN, SECTION};

/// How much of a segment is compared at either end to see whether both sides have a common past.
const SAMPLE_LEN: u64 = 64 << 10;

/// A segment of the source and its size there.
pub(super) type Sized = (SegmentId, u64);

/// What has to be done, in this order.
pub(super) struct Plan {
    /// For how long segments of the target stay; its own decision.
    pub(super) retain: Option<Retention>,
    /// The transaction the target will have.
    pub(super) commit: SegmentId,
    /// What the source has of it.
    pub(super) wanted: Contents,
    /// What the target has.
    pub(super) there: Contents,
    /// The target's config; none means that it is no repository before it has one.
    pub(super) config: Option<Vec<u8>>,
    /// What the target says of itself.
    pub(super) record: Option<Record>,
    /// The transaction the target has now.
    pub(super) done: Option<SegmentId>,
    /// Whether that is the commit already.
    pub(super) is_committed: bool,
    /// Sent before the commit.
    pub(super) send: Vec<Sized>,
    /// There but for the COMMIT at the end, or of nothing but a COMMIT: sent when a later commit is there.
    pub(super) later: Vec<Sized>,
    /// Not what the source has: sent anew when the commit is there.
    pub(super) replace: Vec<Sized>,
    /// Whether one of those has another size, so that an index may lead to other places.
    pub(super) moves_objects: bool,
    /// Segments the source does not have any more.
    pub(super) remove: Vec<Sized>,
    /// The target says of itself that nothing may be removed.
    pub(super) is_append_only: bool,
}

impl Plan {
    /// Whether the target is no repository yet.
    pub(super) fn is_new(&self) -> bool {
        self.config.is_none()
    }
}

impl Mirroring<'_> {
    /// Compares both sides.
    pub(super) fn plan(&self) -> Result<Plan, Trouble> {
        let seen = if self.is_still {
            self.source.source()
        } else {
            self.source.settled()
        };
        let (commit, wanted) = seen.map_err(Trouble::Source)?;
        let there = self.target.look()?;
        let record = match self.target.read(RECORD)? {
            Some(bytes) => {
                let damaged = || refused(format!("{} is damaged", self.target_path(RECORD)));
                Some(Record::decode(&bytes).ok_or_else(damaged)?)
            }
            None => None,
        };
        let config = self.target.read(CONFIG)?;
        let settings = self.settings_there(config.as_deref(), record.as_ref())?;
        let retain = settings
            .as_ref()
            .map_or(self.options.retain, |settings| settings.retain);
        if let Some(retention) = retain
            && let Some(conditional) = self.target.storage.conditional()
            && !self.options.dry_run
        {
            conditional.can_retain()?;
            conditional.retain(DATA, retention)?;
        }
        let mut plan = Plan {
            retain,
            commit,
            done: None,
            is_committed: false,
            is_append_only: settings
                .as_ref()
                .is_some_and(|settings| settings.is_append_only),
            wanted,
            there,
            config,
            record,
            send: Vec::new(),
            later: Vec::new(),
            replace: Vec::new(),
            moves_objects: false,
            remove: Vec::new(),
        };
        if !plan.is_new() {
            let done = self.commit_there(&plan)?;
            plan.done = Some(done);
            plan.is_committed = done == commit;
        }
        let (_, fences) = Lock::left_out(&*self.target.storage)?;
        self.compare(&mut plan, &fences)?;
        self.compare_past(&plan)?;
        let stays = |segment: &SegmentId| {
            plan.wanted.segments.contains_key(segment)
                || fences.contains(&self.target.log.name(*segment))
        };
        let there = plan.there.segments.iter();
        let gone = there.filter(|(segment, _)| !stays(segment));
        plan.remove = gone.map(|(&segment, &size)| (segment, size)).collect();
        Ok(plan)
    }

    /// What the config of the target says; an error if it is that of something else.
    fn settings_there(
        &self,
        config: Option<&[u8]>,
        record: Option<&Record>,
    ) -> Result<Option<SettingsThere>, Trouble> {
        let place = self.target_path("");
        if let Some(record) = record.filter(|record| record.of != self.settings.id) {
            return Err(refused(format!(
                "{place} is a mirror of repository {}, not of {}",
                record.of, self.settings.id
            ))
            .into());
        }
        let Some(config) = config else {
            return Ok(None);
        };
        let damaged = || refused(format!("the config in {place} is no repository's"));
        let text = std::str::from_utf8(config).map_err(|_| damaged())?;
        let config = Config::parse(text).map_err(|_| damaged())?;
        let id = config.get(SECTION, "id").ok_or_else(damaged)?.trim();
        if id.parse().ok() != Some(self.settings.id) {
            return Err(refused(format!(
                "{place} holds another repository ({id}, not {})",
                self.settings.id
            ))
            .into());
        }
        let per_dir = config
            .get(SECTION, "segments_per_dir")
            .and_then(parse_integer);
        if per_dir != Some(i64::from(self.settings.segments_per_dir)) {
            return Err(refused(format!(
                "{place} has another number of segments in a directory"
            ))
            .into());
        }
        let append_only = config.get(SECTION, "append_only");
        let retain = config.get(SECTION, RETAIN);
        Ok(Some(SettingsThere {
            retain: self
                .options
                .retain
                .or_else(|| retain.and_then(Retention::parse)),
            is_append_only: append_only.and_then(parse_boolean).unwrap_or(false),
        }))
    }

    /// The transaction the target has; an error if it is none the source ever had.
    fn commit_there(&self, plan: &Plan) -> Result<SegmentId, Trouble> {
        let place = self.target_path("");
        let Some(done) = self.target.committed(&plan.there)? else {
            let reason = format!("nothing that was committed can be read in {place}; remove it");
            return Err(refused(reason).into());
        };
        if done > plan.commit {
            return Err(refused(format!(
                "{place} has transaction {done}, but {} has only {}",
                self.source_path(""),
                plan.commit
            ))
            .into());
        }
        if let Some(record) = &plan.record
            && ![record.commit, record.sending].contains(&Some(done))
        {
            if record.commit.is_none_or(|commit| done > commit) {
                return Err(refused(format!(
                    "{place} has transaction {done}, which was not mirrored: somebody has written to it"
                ))
                .into());
            }
            if !self.options.verify {
                return Err(refused(format!(
                    "the last commit in {place} is damaged; --verify sends what is"
                ))
                .into());
            }
        }
        Ok(done)
    }

    /// Says of each segment what is to become of it.
    fn compare(&self, plan: &mut Plan, fences: &[String]) -> Result<(), Trouble> {
        let is_new = plan.is_new();
        let mut common = Vec::new();
        let mut odd = None;
        for (&segment, &size) in &plan.wanted.segments {
            if segment == plan.commit && !plan.is_committed && !is_new {
                continue;
            }
            match plan.there.segments.get(&segment) {
                None if size == COMMIT_SEGMENT_SIZE && !is_new => plan.later.push((segment, size)),
                None => plan.send.push((segment, size)),
                Some(&there) if there == size => common.push((segment, size)),
                Some(&there) => {
                    let is_cut = there < size
                        && self
                            .source
                            .is_commits(segment, there, size)
                            .map_err(Trouble::Source)?;
                    if is_cut {
                        plan.later.push((segment, size));
                    } else {
                        let is_fence = fences.contains(&self.target.log.name(segment));
                        if !is_fence && !is_new {
                            odd.get_or_insert(segment);
                        }
                        plan.moves_objects = true;
                        plan.replace.push((segment, size));
                    }
                }
            }
        }
        if let Some(segment) = odd.filter(|_| !self.options.verify) {
            return Err(refused(format!(
                "{} is not what {} has: --verify sends it again if that is what is wanted",
                self.target_path(&self.target.log.name(segment)),
                self.source_path("")
            ))
            .into());
        }
        if self.options.verify {
            let differing = self.differing(&common)?;
            plan.replace
                .extend(common.into_iter().filter(|one| differing.contains(&one.0)));
        }
        Ok(())
    }

    /// Segments have numbers and sizes in common where one side went back and then on by itself. The last one that both
    /// have tells: where it is the same, all before it are.
    fn compare_past(&self, plan: &Plan) -> Result<(), Trouble> {
        let mut common = plan.wanted.segments.iter().rev().filter_map(|(id, &size)| {
            let there = *plan.there.segments.get(id)?;
            (there.min(size) > COMMIT_SEGMENT_SIZE).then_some((*id, there.min(size)))
        });
        if self.options.verify {
            return Ok(());
        }
        let Some((segment, size)) = common.next() else {
            if plan.record.is_none() && !plan.is_new() {
                return Err(refused(format!(
                    "{} has no segment in common with {}: nobody knows whether it is a copy of it",
                    self.target_path(""),
                    self.source_path("")
                ))
                .into());
            }
            return Ok(());
        };
        let name = self.source.log.name(segment);
        let samples = BTreeSet::from([0, size.saturating_sub(SAMPLE_LEN)]);
        for offset in samples {
            let len = SAMPLE_LEN.min(size - offset);
            let sides = [&self.source, &self.target];
            let same = is_same(sides, &name, offset, len, || Ok(()));
            if !same.map_err(Trouble::Source)? {
                return Err(refused(format!(
                    "{} is not what {} has: one of them went on by itself",
                    self.target_path(&name),
                    self.source_path("")
                ))
                .into());
            }
        }
        Ok(())
    }
}

/// What the target's own config decides.
struct SettingsThere {
    retain: Option<Retention>,
    is_append_only: bool,
}
