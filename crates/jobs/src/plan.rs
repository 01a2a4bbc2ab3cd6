//! A job → the words of each command of a run.
//!
//! Words are those that a command line would have behind the program's name: whoever reads an order can type it. Values
//! follow their option in the same word (`--exclude=VALUE`), and paths a `--`, so that neither is ever taken for an
//! option. The repository is not among them: it is `BORG_REPO`.

mod naming;

use serde::{Deserialize, Serialize};

use crate::job::{Job, Prune, Source, Target};
pub use naming::{NamingError, archive_name, own_archives};

/// What the process that works is given to do, for one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The job's name.
    pub job: String,
    /// The repository's label.
    pub target: String,
    /// What the archive is called in the end, with Borg's placeholders: `$archiveName` of hooks.
    pub archive: String,
    /// The steps, in order. One that fails ends the run.
    pub steps: Vec<Step>,
    /// Whether a warning ends it like a failure.
    pub fail_on_warnings: bool,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// One of the program's commands.
    Command {
        /// How it is called in records: `init`, `create`, `prune`, `compact`, `check`, `check-data`, `rename`. What is
        /// called `init` is done only if there is no repository.
        name: String,
        /// The words behind the program's name.
        words: Vec<String>,
    },
    /// A shell command of the user's. No lock is held meanwhile.
    Hook {
        /// Which one: `post-init` (run only if the repository was just made), `post-create`, `post-prune`.
        name: String,
        /// What the shell runs.
        script: String,
    },
    /// A restore drill.
    Drill {
        /// How long it takes at most, in seconds.
        budget: u64,
        /// The newest archive whose name matches this is drilled, as `--glob-archives` has it.
        archives: String,
        /// The job's paths, which the live files to compare with are found by; none: there is nothing to compare with.
        paths: Vec<String>,
    },
}

impl Step {
    /// How it is called in records.
    pub fn name(&self) -> &str {
        match self {
            Self::Command { name, .. } | Self::Hook { name, .. } => name,
            Self::Drill { .. } => "drill",
        }
    }
}

impl WorkOrder {
    /// What is left to do when the first `done` steps were done: another attempt goes on there, rather than make an
    /// archive that is there already.
    #[must_use]
    pub fn remaining(&self, done: usize) -> Self {
        Self {
            steps: self.steps.iter().skip(done).cloned().collect(),
            ..self.clone()
        }
    }

    /// The same for a repository that has been there: if it is missing now, something is wrong (a device is not mounted, a
    /// directory was moved), and an empty one in its place would only hide that.
    #[must_use]
    pub fn without_init(mut self) -> Self {
        self.steps
            .retain(|step| !["init", "post-init"].contains(&step.name()));
        self
    }
}

/// Which checks are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueChecks {
    /// `check`.
    pub repository: bool,
    /// `check --verify-data`, which is all that `check` is and more.
    pub data: bool,
    /// A restore drill.
    pub drill: bool,
}

/// What is appended to an archive's name until everything went well.
const FAILED_SUFFIX: &str = ".failed";
/// Runs `$1` so that a failure anywhere in a pipe is one: `sh` need not know how, `bash` does.
const PIPEFAIL: &str = "if (set -o pipefail) 2>/dev/null; then set -o pipefail; eval \"$1\"; \
     elif command -v bash >/dev/null; then exec bash -o pipefail -c \"$1\"; \
     else eval \"$1\"; fi";

