//! What goes wrong, told with archive and path.

use std::time::{Duration, Instant};

use ironborg_types::{Event, Level};

use super::inode::{Inode, Slot, VolumeId};
use super::volume::Volume;
use super::{Content, Target, Tree, lock};
use crate::MountError;
use crate::node::NodeId;

const LOGGER: &str = "borg.fuse";
/// The same line is not told again for so long.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Lines that are remembered for that.
const TOLD_MAX: usize = 64;

impl Tree {
    /// Tells the log of an error, with archive and path, unless that was done before.
    pub fn tell(&self, inode: Inode, error: &MountError) {
        let (level, message) = match error {
            MountError::DamagedFile { path } => {
                self.log(Level::Warning, error.to_string());
                (
                    Level::Warning,
                    format!("{path}: cannot be opened: it is damaged"),
                )
            }
            MountError::Content { .. } => {
                if self
                    .node(inode)
                    .is_ok_and(|(archive, _, _)| !archive.is_news(error))
                {
                    return;
                }
                (Level::Error, error.to_string())
            }
            _ => (Level::Error, format!("{}: {error}", self.path(inode))),
        };
        if self.is_news(&message) {
            self.log(level, message);
        }
    }

    /// Whether a line was not told a moment ago: the kernel asks again, and so do people.
    fn is_news(&self, line: &str) -> bool {
        let mut told = lock(&self.told);
        let now = Instant::now();
        told.retain(|(_, when)| now.duration_since(*when) < TELL_AGAIN_AFTER);
        if told.iter().any(|(known, _)| known == line) {
            return false;
        }
        if told.len() == TOLD_MAX {
            told.pop_front();
        }
        told.push_back((line.to_owned(), now));
        true
    }

    /// Where an inode is, for people.
    pub fn path(&self, inode: Inode) -> String {
        let named = |id: VolumeId| match &self.content {
            Content::Named(volumes) => volumes.get(id.index()).map(|(name, _)| name.to_string()),
            Content::One(_) => None,
        };
        let archive = |slot: Slot, volume: &Volume| {
            let shown = volume.shown(slot).ok()?;
            Some(shown.listed.name.to_string()).filter(|name| !name.is_empty())
        };
        let parts = match self.target(inode) {
            Err(_) | Ok(Target::Names) => [None, None],
            Ok(Target::Archives(id, _)) => [named(id), None],
            Ok(Target::Node(id, slot, volume, NodeId::ROOT)) => [named(id), archive(slot, &volume)],
            Ok(Target::Node(id, slot, volume, node)) => {
                let path = volume.archive(slot).ok().map(|archive| archive.path(node));
                [named(id), path.or_else(|| archive(slot, &volume))]
            }
        };
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return "/".to_owned();
        }
        parts.join("/")
    }

    /// Writes a line into the log.
    pub fn log(&self, level: Level, message: String) {
        self.reporter.report(Event::log(level, LOGGER, message));
    }
}
