//! Backups on an object store: ours, restic and rclone in turn on the same server of this machine, with and without a line
//! between them that takes its time; all requests and bytes are counted on that line.

mod line;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ironborg_testkit::{ObjectServer, Scratch};

use crate::measure::{Measurement, size_of, warm};
use crate::options::Options;
use crate::report;
use crate::rows::Tree;
use crate::trees;

use line::{Line, Passed};
use program::{Client, Deed, Program};

/// Room on the server, in volumes of 128 MB: 40 GB.
const VOLUMES: u32 = 320;

/// Milliseconds a byte is on its way in each direction; an answer takes twice that.
const DELAYS_MS: [u64; 2] = [0, 10];

/// The trees, and the compression of ours: restic has one.
const TREES: [(Tree, &str, &str); 2] = [
    (Tree::Large, "large", "zstd,3"),
    (Tree::Small, "small", "zstd,3"),
];

/// What is measured, in order; whether what is cached is forgotten first.
const STEPS: [(&str, &str, bool); 8] = [
    ("first", "first backup", false),
    ("unchanged", "unchanged second backup", false),
    ("list", "list of one backup", false),
    (
        "list-anew",
        "the same on a machine that has nothing yet",
        true,
    ),
    ("one", "one file restored", false),
    (
        "one-anew",
        "the same on a machine that has nothing yet",
        true,
    ),
    ("extract", "everything restored", false),
    (
        "delete",
        "the first backup deleted, its space given back",
        false,
    ),
];

/// What one program did in one step.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    measurement: Measurement,
    passed: Passed,
}

type Outcomes = BTreeMap<(u64, &'static str, &'static str, Program), Vec<Outcome>>;

/// Measures everything; the table as Markdown.
pub(crate) fn run(options: &Options) -> Result<String> {
    crate::sys::share_heap();
    let mut outcomes = Outcomes::new();
    let mut sizes = BTreeMap::new();
    for (tree, name, compression) in TREES {
        let dir = trees::of(options, tree)?;
        sizes.insert(name, size_of(&dir)?);
        warm(&dir)?;
        for repetition in 0..options.repetitions {
            for delay in DELAYS_MS {
                let scratch = Scratch::new();
                let server = ObjectServer::start_with_room(&scratch, VOLUMES);
                let line = Line::start(server.port(), Duration::from_millis(delay))?;
                let mut clients = Vec::new();
                for program in [Program::Ours, Program::Restic, Program::Rclone] {
                    // Each file is a request to rclone: that of small ones says nothing but that.
                    if program == Program::Rclone && tree != Tree::Large {
                        continue;
                    }
                    let client =
                        Client::new(options, program, name, compression, &line.endpoint())?;
                    clients.extend(client);
                }
                let count = clients.len();
                clients.rotate_left(repetition % count);
                for (step, _, forgets) in STEPS {
                    for client in &clients {
                        let outcome = perform(client, &line, &dir, step, forgets)?;
                        let Some(outcome) = outcome else { continue };
                        tell(name, delay, step, client.program, &outcome);
                        let key = (delay, name, step, client.program);
                        outcomes.entry(key).or_default().push(outcome);
                    }
                }
            }
        }
    }
    Ok(table(options, &outcomes, &sizes))
}

fn perform(
    client: &Client,
    line: &Line,
    tree: &Path,
    step: &str,
    forgets: bool,
) -> Result<Option<Outcome>> {
    let one = first_file(tree)?;
    let deeds: &[Deed<'_>] = match step {
        "first" => &[Deed::Backup("first")],
        "unchanged" => &[Deed::Backup("second")],
        "list" | "list-anew" => &[Deed::List],
        "one" | "one-anew" => &[Deed::ExtractOne(&one)],
        "extract" => &[Deed::Extract],
        _ => &[Deed::Delete, Deed::Compact],
    };
    if !deeds.iter().all(|deed| client.can(*deed)) {
        return Ok(None);
    }
    if step == "first" && client.can(Deed::Init) {
        client.perform(tree, Deed::Init)?;
    }
    if forgets {
        client.forget()?;
    }
    crate::measure::settle();
    line.take();
    let mut whole: Option<Measurement> = None;
    for deed in deeds {
        let restored;
        let dir = if matches!(deed, Deed::Extract | Deed::ExtractOne(_)) {
            restored = client.empty_dir()?;
            &restored
        } else {
            tree
        };
        let measurement = client.perform(dir, *deed)?;
        whole = Some(whole.map_or(measurement, |before| before.then(measurement)));
    }
    let passed = line.take();
    if step == "extract" {
        let (there, restored) = (size_of(tree)?, size_of(&client.restored())?);
        anyhow::ensure!(
            there == restored,
            "{} restored {restored} bytes of {there}",
            client.program.name()
        );
    }
    Ok(whole.map(|measurement| Outcome {
        measurement,
        passed,
    }))
}