/// What is to be done for one repository of a job. `archive` is what [`archive_name`] gave.
pub fn order(job: &Job, target: &Target, due: DueChecks, archive: &str) -> WorkOrder {
    let mut steps = Vec::new();
    let hook = |name: &str, script: &Option<String>| {
        let script = script.clone()?;
        let name = name.to_owned();
        Some(Step::Hook { name, script })
    };
    if job.init {
        let encryption = format!("--encryption={}", target.encryption);
        steps.push(command(job, "init", &job.arguments.init, vec![encryption]));
        steps.extend(hook("post-init", &job.hooks.post_init));
    }
    let suffix = if job.archive.failed_suffix {
        FAILED_SUFFIX
    } else {
        ""
    };
    let first = format!("{archive}{suffix}");
    steps.push(create(job, &first));
    if first != archive {
        let mut rename = words(job, "rename", &[], Vec::new());
        rename.extend(["--".to_owned(), format!("::{first}"), archive.to_owned()]);
        steps.push(named("rename", rename));
    }
    steps.extend(hook("post-create", &job.hooks.post_create));
    steps.extend(prune(job));
    if job.compact {
        steps.push(command(job, "compact", &job.arguments.compact, Vec::new()));
    }
    if job.prune.is_some() || job.compact {
        steps.extend(hook("post-prune", &job.hooks.post_prune));
    }
    steps.extend(checks(job, due));
    WorkOrder {
        job: job.name.clone(),
        target: target.label.clone(),
        archive: archive.to_owned(),
        steps,
        fail_on_warnings: job.fail_on_warnings,
    }
}

fn named(name: &str, words: Vec<String>) -> Step {
    let name = name.to_owned();
    Step::Command { name, words }
}

/// The command, words for all commands, our options, the user's own: what comes last counts.
fn words(job: &Job, command: &str, extra: &[String], options: Vec<String>) -> Vec<String> {
    let mut words = vec![command.to_owned()];
    words.extend(job.arguments.all.iter().cloned());
    words.extend(options);
    words.extend(extra.iter().cloned());
    words
}

fn command(job: &Job, name: &str, extra: &[String], options: Vec<String>) -> Step {
    named(name, words(job, name, extra, options))
}

fn create(job: &Job, archive: &str) -> Step {
    let compression = job.compression.iter();
    let mut options: Vec<String> = compression.map(|c| format!("--compression={c}")).collect();
    let input = match &job.source {
        Source::Paths {
            paths,
            exclude,
            patterns,
        } => {
            options.extend(exclude.iter().map(|pattern| format!("--exclude={pattern}")));
            options.extend(
                patterns
                    .iter()
                    .map(|pattern| format!("--pattern={pattern}")),
            );
            paths
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect()
        }
        Source::Command(script) => {
            // A command that fails leaves no archive, where one that fails before a `|` would leave half of one.
            options.push("--content-from-command".to_owned());
            ["sh", "-c", PIPEFAIL, "sh", script]
                .map(str::to_owned)
                .to_vec()
        }
    };
    let mut words = words(job, "create", &job.arguments.create, options);
    words.extend(["--".to_owned(), format!("::{archive}")]);
    words.extend(input);
    named("create", words)
}

fn prune(job: &Job) -> Option<Step> {
    let prune = job.prune.as_ref()?;
    let rules = prune.keep.iter();
    let mut options: Vec<String> = rules
        .map(|(rule, value)| format!("--keep-{rule}={value}"))
        .collect();
    let glob = pruned_archives(job, prune);
    options.extend(glob.map(|glob| format!("--glob-archives={glob}")));
    Some(command(job, "prune", &job.arguments.prune, options))
}

/// The glob of the archives that are looked at when some are deleted; nothing: all there are.
pub fn pruned_archives(job: &Job, prune: &Prune) -> Option<String> {
    match prune.prefix.as_deref() {
        None => Some(own_archives(&job.archive)),
        Some("") => None,
        Some(prefix) => Some(naming::beginning_with(prefix)),
    }
}

fn checks(job: &Job, due: DueChecks) -> Vec<Step> {
    let mut steps = Vec::new();
    if due.data {
        let verify = vec!["--verify-data".to_owned()];
        let words = words(job, "check", &job.arguments.check, verify);
        steps.push(named("check-data", words));
    } else if due.repository {
        steps.push(command(job, "check", &job.arguments.check, Vec::new()));
    }
    if let (true, Some(drill)) = (due.drill, &job.checks.drill) {
        let paths = match &job.source {
            Source::Paths { paths, .. } => paths.as_slice(),
            Source::Command(_) => &[],
        };
        steps.push(Step::Drill {
            budget: drill.budget.as_secs(),
            archives: own_archives(&job.archive),
            paths: paths
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
        });
    }
    steps
}

#[cfg(test)]
mod tests;
