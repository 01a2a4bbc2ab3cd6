//! The course of a run: rows that share files and repositories one after the other, contestants in turn.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::group::Group;
use crate::limits::Limit;
use crate::measure::{Measurement, size_of};
use crate::options::Options;
use crate::rows::{self, Kind, Row, Setting};
use crate::tools::Tool;
use crate::trees;
use crate::wire::{Line, Wire};

/// A row all of whose commands take less is repeated so often at least: it costs nothing, and small times scatter more.
const SHORT_S: f64 = 1.0;
pub(crate) const SHORT_REPETITIONS: usize = 5;

/// One row's measurements.
#[derive(Debug)]
pub(crate) struct RowResult {
    pub(crate) row: &'static Row,
    pub(crate) runs: BTreeMap<Tool, Vec<Measurement>>,
    /// Why a column is empty.
    pub(crate) notes: Vec<String>,
    /// Bytes of the tree's files, where they are what has to cross a line.
    pub(crate) payload: Option<u64>,
    /// What the machine allows.
    pub(crate) limit: Option<Limit>,
}

impl RowResult {
    /// What one program took, in turn.
    pub(crate) fn runs_of(&self, tool: Tool) -> &[Measurement] {
        self.runs.get(&tool).map_or(&[], Vec::as_slice)
    }

    /// Whether ours or stock Borg is missing although it should be there.
    pub(crate) fn is_incomplete(&self) -> bool {
        let mut both = [Tool::Ours, Tool::Stock].into_iter();
        both.any(|tool| self.row.takes(tool) && self.runs_of(tool).is_empty())
    }
}

/// Runs every wanted row; `done` is told of each as soon as it is there. Results are in the order of the table.
pub(crate) fn run_all(
    options: &Options,
    mut done: impl FnMut(&RowResult) -> Result<()>,
) -> Result<Vec<RowResult>> {
    let wanted = rows::wanted(options)?;
    let mut settings: Vec<Setting> = Vec::new();
    for row in &wanted {
        if !settings.contains(&row.setting) {
            settings.push(row.setting);
        }
    }
    let mut results = Vec::new();
    for setting in settings {
        let of_setting = wanted.iter().filter(|row| row.setting == setting);
        let mut rows: Vec<&'static Row> = of_setting.copied().collect();
        rows.sort_by_key(|row| row.kind.rank());
        let tree = trees::of(options, setting.tree)?;
        let mut group = Group::new(options, setting, &tree, &rows)?;
        for row in rows {
            let result = run_row(options, &mut group, row)?;
            done(&result)?;
            results.push(result);
        }
        group.end()?;
    }
    results.sort_by_key(|result| wanted.iter().position(|row| std::ptr::eq(*row, result.row)));
    Ok(results)
}

fn run_row(options: &Options, group: &mut Group<'_>, row: &'static Row) -> Result<RowResult> {
    let mut result = RowResult {
        row,
        runs: BTreeMap::new(),
        notes: Vec::new(),
        payload: payload(row, group.tree())?,
        limit: None,
    };
    let mut taking = group.taking_part(row);
    let failed = group.prepare(row.kind, &taking)?;
    drop_out(&mut result, &mut taking, failed);
    let mut repetition = 0;
    let mut repetitions = options.repetitions;
    while repetition < repetitions {
        if row.kind == Kind::Changed {
            group.change(repetition)?;
        }
        // Who begins changes, so that what warms up or fills up is shared fairly.
        let len = taking.len().max(1);
        let mut order = taking.clone();
        order.rotate_left(repetition % len);
        for tool in order {
            if is_long(options, result.runs_of(tool)) {
                continue;
            }
            match group.run_once(row.kind, tool, repetition) {
                Ok(measurement) => {
                    tell(row, tool, &measurement);
                    result.runs.entry(tool).or_default().push(measurement);
                }
                Err(error) => {
                    drop_out(&mut result, &mut taking, vec![(tool, error)]);
                }
            }
        }
        repetition += 1;
        if repetition == options.repetitions && is_short(&result) {
            repetitions = repetitions.max(SHORT_REPETITIONS);
        }
    }
    group.after(row.kind, &taking)?;
    if taking.contains(&Tool::Ours) {
        // A limit that cannot be computed leaves a dash, too.
        match group.limit(row.kind) {
            Ok(limit) => result.limit = limit,
            Err(error) => result
                .notes
                .push(format!("the limit of `{}`: {error:#}", row.name)),
        }
    }
    Ok(result)
}

/// A program that failed is not in the row, and it is said why.
fn drop_out(result: &mut RowResult, taking: &mut Vec<Tool>, failed: Vec<(Tool, anyhow::Error)>) {
    for (tool, error) in failed {
        let said = format!("{error:#}");
        eprintln!("{} {}: {said}", result.row.name, tool.name());
        let first_line = said.lines().next().unwrap_or_default();
        let note = format!("{} in `{}`: {first_line}", tool.name(), result.row.name);
        result.notes.push(note);
        result.runs.remove(&tool);
        taking.retain(|other| *other != tool);
    }
}

/// What takes long is not repeated: it is its own mean.
fn is_long(options: &Options, runs: &[Measurement]) -> bool {
    runs.iter()
        .any(|run| run.wall.as_secs_f64() > options.long_s)
}

fn is_short(result: &RowResult) -> bool {
    let mut runs = result.runs.values().flatten();
    runs.all(|run| run.wall.as_secs_f64() < SHORT_S)
}

fn payload(row: &Row, tree: &Path) -> Result<Option<u64>> {
    match row.setting.wire {
        Some(Wire {
            line: Line::Long, ..
        }) => size_of(tree).map(Some),
        _ => Ok(None),
    }
}

fn tell(row: &Row, tool: Tool, measurement: &Measurement) {
    eprintln!(
        "{} {} {:.3} s, CPU {:.3} s, {:.1} MB",
        row.name,
        tool.name(),
        measurement.wall.as_secs_f64(),
        measurement.cpu.as_secs_f64(),
        measurement.peak as f64 / 1e6
    );
}
