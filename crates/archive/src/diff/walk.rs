//! Two item streams side by side.

use ironborg_format::item::ItemView;
use ironborg_source::walk::FileKind;
use ironborg_types::Interrupt;

use super::changes::{Change, Comparison, Difference, Verdict};
use super::masters::LinkMasters;
use super::postponed::{Orphans, Pair, decode};
use super::{DiffOptions, Finding};
use crate::ArchiveError;
use crate::items::{ContentReader, ItemReader};

/// One comparison of two archives. Reads one item of each in turn; items whose paths differ wait for
/// their partners, so archives of the same tree in the same order need to keep but a few.
pub(super) struct Walk<'w, 'r, F> {
    options: DiffOptions<'w>,
    comparison: Comparison,
    content: Option<&'w mut ContentReader<'r>>,
    interrupt: &'w Interrupt,
    take: F,
    old_orphans: Orphans,
    new_orphans: Orphans,
    masters: LinkMasters,
    /// Hard links met before what they refer to.
    waiting: Vec<Pair>,
}

impl<'w, 'r, F> Walk<'w, 'r, F> {
    /// `content` reads files, where that is needed to compare them.
    pub(super) fn new(
        options: DiffOptions<'w>,
        content: Option<&'w mut ContentReader<'r>>,
        masters: LinkMasters,
        (interrupt, take): (&'w Interrupt, F),
    ) -> Self {
        Self {
            comparison: Comparison {
                same_chunker_params: options.same_chunker_params,
                content_only: options.content_only,
            },
            options,
            content,
            interrupt,
            take,
            old_orphans: Orphans::default(),
            new_orphans: Orphans::default(),
            masters,
            waiting: Vec::new(),
        }
    }

    /// Compares everything.
    pub(super) fn run<E>(
        mut self,
        old: &mut ItemReader<'_>,
        new: &mut ItemReader<'_>,
    ) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        let matcher = self.options.matcher;
        let select = |item: &ItemView<'_>| matcher.matches(item.path);
        while let Some(result) = old.next_selected(select, |old| self.step(old, new, select))? {
            result?;
        }
        while let Some(result) = new.next_selected(select, |new| {
            self.check_interrupt()?;
            self.new_item(new)
        })? {
            result?;
        }
        self.unmatched()?;
        self.late_links()
    }

    fn check_interrupt(&self) -> Result<(), ArchiveError> {
        if self.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        Ok(())
    }

    /// Takes an item of the old archive and the next one of the new archive.
    fn step<E>(
        &mut self,
        old: &ItemView<'_>,
        new_items: &mut ItemReader<'_>,
        select: impl Fn(&ItemView<'_>) -> bool,
    ) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        self.check_interrupt()?;
        if new_items.skip_if(old.encoded)? {
            // The usual case, which has to be quick. A hard link may have changed nevertheless.
            return if refers_elsewhere(old) {
                self.pair(old, old)
            } else {
                Ok(self.keep_master(Some(old), Some(old))?)
            };
        }
        let partner = new_items.next_selected(select, |new| {
            if old.path == new.path {
                return self.pair(old, new);
            }
            self.old_item(old)?;
            self.new_item(new)
        })?;
        match partner {
            Some(result) => result,
            None => self.old_item(old),
        }
    }

