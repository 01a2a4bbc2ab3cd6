//! `create --dry-run`: the walk alone, without a repository.

use std::sync::Arc;

use ironborg_source::stream::{self, CommandOutput, PathList};
use ironborg_source::{
    AttributeOptions, AttributeReader, Dir, FileStat, Names, Place, SourceError,
};
use ironborg_types::Event;

use super::options::{CreateOptions, Input};
use super::step::Step;
use super::walk::{DirectoryReader, StepSink, Walker};
use crate::client::Client;
use crate::error::ArchiveError;
use crate::gate::{Closed, Gate};

/// Lists what would be archived. Nothing is opened but directories, and nothing is written.
///
/// # Errors
/// Standard input or a command that is to give paths fails.
pub fn dry_run(client: &Client, options: &CreateOptions) -> Result<(), ArchiveError> {
    let none = AttributeOptions {
        flags: true,
        xattrs: false,
        acls: false,
        numeric_ids: true,
    };
    let attributes = AttributeReader::new(none, Arc::new(Names::new()));
    let open_dirs = Arc::new(Gate::new(super::OPEN_DIRS_MAX));
    let mut walker = Walker::new(
        &options.selection,
        attributes,
        client.interrupt,
        &open_dirs,
        PrintingSink { client },
        NoDirectories,
    );
    walker.dry_run = true;
    match &options.input {
        Input::Roots(roots) => {
            for root in roots {
                if &root[..] == b"-" {
                    status(client, '-', &options.piped.name);
                } else {
                    // The sink never closes.
                    let _ = walker.root(root);
                }
            }
        }
        Input::PathsFromStdin { delimiter } => {
            each_path(&mut walker, PathList::new(stream::stdin()?, delimiter))?;
        }
        Input::PathsFromCommand { command, delimiter } => {
            let (running, output) = CommandOutput::start(command, &client.subprocess_environment)?;
            each_path(&mut walker, PathList::new(output, delimiter))?;
            running.finish()?;
        }
        Input::ContentFromCommand { .. } => status(client, '-', &options.piped.name),
    }
    Ok(())
}

fn each_path(
    walker: &mut Walker<'_, PrintingSink<'_>, NoDirectories>,
    mut paths: PathList,
) -> Result<(), ArchiveError> {
    while let Some(path) = paths.next_path()? {
        let _ = walker.single(&path);
    }
    Ok(())
}

struct PrintingSink<'a> {
    client: &'a Client,
}

impl StepSink for PrintingSink<'_> {
    fn step(&mut self, step: Step) -> Result<(), Closed> {
        match step {
            Step::Status {
                status: letter,
                path,
            } => status(self.client, letter, &path),
            Step::Warning { kind, message } => self.client.warn(kind, message),
            // A dry walk makes no others.
            Step::UnknownType { .. }
            | Step::Entry(_)
            | Step::Plain(_)
            | Step::Directory(_)
            | Step::Piped(_)
            | Step::Made(_) => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Closed> {
        Ok(())
    }
}

/// Reads nothing of directories.
struct NoDirectories;

impl DirectoryReader for NoDirectories {
    fn directory(
        &mut self,
        _: &Place<'_>,
        _: &Dir,
        _: &FileStat,
        _: &[u8],
    ) -> Result<Step, SourceError> {
        Ok(Step::Directory(Box::default()))
    }
}

fn status(client: &Client, status: char, path: &[u8]) {
    client.reporter.report(Event::FileStatus { status, path });
}
