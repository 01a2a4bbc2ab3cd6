//! Rows on a run of a job: what it costs beside the commands it runs.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};

use super::{KEPT, Kind, Row, SMALL, Setting, Tree};
use crate::contestant::Contestant;
use crate::measure::{Measurement, settle};
use crate::tools::{Deed, PASSPHRASE, Tool};

const FEW: Setting = Setting {
    tree: Tree::FewSmall,
    ..SMALL
};
const FEW_TWICE: Setting = Setting {
    ours_twice: true,
    ..FEW
};

pub(super) const ROWS: &[Row] = &[
    Row::on_request(
        "jobs-run",
        Some(1.0),
        "jobs run (create, prune, compact) of unchanged small files; compared with the three commands, ours too",
        FEW_TWICE,
        Kind::Job(Rival::Ours),
    ),
    Row::on_request(
        "jobs-run-stock",
        Some(0.25),
        "the same, compared with the three commands of stock Borg",
        FEW,
        Kind::Job(Rival::Stock),
    ),
];

/// Whose commands a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rival {
    Ours,
    Stock,
}

/// The name of the job.
const JOB: &str = "bench";

/// Writes the configuration of the job, which names archives by parts of a second.
pub(crate) fn configure(contestant: &Contestant, tree: &Path) -> Result<()> {
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
        FEW.mode,
        FEW.compression,
    );
    let path = contestant.beside("jobs.toml");
    std::fs::write(&path, settings).with_context(|| format!("{}", path.display()))
}

/// One run of the job in our column, its commands one after the other in the other.
pub(crate) fn run(contestant: &Contestant, tree: &Path, repetition: usize) -> Result<Measurement> {
    settle();
    let measurement = if contestant.tool == Tool::Ours {
        let (config, state) = (contestant.beside("jobs.toml"), contestant.beside("state"));
        let words = ["jobs", "run", JOB, "--no-wait", "--config"].map(OsStr::new);
        let places = [config.as_os_str(), OsStr::new("--state"), state.as_os_str()];
        contestant.run(tree, [words.as_slice(), &places].concat())?
    } else {
        let repository = contestant.repository();
        let backup = Deed::Backup {
            name: &format!("{JOB}-again{repetition}"),
            compression: FEW.compression,
        };
        let mut sum = contestant.perform(tree, backup)?;
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
