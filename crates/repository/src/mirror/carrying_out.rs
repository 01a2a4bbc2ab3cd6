//! Doing what was planned, in the order that leaves the target whole whatever is done last.

use std::collections::BTreeMap;

use ironborg_format::config::Config;
use ironborg_format::segment::{COMMIT, COMMIT_SEGMENT_SIZE, MAGIC};
use ironborg_storage::Conditional;
use ironborg_types::{Level, SegmentId};

use super::plan::{Plan, Sized};
use super::reading::Ending;
use super::record::{RECORD, Record};
use super::side::PER_TRANSACTION;
use super::{Mirroring, README, Trouble};
use crate::RepositoryError;
use crate::lock::Lock;
use crate::nonce::NonceFile;
use crate::retention::renew_if_due;
use crate::settings::{CONFIG, RETAIN, SECTION};

/// Log of transactions in a repository that only grows.
const TRANSACTIONS: &str = "transactions";

impl Mirroring<'_> {
    /// Does it, or only says what would be done.
    pub(super) fn carry_out(&self, plan: &Plan) -> Result<(), Trouble> {
        self.count(plan);
        let config = self.config_for(plan)?;
        let files = self.files_to_copy(plan, &config)?;
        let is_state_there = !plan.moves_objects && self.has_state(plan)?;
        let others = Self::other_states(plan);
        let removes = !plan.is_append_only && !plan.remove.is_empty();
        let wanted = Record {
            of: self.settings.id,
            commit: Some(plan.commit),
            index: plan.wanted.index_id(),
            sending: None,
        };
        let is_done = plan.send.is_empty()
            && plan.later.is_empty()
            && plan.replace.is_empty()
            && (plan.is_committed && !plan.is_new())
            && plan.there.unfinished.is_empty()
            && files.is_empty()
            && is_state_there
            && others.is_empty()
            && !removes
            && plan.record.as_ref() == Some(&wanted);
        if self.options.dry_run {
            return Ok(());
        }
        if is_done {
            return self.renew_retention(plan);
        }
        let known = plan.record.as_ref();
        self.write_record(&Record {
            commit: plan.done,
            index: known.and_then(|record| record.index),
            sending: Some(plan.commit),
            ..wanted.clone()
        })?;
        self.raise_nonce()?;
        if plan.is_new() {
            // It is no repository before it has a config, so that the order does not matter.
            self.send_all(&plan.send, Ending::Whole)?;
        } else {
            let withheld = self.send_all(&plan.send, Ending::WithoutCommit)?;
            if !plan.is_committed {
                self.send_commit(plan)?;
            }
            self.send_all(&withheld, Ending::Whole)?;
        }
        self.send_all(&plan.later, Ending::Whole)?;
        if plan.moves_objects {
            // An index would lead to what is somewhere else in a moment.
            for (name, _) in plan.there.states() {
                self.remove(name)?;
            }
        }
        self.send_all(&plan.replace, Ending::Whole)?;
        if !is_state_there {
            self.send_state(plan)?;
        }
        for name in &others {
            self.remove(name)?;
        }
        if removes {
            self.remove_segments(plan)?;
        }
        for name in &plan.there.unfinished {
            self.remove(name)?;
        }
        for (name, content) in &files {
            self.may_go_on()?;
            self.target.storage.replace(name, &[content])?;
            self.figures().files_size += content.len() as u64;
        }
        if plan.is_new() {
            // With this it is a repository.
            self.may_go_on()?;
            self.target.storage.replace(CONFIG, &[&config])?;
        }
        self.write_record(&wanted)?;
        self.renew_retention(plan)
    }

    /// Renews the time for which the target's segments stay, if it is due.
    fn renew_retention(&self, plan: &Plan) -> Result<(), Trouble> {
        let Some(retention) = plan.retain else {
            return Ok(());
        };
        let segments = plan.wanted.segments.keys();
        let names: Vec<_> = segments
            .map(|&segment| self.target.log.name(segment))
            .collect();
        let count = renew_if_due(&*self.target.storage, retention, &names)?;
        if count > 0 {
            self.report(
                Level::Info,
                format!("renewed the retention of {count} segments"),
            );
        }
        Ok(())
    }

    /// Begins the figures: what is sent is counted when it has been, unless it is only said.
    fn count(&self, plan: &Plan) {
        let size = |segments: &[Sized]| segments.iter().map(|&(_, size)| size).sum::<u64>();
        let lists = [&plan.send, &plan.later, &plan.replace];
        let commit = if plan.is_committed || plan.is_new() {
            Vec::new()
        } else {
            let size = plan.wanted.segments.get(&plan.commit).copied();
            vec![(plan.commit, size.unwrap_or(0))]
        };
        let all: Vec<Sized> = lists
            .into_iter()
            .flatten()
            .chain(&commit)
            .copied()
            .collect();
        let index = plan.wanted.index_id().map(|id| format!("index.{id}"));
        let index_size = index.and_then(|name| plan.wanted.root.get(&name)).copied();
        let total = size(&all) + index_size.unwrap_or(0);
        super::lock(&self.progress).set_total(total);
        let mut figures = self.figures();
        figures.commit = Some(plan.commit);
        figures.replaced = plan.replace.len() as u64;
        figures.kept = (plan.wanted.segments.len() - all.len()) as u64;
        figures.kept_size = plan.wanted.segments.values().sum::<u64>() - size(&all);
        if plan.is_append_only {
            figures.left = plan.remove.len() as u64;
        }
        if self.options.dry_run {
            figures.sent = all.len() as u64;
            figures.sent_size = size(&all);
            for &(segment, size) in &all {
                let name = self.source.log.name(segment);
                self.report(Level::Info, format!("would send {name} ({size} bytes)"));
            }
            if !plan.is_append_only {
                figures.removed = plan.remove.len() as u64;
                figures.removed_size = size(&plan.remove);
                for &(segment, size) in &plan.remove {
                    let name = self.target.log.name(segment);
                    self.report(Level::Info, format!("would remove {name} ({size} bytes)"));
                }
            }
        }
    }

    /// The config the target is to have: the source's, but for what is the target's own decision.
    fn config_for(&self, plan: &Plan) -> Result<Vec<u8>, Trouble> {
        let bytes = self
            .source
            .storage
            .read(CONFIG)
            .map_err(|error| Trouble::Source(error.into()))?;
        let config = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| Config::parse(text).ok());
        let Some(mut config) = config else {
            return Ok(bytes);
        };
        let retain = plan.retain.map(|retention| retention.to_string());
        let is_same = config.get(SECTION, RETAIN) == retain.as_deref();
        if is_same && (!plan.is_append_only || config.get(SECTION, "append_only") == Some("1")) {
            return Ok(bytes);
        }
        if plan.is_append_only {
            config.set(SECTION, "append_only", "1");
        }
        config.remove(SECTION, RETAIN);
        if let Some(retain) = retain {
            config.set(SECTION, RETAIN, retain);
        }
        Ok(config.to_text().into_bytes())
    }

    /// Small files that are not what they should be, and what they should be; without the config of a new mirror.
    fn files_to_copy(
        &self,
        plan: &Plan,
        config: &[u8],
    ) -> Result<BTreeMap<&'static str, Vec<u8>>, Trouble> {
        let mut files = BTreeMap::new();
        for name in [README, TRANSACTIONS] {
            if !plan.wanted.root.contains_key(name) {
                continue;
            }
            let content = self
                .source
                .storage
                .read(name)
                .map_err(|error| Trouble::Source(error.into()))?;
            let same_size = plan.there.root.get(name) == Some(&(content.len() as u64));
            if !same_size || self.target.read(name)?.as_ref() != Some(&content) {
                files.insert(name, content);
            }
        }
        if plan.config.as_deref().is_some_and(|there| there != config) {
            files.insert(CONFIG, config.to_vec());
        }
        Ok(files)
    }

    /// Nobody who writes to the target one day may use a counter again.
    fn raise_nonce(&self) -> Result<(), Trouble> {
        let file = |side: &super::Side, exclusive| {
            NonceFile::new(std::sync::Arc::clone(&side.storage), exclusive)
        };
        let there = file(&self.target, true);
        let ours = file(&self.source, false).load().map_err(Trouble::Source)?;
        let theirs = there.load()?;
        if let Some(next) = ours.filter(|_| ours > theirs) {
            there.save(next, theirs)?;
        }
        Ok(())
    }

    /// Sends the segment that makes the target what the source is.
    fn send_commit(&self, plan: &Plan) -> Result<(), Trouble> {
        let segment = plan.commit;
        let size = plan.wanted.segments.get(&segment).copied().unwrap_or(0);
        self.may_go_on()?;
        let name = self.target.log.name(segment);
        let guard = self.lock.and_then(Lock::guard);
        if let Some(guard) = &guard {
            guard.announce(&name)?;
        }
        match self.target.storage.conditional() {
            Some(conditional) if size == COMMIT_SEGMENT_SIZE => {
                self.replace_commit(conditional, &name)?;
                let mut figures = self.figures();
                figures.sent += 1;
                figures.sent_size += size;
            }
            _ => {
                self.send_all(&[(segment, size)], Ending::Whole)?;
            }
        }
        if let Some(guard) = &guard {
            guard.settle();
        }
        Ok(())
    }

    /// A request of one who has lost the lease must not make a commit: the successor has put something else there.
    fn replace_commit(
        &self,
        conditional: &dyn Conditional,
        name: &str,
    ) -> Result<(), RepositoryError> {
        let there = conditional.read_versioned(name)?;
        let version = there.as_ref().map(|(_, version)| version);
        let content = [&MAGIC[..], &COMMIT].concat();
        if conditional.replace_if(name, version, &content)?.is_some() {
            return Ok(());
        }
        Err(RepositoryError::LockFailed {
            path: self.target.storage.path(name),
            reason: "somebody else has written it".to_owned(),
        })
    }

    /// Whether index, hints and integrity data are there as they should be.
    fn has_state(&self, plan: &Plan) -> Result<bool, Trouble> {
        let Some(id) = plan.wanted.index_id() else {
            return Ok(true);
        };
        let recorded = plan.record.as_ref().and_then(|record| record.index);
        let names = PER_TRANSACTION.map(|kind| format!("{kind}.{id}"));
        let size = |root: &BTreeMap<String, u64>, name: &String| root.get(name).copied();
        let same_sizes = names
            .iter()
            .all(|name| size(&plan.wanted.root, name) == size(&plan.there.root, name));
        if recorded != Some(id) || !same_sizes {
            return Ok(false);
        }
        let compared = if self.options.verify {
            &names[..]
        } else {
            &names[..1]
        };
        for name in compared {
            let size = size(&plan.wanted.root, name).unwrap_or(0);
            let sides = [&self.source, &self.target];
            let same = super::reading::is_same(sides, name, 0, size, || self.may_go_on());
            if !same.map_err(Trouble::Source)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends index, hints and integrity data.
    fn send_state(&self, plan: &Plan) -> Result<(), Trouble> {
        let Some(id) = plan.wanted.index_id() else {
            return Ok(());
        };
        // What is there may be of a reader that has rebuilt it: a half of that and a half of this would be damage.
        for kind in PER_TRANSACTION.iter().rev() {
            let name = format!("{kind}.{id}");
            if plan.there.root.contains_key(&name) && !plan.moves_objects {
                self.remove(&name)?;
            }
        }
        for kind in PER_TRANSACTION {
            let name = format!("{kind}.{id}");
            if plan.wanted.root.contains_key(&name) {
                self.may_go_on()?;
                let size = self.copy_file(&name)?;
                self.figures().files_size += size;
            }
        }
        Ok(())
    }

    /// Files of transactions that are to go.
    fn other_states(plan: &Plan) -> Vec<String> {
        let current = plan.wanted.index_id().map(|id| id.to_string());
        let others = plan.there.states();
        let others = others.filter(|(_, id)| Some(*id) != current.as_deref());
        others.map(|(name, _)| name.to_owned()).collect()
    }

    fn remove(&self, name: &str) -> Result<(), Trouble> {
        self.may_go_on()?;
        match self.target.storage.remove(name) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn remove_segments(&self, plan: &Plan) -> Result<(), Trouble> {
        for &(segment, size) in &plan.remove {
            let name = self.target.log.name(segment);
            self.remove(&name)?;
            self.report(Level::Info, format!("removed {name} ({size} bytes)"));
            let mut figures = self.figures();
            figures.removed += 1;
            figures.removed_size += size;
        }
        let removed = plan.remove.iter().map(|&(segment, _)| segment);
        let removed: std::collections::BTreeSet<SegmentId> = removed.collect();
        if self.target.storage.conditional().is_none() {
            self.target.log.sync_dirs_of(&removed)?;
            self.target.log.remove_empty_dirs()?;
        }
        Ok(())
    }

    fn write_record(&self, record: &Record) -> Result<(), Trouble> {
        self.may_go_on()?;
        Ok(self.target.storage.replace(RECORD, &[&record.encode()])?)
    }
}