/// The path of some file in the middle of a tree, relative to it.
fn first_file(tree: &Path) -> Result<String> {
    let mut dir = tree.to_owned();
    loop {
        let mut names: Vec<_> = std::fs::read_dir(&dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        names.sort();
        let path = names.get(names.len() / 2).context("an empty directory")?;
        if path.is_file() {
            let below = path.strip_prefix(tree)?;
            return Ok(below.to_string_lossy().into_owned());
        }
        dir.clone_from(path);
    }
}

fn tell(tree: &str, delay: u64, step: &str, program: Program, outcome: &Outcome) {
    eprintln!(
        "{tree} {step}, {} ms: {} {:.2} s, {} requests, {:.1} MB sent, {:.1} MB received, {:.1} MB of memory",
        2 * delay,
        program.name(),
        outcome.measurement.wall.as_secs_f64(),
        outcome.passed.requests,
        outcome.passed.sent as f64 / 1e6,
        outcome.passed.received as f64 / 1e6,
        outcome.measurement.peak as f64 / 1e6
    );
}

fn table(options: &Options, outcomes: &Outcomes, sizes: &BTreeMap<&str, u64>) -> String {
    let mut text = format!(
        "{}; {} in turn, scale {}; SeaweedFS on the same machine and cores. Requests and bytes as counted on the line, headers \
         included.\n",
        report::machine(),
        if options.repetitions == 1 {
            "one run of each program".to_owned()
        } else {
            format!("medians of {} runs of each program", options.repetitions)
        },
        options.scale
    );
    for (_, tree, _) in TREES {
        for delay in DELAYS_MS {
            let size = sizes.get(tree).copied().unwrap_or_default() as f64;
            let answers = match delay {
                0 => "no delay added".to_owned(),
                delay => format!("{} ms added to each answer", 2 * delay),
            };
            let _ = write!(
                text,
                "\nThe {tree} files ({:.0} MB), {answers}:\n\n\
                 | operation | ours | requests | sent | received | memory | restic | ours over it | requests | sent | received | memory | rclone |\n\
                 | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
                size / 1e6
            );
            for (step, what, _) in STEPS {
                let of = |program| {
                    outcomes
                        .get(&(delay, tree, step, program))
                        .map(Vec::as_slice)
                };
                let Some(ours) = of(Program::Ours).map(median) else {
                    continue;
                };
                let mut cells = vec![what.to_owned()];
                cells.extend(figures(&ours));
                match of(Program::Restic).map(median) {
                    Some(restic) => {
                        let mut theirs = figures(&restic);
                        let ratio = ours.measurement.wall.as_secs_f64()
                            / restic.measurement.wall.as_secs_f64();
                        theirs.insert(1, format!("**{ratio:.2}**"));
                        cells.extend(theirs);
                    }
                    None => cells.extend(std::iter::repeat_n("–".to_owned(), 6)),
                }
                let rclone = of(Program::Rclone).map(median);
                cells.push(rclone.map_or_else(
                    || "–".to_owned(),
                    |rclone| report::seconds(rclone.measurement.wall.as_secs_f64()),
                ));
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
    }
    text
}

fn figures(outcome: &Outcome) -> Vec<String> {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    vec![
        report::seconds(outcome.measurement.wall.as_secs_f64()),
        outcome.passed.requests.to_string(),
        megabytes(outcome.passed.sent),
        megabytes(outcome.passed.received),
        format!("{:.0} MB", outcome.measurement.peak as f64 / 1e6),
    ]
}

/// The one in the middle by wall time; of two the faster one.
fn median(outcomes: &[Outcome]) -> Outcome {
    let mut sorted = outcomes.to_vec();
    sorted.sort_by_key(|outcome| outcome.measurement.wall);
    sorted[(sorted.len() - 1) / 2]
}
