//! Restore drills: which files are taken, how long for, and what share of the data they have proven restorable.
//!
//! Files come in the order of a hash of their path, under a key only this job knows: a random sample, but every drill goes
//! on where the last one stopped, so that each file has its turn. What was never proven comes before what was, and of that
//! the oldest proof first, for a repository may rot later. A proof is of a path with its content: a file that has changed
//! since is as unproven as a new one. [`Memory`] keeps all of this, some 12 bytes a file; [`Survey`] chooses in one pass
//! over an archive's items, with memory for what is chosen only.
//!
//! Files are restored in batches that take a third of a second; one too large for that is read in pieces, and if time is
//! up before its end the next drill goes on there. So a drill ends soon after its time, and no file is too large for it.

mod memory;
mod pace;
mod survey;

use std::collections::HashSet;
use std::time::Duration;

use ironborg_archive::drill::{Pieces, Progress, Verdict};

pub use self::memory::Memory;
use self::memory::Partial;
use self::pace::Pace;
pub use self::survey::{Group, Seen, Survey};
use crate::report::Figures;

/// Memory for the items that one pass over the archive chooses.
const CHOSEN_LEN_MAX: usize = 64 << 20;

/// An archive that files can be restored from.
pub trait Drillable {
    /// Why it cannot be gone on with.
    type Error;

    /// Shows all items, in their order.
    ///
    /// # Errors
    /// The items cannot be read.
    fn survey(&mut self, see: &mut dyn FnMut(&Seen<'_>)) -> Result<(), Self::Error>;

    /// Restores these items, given as they were shown; a verdict on each.
    ///
    /// # Errors
    /// What concerns no single file.
    fn restore(&mut self, items: &[&[u8]]) -> Result<Vec<Verdict>, Self::Error>;

    /// Reads one large file and its hard links, from where it was left, as long as `go_on`.
    ///
    /// # Errors
    /// What concerns no single file.
    fn restore_in_pieces(
        &mut self,
        items: &[&[u8]],
        from: Option<Progress>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Pieces, Self::Error>;

    /// Bytes that may be written at once.
    fn room(&self) -> u64;

    /// Tells people of a file that came out wrong.
    fn complain(&mut self, item: &[u8], what: &str);
}

/// What the time is.
#[derive(Clone, Copy)]
pub struct Time<'a> {
    /// Since the drill began.
    pub elapsed: &'a dyn Fn() -> Duration,
    /// When it ends.
    pub budget: Duration,
    /// When it began, in seconds since 1970: the date of its proofs.
    pub now: u32,
}

/// Drills an archive.
///
/// # Errors
/// Those of the archive. What was proven before is in `memory` and in `figures` all the same.
pub fn drill<A: Drillable>(
    archive: &mut A,
    memory: &mut Memory,
    time: Time<'_>,
    figures: &mut Figures,
) -> Result<(), A::Error> {
    drill_within(archive, memory, time, figures, CHOSEN_LEN_MAX)
}

/// The same, with so much memory for what is chosen.
fn drill_within<A: Drillable>(
    archive: &mut A,
    memory: &mut Memory,
    time: Time<'_>,
    figures: &mut Figures,
    chosen_len_max: usize,
) -> Result<(), A::Error> {
    let mut tried = HashSet::new();
    let mut pace = Pace::default();
    loop {
        let mut survey = Survey::new(memory, time.now, &tried, chosen_len_max);
        archive.survey(&mut |seen| survey.see(seen))?;
        let chosen = survey.finish();
        memory.keep_only(&chosen.met);
        memory.forget_partial_unless(chosen.has_partial);
        let mut round = Round {
            archive: &mut *archive,
            memory: &mut *memory,
            time,
            figures: &mut *figures,
            pace: &mut pace,
            tried: &mut tried,
            total: chosen.bytes,
            proven: chosen.proven,
        };
        let result = round.restore_all(chosen.groups);
        let share = round.share();
        memory.settle();
        figures.proven_share = Some(share);
        figures.proven_since = memory.since().map(i64::from);
        let is_over = result?;
        if is_over || !chosen.is_cut_off {
            return Ok(());
        }
    }
}

/// What is done with the files of one pass.
struct Round<'a, A> {
    archive: &'a mut A,
    memory: &'a mut Memory,
    time: Time<'a>,
    figures: &'a mut Figures,
    pace: &'a mut Pace,
    tried: &'a mut HashSet<u64>,
    /// Bytes of the archive's files, and of those that are proven.
    total: u64,
    proven: u64,
}

impl<A: Drillable> Round<'_, A> {
    /// Restores the groups in order; says whether time is up.
    fn restore_all(&mut self, groups: Vec<Group>) -> Result<bool, A::Error> {
        let mut groups = groups.into_iter().peekable();
        // Whatever the time, something is done: finding out what there is may have taken all of it.
        let mut is_first = self.tried.is_empty();
        while let Some(group) = groups.next() {
            if self.is_over() && !is_first {
                return Ok(true);
            }
            is_first = false;
            let limit = self.pace.batch_len().min(self.archive.room());
            if group.size > limit {
                if self.restore_large(&group)? {
                    return Ok(true);
                }
                continue;
            }
            let (mut len, mut count) = (group.size, group.items.len());
            let mut batch = vec![group];
            while let Some(next) = groups.peek()
                && len.saturating_add(next.size) <= limit
                && count + next.items.len() <= self.pace.batch_count()
            {
                len += next.size;
                count += next.items.len();
                batch.extend(groups.next());
            }
            self.restore_batch(&batch)?;
        }
        Ok(false)
    }

