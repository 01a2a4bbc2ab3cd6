//! The system calls that `LocalStorage` makes of each operation.

use super::{DiskModel, Node, joined, parent};
use crate::recording::Operation;

/// What a call writes to or syncs.
pub(super) enum Target {
    /// The file that has this name now.
    Named(String),
    /// The file that was begun under this name, whatever has become of the name.
    Begun(String),
}

/// One system call, as far as it changes something.
pub(super) enum Step<'a> {
    MakeFile(String),
    /// Makes the file if it is missing, else empties it.
    Truncate(String),
    Write(Target, &'a [u8]),
    SyncFile(Target),
    /// Other bytes, in place and synced.
    Scramble(String),
    MakeDir(String),
    Rename(String, String),
    Link(String, String),
    Unlink(String),
    RemoveDir(String),
    SyncDir(String),
}

impl DiskModel {
    /// The system calls `LocalStorage` makes for an operation.
    pub(super) fn steps<'a>(&self, operation: &'a Operation) -> Vec<Step<'a>> {
        match operation {
            Operation::Create(name) => vec![Step::MakeFile(name.clone())],
            Operation::AppendTo(name, bytes) => {
                vec![Step::Write(Target::Begun(name.clone()), bytes)]
            }
            Operation::Append(name, bytes) if self.file(name).is_some() => {
                vec![Step::Write(Target::Named(name.clone()), bytes)]
            }
            Operation::Append(name, bytes) | Operation::Write(name, bytes) => {
                vec![
                    Step::Truncate(name.clone()),
                    Step::Write(Target::Named(name.clone()), bytes),
                ]
            }
            Operation::Sync(name) => vec![Step::SyncFile(Target::Begun(name.clone()))],
            Operation::Seal(name) => {
                vec![
                    Step::SyncFile(Target::Begun(name.clone())),
                    Step::SyncDir(parent(name).to_owned()),
                ]
            }
            Operation::Replace(name, bytes) => {
                // The name is made up by chance there; here it is one nobody else uses.
                let temporary = format!("{name}-{:08}.tmp", self.contents.len());
                vec![
                    Step::MakeFile(temporary.clone()),
                    Step::Write(Target::Named(temporary.clone()), bytes),
                    Step::SyncFile(Target::Named(temporary.clone())),
                    Step::Rename(temporary, name.clone()),
                    Step::SyncDir(parent(name).to_owned()),
                ]
            }
            Operation::Stage(name, bytes) => {
                let staged = format!("{name}.tmp");
                vec![
                    Step::Truncate(staged.clone()),
                    Step::Write(Target::Named(staged.clone()), bytes),
                    Step::SyncFile(Target::Named(staged)),
                ]
            }
            Operation::Publish(names) => publish_steps(names),
            Operation::Remove(name) => vec![Step::Unlink(name.clone())],
            Operation::Erase(name) => self.erase_steps(name),
            Operation::Link(name, second) => vec![Step::Link(name.clone(), second.clone())],
            Operation::CreateDir(dir) => vec![Step::MakeDir(dir.clone())],
            Operation::CreateDirAll(dir) => self.make_dirs_steps(dir),
            Operation::RemoveDir(dir) => vec![Step::RemoveDir(dir.clone())],
            Operation::RemoveTree(dir) => self.remove_tree_steps(dir),
            Operation::SyncDir(dir) => vec![Step::SyncDir(dir.clone())],
            Operation::ClaimDir(dir, file) => self.claim_steps(dir, file),
            Operation::Status(_)
            | Operation::List(_)
            | Operation::Read(_)
            | Operation::ReadAt(..)
            | Operation::WillNeed(..)
            | Operation::FreeSpace => Vec::new(),
        }
    }

    fn erase_steps<'a>(&self, name: &str) -> Vec<Step<'a>> {
        let Some(number) = self.file(name) else {
            return Vec::new();
        };
        let names = self.names.values();
        let only_name = names.filter(|node| **node == Node::File(number)).count() == 1;
        let scramble = only_name.then(|| Step::Scramble(name.to_owned()));
        scramble
            .into_iter()
            .chain([Step::Unlink(name.to_owned())])
            .collect()
    }

    fn make_dirs_steps<'a>(&self, dir: &str) -> Vec<Step<'a>> {
        let slashes = dir.match_indices('/').map(|(slash, _)| slash);
        slashes
            .chain([dir.len()])
            .map(|end| &dir[..end])
            .filter(|dir| self.find(dir).is_none())
            .flat_map(|dir| {
                let parent = parent(dir).to_owned();
                [Step::MakeDir(dir.to_owned()), Step::SyncDir(parent)]
            })
            .collect()
    }

    fn remove_tree_steps<'a>(&self, dir: &str) -> Vec<Step<'a>> {
        let Some(number) = self.directory(dir) else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        let inside = self
            .names
            .range((number, String::new())..(number + 1, String::new()));
        for ((_, name), node) in inside {
            let path = joined(dir, name);
            match node {
                Node::File(_) => steps.push(Step::Unlink(path)),
                Node::Directory(_) => steps.extend(self.remove_tree_steps(&path)),
            }
        }
        if !dir.is_empty() {
            steps.push(Step::RemoveDir(dir.to_owned()));
        }
        steps
    }

    fn claim_steps<'a>(&self, dir: &str, file: &str) -> Vec<Step<'a>> {
        let temporary = format!("{dir}.{:08}.tmp", self.contents.len());
        let inner = joined(&temporary, file);
        let mut steps = vec![
            Step::MakeDir(temporary.clone()),
            Step::MakeFile(inner.clone()),
        ];
        match self.directory(dir) {
            Some(number) if !self.is_empty(number) => {
                // Somebody has it: the attempt is cleared away.
                steps.extend([Step::Unlink(inner), Step::RemoveDir(temporary)]);
            }
            _ => steps.push(Step::Rename(temporary, dir.to_owned())),
        }
        steps
    }
}

fn publish_steps<'a>(names: &[String]) -> Vec<Step<'a>> {
    let renames = names
        .iter()
        .map(|name| Step::Rename(format!("{name}.tmp"), name.clone()));
    let sync = names
        .first()
        .map(|name| Step::SyncDir(parent(name).to_owned()));
    renames.chain(sync).collect()
}
