//! Standard input, or the output of a command, as the content of one file.

use ironborg_format::Item;
use ironborg_source::SourceFile;
use ironborg_source::stream::CommandOutput;
use ironborg_types::BytePath;

use super::content::{Content, ContentError, Reading};
use super::items::{as_regular_file, clamp, set_size};
use super::outcome::{EntryOutcome, Outcome};
use super::shared::Over;
use super::step::Linked;
use super::work::Worker;
use crate::error::ArchiveError;

/// An open pipe to be archived.
#[derive(Debug)]
pub(crate) struct PipedInput {
    /// Where its bytes come from.
    pub(super) file: SourceFile,
    /// The command that makes them; it must end well.
    pub(super) command: Option<CommandOutput>,
    /// Seconds since 1970: the time of the file.
    pub(super) time_s: i64,
    /// Owner's number.
    pub(super) uid: u32,
    /// Group's number.
    pub(super) gid: u32,
}

impl Worker<'_> {
    /// Standard input or a command's output.
    pub(super) fn piped(&mut self, batch: u64, input: PipedInput) -> Result<Outcome, Over> {
        let named = &self.shared.options.piped;
        let time_ns = clamp(input.time_s.saturating_mul(1_000_000_000));
        let mut item = Item {
            path: named.name.clone(),
            mode: named.mode,
            uid: Some(i64::from(input.uid)),
            gid: Some(i64::from(input.gid)),
            user: Some(named.user.clone()).into(),
            group: Some(named.group.clone()).into(),
            mtime: Some(time_ns),
            atime: Some(time_ns),
            ctime: Some(time_ns),
            hardlink_master: Some(false),
            ..Item::default()
        };
        as_regular_file(&mut item);
        let reading = Reading {
            batch,
            item: &item,
            device: None,
        };
        let read = self
            .reader
            .read(self.shared, &mut self.sealing, &input.file, &reading);
        drop(input.file);
        let mut outcome = EntryOutcome::new(named.name.to_vec(), Linked::Alone);
        outcome.status = Some('i');
        match read {
            Ok(Content {
                chunks,
                chunks_in_parts,
            }) => {
                item.chunks = Some(chunks);
                set_size(&mut item);
                outcome.nfiles = 1;
                outcome.chunks_in_parts = chunks_in_parts;
                outcome.item = Ok(item);
            }
            Err(ContentError::Source(error, orphans)) => {
                if input.command.is_some() {
                    // Half of what a command has to say is not a backup.
                    let name = BytePath::new(named.name.to_vec());
                    return Err(self
                        .shared
                        .fail(ArchiveError::other(format!("'{name}': {error}"))));
                }
                outcome.item = Err(error);
                outcome.orphans = orphans;
            }
            Err(ContentError::Over) => return Err(Over),
        }
        if let Some(command) = input.command
            && let Err(error) = command.finish()
        {
            return Err(self.shared.fail(ArchiveError::Source(error)));
        }
        Ok(Outcome::Entry(Box::new(outcome)))
    }
}