    fn is_over(&self) -> bool {
        (self.time.elapsed)() >= self.time.budget
    }

    fn restore_batch(&mut self, batch: &[Group]) -> Result<(), A::Error> {
        let begun = (self.time.elapsed)();
        // In the archive's order, as extract gets them.
        let mut items: Vec<(u64, usize, &[u8])> = Vec::new();
        for (index, group) in batch.iter().enumerate() {
            items.extend(group.items.iter().map(|(at, item)| (*at, index, &item[..])));
        }
        items.sort_unstable();
        let encoded: Vec<&[u8]> = items.iter().map(|(_, _, item)| *item).collect();
        let verdicts = self.archive.restore(&encoded)?;
        assert_eq!(
            verdicts.len(),
            encoded.len(),
            "there is a verdict on each item"
        );
        let mut of_groups: Vec<Vec<Verdict>> = vec![Vec::new(); batch.len()];
        for ((_, group, item), verdict) in items.iter().zip(verdicts) {
            self.complain_if_bad(item, &verdict);
            of_groups[*group].push(verdict);
        }
        for (group, verdicts) in batch.iter().zip(of_groups) {
            self.note(group, &verdicts);
        }
        let took = (self.time.elapsed)().saturating_sub(begun);
        let len = batch.iter().map(|group| group.size).sum();
        self.pace.took(took, len, items.len());
        Ok(())
    }

    /// Reads a large file; says whether that was stopped because time is up.
    fn restore_large(&mut self, group: &Group) -> Result<bool, A::Error> {
        let items: Vec<&[u8]> = group.items.iter().map(|(_, item)| &item[..]).collect();
        let time = self.time;
        let mut go_on = |_| (time.elapsed)() < time.budget;
        let from = self.memory.partial_of(group.fingerprint);
        match self.archive.restore_in_pieces(&items, from, &mut go_on)? {
            Pieces::Stopped(progress) => {
                self.memory.set_partial(Partial {
                    fingerprint: group.fingerprint,
                    progress,
                });
                self.tried.insert(group.fingerprint);
                Ok(true)
            }
            Pieces::Done(verdicts) => {
                for (item, verdict) in items.iter().zip(&verdicts) {
                    self.complain_if_bad(item, verdict);
                }
                self.note(group, &verdicts);
                Ok(false)
            }
        }
    }

    fn complain_if_bad(&mut self, item: &[u8], verdict: &Verdict) {
        if let Verdict::Different(what) = verdict {
            self.archive.complain(item, what);
        }
    }

    /// Takes note of what came of a group.
    fn note(&mut self, group: &Group, verdicts: &[Verdict]) {
        let add = |figure: &mut Option<u64>, count: u64| {
            *figure = Some(figure.unwrap_or(0).saturating_add(count));
        };
        let count = |wanted: fn(&Verdict) -> bool| {
            verdicts.iter().filter(|verdict| wanted(verdict)).count() as u64
        };
        let figures = &mut *self.figures;
        let bad = count(|verdict| matches!(verdict, Verdict::Different(_)));
        let equal = count(|verdict| *verdict == Verdict::Equal);
        add(&mut figures.different_files, bad);
        add(&mut figures.proven_files, equal);
        add(
            &mut figures.restored_files,
            verdicts.len() as u64 - bad - equal,
        );
        // The bytes are those of the first: the others are its hard links.
        match verdicts.first() {
            Some(Verdict::Equal) => add(&mut figures.proven_bytes, group.size),
            Some(Verdict::Restored) => add(&mut figures.restored_bytes, group.size),
            _ => {}
        }
        self.tried.insert(group.fingerprint);
        self.memory.done(group, bad == 0, self.time.now);
        match (group.is_proven, bad == 0) {
            (false, true) => self.proven = self.proven.saturating_add(group.size),
            (true, false) => self.proven = self.proven.saturating_sub(group.size),
            _ => {}
        }
    }

    #[allow(clippy::cast_precision_loss)] // A share needs no more.
    fn share(&self) -> f64 {
        match self.total {
            0 => 1.0,
            total => (self.proven as f64 / total as f64).clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests;
