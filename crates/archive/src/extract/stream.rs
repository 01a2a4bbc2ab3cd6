//! The content of regular files, one after the other, into one stream.

use std::io::Write;
use std::ops::ControlFlow;

use ironborg_format::item::{ChunkEntry, ItemView};
use ironborg_source::named_file;
use ironborg_source::walk::FileKind;
use ironborg_types::{Event, text};

use super::deferred::{permissions_progress, show_permissions};
use super::filter::ItemFilter;
use super::report::Report;
use super::{ExtractRun, Selected, size_mismatch};
use crate::ArchiveError;
use crate::items::{ContentReader, with_content, with_items};

impl ExtractRun<'_> {
    /// Writes the content of all selected files to `out`.
    ///
    /// # Errors
    /// The first chunk that cannot be had ends it: what follows would be taken for what is missing.
    pub(super) fn write_stream(
        mut self,
        report: &Report<'_>,
        out: &mut dyn Write,
    ) -> Result<ItemFilter, ArchiveError> {
        let (session, archive, parts) = (self.selected.session, self.archive, self.parts);
        let Selected {
            ref mut filter,
            list,
            ..
        } = self.selected;
        let mut directories: Vec<Vec<u8>> = Vec::new();
        with_content(session, |content| {
            with_items(session, archive, parts, |items| {
                items.for_each(|item| {
                    if session.client.interrupt.stop_requested() {
                        return Err(ArchiveError::Interrupted);
                    }
                    let Some(path) = filter.admit(item.path, item) else {
                        return Ok(ControlFlow::Continue(()));
                    };
                    while directories
                        .last()
                        .is_some_and(|directory| !path.starts_with(directory))
                    {
                        directories.pop();
                    }
                    if list {
                        report.reporter().report(Event::List(text::display(path)));
                    }
                    if FileKind::of_mode(item.mode) == FileKind::Directory {
                        directories.push(path.to_vec());
                    }
                    write_item(content, item, report, out)?;
                    Ok::<_, ArchiveError>(ControlFlow::Continue(()))
                })
            })
        })?;
        report.finish_progress();
        let mut progress = permissions_progress(report.reporter(), directories.len());
        for _ in directories {
            show_permissions(report.reporter(), &mut progress);
        }
        Ok(self.selected.filter)
    }
}

fn write_item(
    content: &mut ContentReader<'_>,
    item: &ItemView<'_>,
    report: &Report<'_>,
    out: &mut dyn Write,
) -> Result<(), ArchiveError> {
    let mut len = 0_u64;
    if let Some(chunks) = item.chunks {
        let chunks: Vec<ChunkEntry> = chunks.into_iter().collect();
        let result = content.read(&chunks, |_, data| {
            report.progress(item.path, data.len());
            len += data.len() as u64;
            out.write_all(data).map_err(|error| cannot_write(&error))
        });
        if let Err(error) = result {
            // It is the file's fault only where it could not be read.
            if !matches!(error, ArchiveError::OutputStream { .. }) {
                report.stream_error(item.path, &error);
            }
            return Err(error);
        }
        out.flush().map_err(|error| cannot_write(&error))?;
    }
    match (item.size, item.chunks) {
        (Some(size), Some(_)) if size != len => {
            report.warn_backup_error(item.path, &size_mismatch(size, len));
        }
        _ if item.chunks_healthy.is_some() => {
            report.warn_backup_error(item.path, super::DAMAGED_CHUNKS);
        }
        _ => {}
    }
    Ok(())
}

pub(crate) fn cannot_write(error: &std::io::Error) -> ArchiveError {
    let message = error
        .raw_os_error()
        .map_or_else(|| error.to_string(), named_file::error_text);
    ArchiveError::OutputStream { message }
}
