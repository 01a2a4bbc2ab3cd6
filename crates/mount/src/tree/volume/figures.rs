//! What a repository's volume holds.

use super::Volume;
use crate::tree::figures::Figures;

impl Volume {
    /// Adds what it holds.
    pub(in crate::tree) fn add_to(&self, figures: &mut Figures) {
        let connection = self.link().connection.clone();
        if let Some(connection) = connection {
            let fill = connection.content.fill();
            figures.chunks += fill.chunks;
            figures.used = figures.used.saturating_add(fill.used);
            figures.budget = figures.budget.saturating_add(fill.budget);
        }
        let (shown, listed) = {
            let archives = self.archives();
            let listed = archives.listed.as_ref();
            let listed = listed.map_or(archives.slots.len(), |(_, listing)| listing.archives.len());
            (archives.slots.clone(), listed)
        };
        let mut open = 0;
        for archive in shown {
            // One that is being opened is not waited for: whoever asks wants to know now.
            let state = archive.state.try_lock();
            let Some(archive) = state.ok().and_then(|state| state.open.clone()) else {
                continue;
            };
            open += 1;
            figures.nodes += u64::from(archive.nodes());
        }
        figures.open += open;
        figures.pending += listed.saturating_sub(open);
    }
}