    fn old_item<E>(&mut self, old: &ItemView<'_>) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        if let Some(new) = self.new_orphans.take(old.path) {
            return self.pair(old, &decode(&new));
        }
        self.old_orphans.keep(old);
        Ok(())
    }

    fn new_item<E>(&mut self, new: &ItemView<'_>) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        if let Some(old) = self.old_orphans.take(new.path) {
            return self.pair(&decode(&old), new);
        }
        self.new_orphans.keep(new);
        Ok(())
    }

    /// Compares two items of one path, or keeps them until what they refer to is known.
    fn pair<E>(&mut self, old: &ItemView<'_>, new: &ItemView<'_>) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        self.keep_master(Some(old), Some(new))?;
        if self.source_is_known(old)? && self.source_is_known(new)? {
            return self.compare(Some(old), Some(new));
        }
        self.waiting.push(Pair::of(Some(old), Some(new)));
        Ok(())
    }

    /// What is left when both archives have ended: added and removed items.
    fn unmatched<E>(&mut self) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        for added in std::mem::take(&mut self.new_orphans).into_ordered() {
            self.check_interrupt()?;
            let added = decode(&added);
            self.keep_master(None, Some(&added))?;
            self.compare(None, Some(&added))?;
        }
        for removed in std::mem::take(&mut self.old_orphans).into_ordered() {
            self.check_interrupt()?;
            let removed = decode(&removed);
            self.keep_master(Some(&removed), None)?;
            self.compare(Some(&removed), None)?;
        }
        Ok(())
    }

    /// Hard links that came before what they refer to.
    fn late_links<E>(&mut self) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        for pair in std::mem::take(&mut self.waiting) {
            self.check_interrupt()?;
            let [old, new] = [&pair.old, &pair.new].map(|item| item.as_deref().map(decode));
            let mut lost = [None, None];
            for (lost, item) in lost.iter_mut().zip([&old, &new]) {
                if let Some(item) = item
                    && !self.source_is_known(item)?
                {
                    *lost = item.source.map(|source| (item.path, source));
                }
            }
            if lost == [None, None] {
                self.compare(old.as_ref(), new.as_ref())?;
            }
            for (path, source) in lost.into_iter().flatten() {
                (self.take)(Finding::NoLinkSource { path, source })?;
            }
        }
        Ok(())
    }

    /// Remembers items that hard links may refer to. What Borg 1.0 made does not tell, and may all.
    fn keep_master(
        &mut self,
        old: Option<&ItemView<'_>>,
        new: Option<&ItemView<'_>>,
    ) -> Result<(), ArchiveError> {
        if old.is_some_and(may_be_referred_to) || new.is_some_and(may_be_referred_to) {
            let path = old.or(new).map_or(&b""[..], |item| item.path);
            self.masters.keep(path, old, new)?;
        }
        Ok(())
    }

    fn source_is_known(&mut self, item: &ItemView<'_>) -> Result<bool, ArchiveError> {
        let source = item.source.filter(|_| refers_elsewhere(item));
        source.map_or(Ok(true), |source| Ok(self.masters.get(source)?.is_some()))
    }

    /// Compares two items of one path, each hard link being what it refers to, and tells of a difference.
    fn compare<E>(
        &mut self,
        old: Option<&ItemView<'_>>,
        new: Option<&ItemView<'_>>,
    ) -> Result<(), E>
    where
        E: From<ArchiveError>,
        F: FnMut(Finding<'_>) -> Result<(), E>,
    {
        let path = old.or(new).map_or(&b""[..], |item| item.path);
        let mut master = |item: Option<&ItemView<'_>>| {
            let source = item.filter(|item| refers_elsewhere(item));
            let source = source.and_then(|item| item.source);
            source.map_or(Ok(None), |source| self.masters.get(source))
        };
        let masters = [master(old)?, master(new)?];
        let [of_old, of_new] = &masters;
        let decoded = [
            of_old.as_ref().and_then(|pair| pair.old.as_deref()),
            of_new.as_ref().and_then(|pair| pair.new.as_deref()),
        ]
        .map(|item| item.map(decode));
        let old = if masters[0].is_some() {
            decoded[0].as_ref()
        } else {
            old
        };
        let new = if masters[1].is_some() {
            decoded[1].as_ref()
        } else {
            new
        };
        let verdict = self.comparison.compare(old, new);
        let is_same = match verdict {
            Verdict::Same => true,
            Verdict::Different => false,
            Verdict::ByContent => {
                let old = old.and_then(|item| item.chunks);
                let new = new.and_then(|item| item.chunks);
                match (&mut self.content, old, new) {
                    (Some(content), Some(old), Some(new)) => {
                        content.is_same(old, new, self.interrupt)?
                    }
                    _ => unreachable!("content is asked for only where there is some to be read"),
                }
            }
        };
        if is_same {
            return Ok(());
        }
        let mut changes: Vec<Change<'_>> = Vec::new();
        self.comparison.changes(old, new, &mut changes);
        (self.take)(Finding::Difference(Difference {
            path,
            old,
            new,
            changes: &changes,
        }))
    }
}

/// Whether the item is a later hard link, described by the first one.
fn refers_elsewhere(item: &ItemView<'_>) -> bool {
    item.source.is_some() && FileKind::of_mode(item.mode).is_hardlinkable()
}

/// Whether later hard links may refer to the item.
fn may_be_referred_to(item: &ItemView<'_>) -> bool {
    item.hardlink_master.unwrap_or(true)
        && item.source.is_none()
        && FileKind::of_mode(item.mode).is_hardlinkable()
}
