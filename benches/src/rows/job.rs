//! Rows on a run of a job: what it costs beside the commands it runs.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};
use ironborg_testkit::Program;

use super::{KEPT, Kind, Row, SMALL, Tree, create};
use crate::measure::{Contestant, Measurement, settle};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "jobs-run",
        what: "jobs run (create, prune, compact) of unchanged small files; compared with the three commands, ours too",
        aim: Some(1.0),
        tree: Tree::FewSmall,
        wire: None,
        kind: Kind::Job(Rival::Ours),
    },
    Row {
        name: "jobs-run-stock",
        what: "the same, compared with the three commands of stock Borg",
        aim: Some(0.25),
        tree: Tree::FewSmall,
        wire: None,
        kind: Kind::Job(Rival::Stock),
    },
];

/// Whose commands a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    Ours,
    Stock,
}

/// The name of the job.
const JOB: &str = "bench";
/// The passphrase every contestant has in its environment.
const PASSPHRASE: &str = "a passphrase for measuring";

/// Writes the configuration of the job, which names archives by parts of a second.
pub(super) fn configure(contestant: &Contestant, tree: &Path) -> Result<()> {
    let tree = std::path::absolute(tree)?;
    let settings = format!(
        "[jobs.{JOB}]
         paths = [\"{}\"]
         repo = \"{}\"
         encryption = {{ mode = \"{}\", passphrase = \"{PASSPHRASE}\" }}
         compression = \"{}\"
         date_format = \"%H%M%S.%f\"
         append_failed_suffix = false
         prune.keep = {{ last = {KEPT} }}
        ",
        tree.display(),
        contestant.repository().display(),
        SMALL.0,
        SMALL.1,
    );
    let path = contestant.beside("jobs.toml");
    std::fs::write(&path, settings).with_context(|| format!("{}", path.display()))
}

/// One run of the job in our column, its commands one after the other in the other.
pub(super) fn run(contestant: &Contestant, tree: &Path, repetition: usize) -> Result<Measurement> {
    settle();
    let measurement = if contestant.program == Program::Ours {
        let (config, state) = (contestant.beside("jobs.toml"), contestant.beside("state"));
        let words = ["jobs", "run", JOB, "--no-wait", "--config"].map(OsStr::new);
        let places = [config.as_os_str(), OsStr::new("--state"), state.as_os_str()];
        contestant.run(tree, [words.as_slice(), &places].concat())?
    } else {
        let repository = contestant.repository();
        let name = format!("{JOB}-again{repetition}");
        let mut sum = create(contestant, &name, SMALL.1, tree)?;
        let glob = format!("{JOB}-*");
        let prune = ["prune", "--keep-last", KEPT, "--glob-archives", &glob].map(OsStr::new);
        let compact = ["compact"].map(OsStr::new);
        for words in [prune.as_slice(), &compact] {
            let words = [words, &[repository.as_os_str()]].concat();
            sum = sum.then(contestant.run(tree, words)?);
        }
        sum
    };
    contestant.with_size(measurement)
}
