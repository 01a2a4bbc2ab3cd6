//! TOML → jobs. Every mistake is found at once, with file, line, column and key.
//!
//! ```text
//! keys       what may be written: tables, keys, their types, what is said of them
//! setting    how such a table is declared; reading, defaults and schema come out of that
//! document   TOML with places, and the list of mistakes
//! values     kinds of values: paths, lengths of time, patterns ...
//! settle     settings over defaults → a job; contradictions
//! notifier   the same for who tells somebody
//! schema     all of it as JSON schema
//! ```
//!
//! Files in a directory called `jobs.d` may have defaults of their own: these hold for the jobs of that file, over the
//! defaults of the other files, which hold for all.

pub mod document;
pub mod keys;
pub mod location;
mod nearest;
mod notifier;
mod problem;
mod schema;
pub mod setting;
mod settle;
pub mod values;
mod words;
pub mod written;

pub use keys::{NAME_RULE, is_name};
pub use problem::{ConfigError, ConfigErrors};
pub use schema::schema;
pub use values::{ENCRYPTION_MODES, is_keep_rule};
pub use words::split as split_words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::document::{Place, Reading, TableNode};
use self::keys::{FILE_KEYS, JobSettings, NotifierSettings};
use self::setting::{Field, Setting as _};
use self::settle::{Settling, layer};
use self::values::AbsolutePath;
use crate::job::{Job, Jobs};
use crate::plan;

/// The name of the directory of files with defaults of their own.
const SEPARATE_FILES: &str = "jobs.d";

/// Reads configuration files that belong together: paths and contents.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(files: &[(PathBuf, String)]) -> Result<Jobs, ConfigErrors> {
    load_for(files, None)
}

/// Reads configuration files of a user whose home directory is `home`: what a leading `~/` stands for.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load_for(files: &[(PathBuf, String)], home: Option<&Path>) -> Result<Jobs, ConfigErrors> {
    let reading = Reading::new(files, home);
    let tables = reading.parse();
    let mut contents = Contents::default();
    for (file, table) in tables.iter().enumerate() {
        contents.read(
            &reading,
            file,
            &TableNode::of_file(&reading, file, table.get_ref()),
        );
    }
    let jobs = contents.settle(&reading);
    reading.finish()?;
    Ok(Jobs {
        files: files.iter().map(|(path, _)| path.clone()).collect(),
        remarks: reading.remarks(),
        secrets: reading.secrets(),
        ..jobs
    })
}

/// What the files say, not yet put together.
#[derive(Default)]
struct Contents {
    metrics: Field<AbsolutePath>,
    /// For all jobs.
    defaults: JobSettings,
    /// For those of one file.
    defaults_of: BTreeMap<usize, JobSettings>,
    jobs: Vec<(usize, String, Place, JobSettings)>,
    notifiers: Vec<(String, Place, NotifierSettings)>,
}

impl Contents {
    fn read(&mut self, reading: &Reading<'_>, file: usize, table: &TableNode<'_>) {
        table.for_each(|key, place, node| match key {
            "metrics" => {
                if self.metrics.is_given() {
                    reading.error(place, "another file says so already");
                }
                self.metrics = Field::read(node);
            }
            "defaults" => {
                let Some(defaults) = JobSettings::read(node) else {
                    return;
                };
                let above = reading.file(file).parent().and_then(Path::file_name);
                if above.is_some_and(|name| name == SEPARATE_FILES) {
                    self.defaults_of.insert(file, defaults);
                } else {
                    let earlier = std::mem::take(&mut self.defaults);
                    self.defaults = layer(defaults, earlier);
                }
            }
            "jobs" => {
                let Some(jobs) = node.table("a table of jobs: [jobs.NAME]") else {
                    return;
                };
                jobs.for_each(|name, place, node| {
                    check_name(reading, name, place);
                    let settings = JobSettings::read(node).unwrap_or_default();
                    self.jobs
                        .push((file, name.to_owned(), place.clone(), settings));
                });
            }
            "notify" => {
                let Some(notifiers) = node.table("a table of notifiers: [notify.NAME]") else {
                    return;
                };
                notifiers.for_each(|name, place, node| {
                    check_name(reading, name, place);
                    let settings = NotifierSettings::read(node).unwrap_or_default();
                    self.notifiers
                        .push((name.to_owned(), place.clone(), settings));
                });
            }
            _ if JobSettings::KEYS.contains(&key) => {
                let message = "this belongs into [defaults] or into a job: [jobs.NAME]";
                reading.error(place, message);
            }
            _ => table.unknown(key, place, FILE_KEYS),
        });
    }

    fn settle(mut self, reading: &Reading<'_>) -> Jobs {
        let mut notifiers = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (name, place, settings) in &self.notifiers {
            if !names.insert(name.clone()) {
                reading.error(place, "there is another notifier of this name");
            }
            if let Some(notifier) = notifier::settle(reading, place, settings) {
                notifiers.insert(name.clone(), notifier);
            }
        }
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut jobs: Vec<(Job, Place)> = Vec::new();
        for (file, name, place, settings) in std::mem::take(&mut self.jobs) {
            if !known.insert(name.clone()) {
                reading.error(&place, "there is another job of this name");
                continue;
            }
            let defaults = match self.defaults_of.get(&file) {
                Some(own) => layer(own.clone(), self.defaults.clone()),
                None => self.defaults.clone(),
            };
            let settings = layer(settings, defaults);
            let settling = Settling {
                reading,
                name: &name,
                place: &place,
                notifiers: &names,
            };
            jobs.extend(settling.settle(&settings).map(|job| (job, place)));
        }
        refuse_foreign_pruning(reading, &jobs);
        Jobs {
            jobs: jobs.into_iter().map(|(job, _)| job).collect(),
            notifiers,
            metrics: self.metrics.cloned().map(|path| path.0),
            ..Jobs::default()
        }
    }
}

fn check_name(reading: &Reading<'_>, name: &str, place: &Place) {
    if !is_name(name) {
        reading.error(place, NAME_RULE);
    }
}

/// Finds jobs that would delete archives which other jobs make: they have a repository in common, and the names of those
/// archives begin like theirs.
fn refuse_foreign_pruning(reading: &Reading<'_>, jobs: &[(Job, Place)]) {
    let mut archives: BTreeMap<&str, Vec<(String, &str)>> = BTreeMap::new();
    for (job, _) in jobs {
        for target in &job.targets {
            let names = archives.entry(&target.repository).or_default();
            names.push((plan::own_archives(&job.archive), &job.name));
        }
    }
    for names in archives.values_mut() {
        names.sort();
    }
    for (job, place) in jobs {
        let Some(glob) = job
            .prune
            .as_ref()
            .map(|prune| plan::pruned_archives(job, prune))
        else {
            continue;
        };
        // What is before the first star is all that has to be there.
        let glob = glob.unwrap_or_default();
        let start = glob.split('*').next().unwrap_or_default();
        for target in &job.targets {
            let names = archives.get(target.repository.as_str());
            let names = names.map_or(&[][..], Vec::as_slice);
            let from = names.partition_point(|(name, _)| name.as_str() < start);
            let mut alike = names
                .iter()
                .skip(from)
                .take_while(|(name, _)| name.starts_with(start));
            if let Some((_, other)) = alike.find(|(_, other)| *other != job.name) {
                let message = format!(
                    "this job would delete archives of the job \"{other}\", which has the same repository and gives its \
                     archives names of the same form: `archive_base_name` or `prune.prefix` has to differ"
                );
                reading.error(place, message);
            }
        }
    }
}
