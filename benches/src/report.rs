//! The table, and where it is kept.

use std::fmt::Write;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::measure::Measurement;
use crate::options::Options;
use crate::rows::RowResult;
use crate::wire::RATE;

/// The table in a document is between these lines.
const BEGIN: &str = "<!-- measured by `cargo xtask bench`, do not edit -->";
const END: &str = "<!-- end of measurements -->";

/// The medians as a Markdown table, with the machine they were measured on.
pub(crate) fn table(results: &[RowResult], options: &Options) -> String {
    let mut text = String::new();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    };
    line(format_args!(
        "{cores} cores ({}), Linux {}; medians of {} runs in turn, scale {}.\n",
        processor(),
        kernel(),
        options.repetitions,
        options.scale
    ));
    line(format_args!(
        "| row | what | wall ours | wall stock | ratio | aim | CPU ours | CPU stock | ratio | peak ours | peak stock \
         | ratio | repository ours | stock |"
    ));
    line(format_args!(
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    ));
    for result in results {
        let RowResult {
            row, ours, stock, ..
        } = result;
        let wall = [ours, stock].map(|runs| median(runs, |run| run.wall.as_secs_f64()));
        let cpu = [ours, stock].map(|runs| median(runs, |run| run.cpu.as_secs_f64()));
        let peak = [ours, stock].map(|runs| median(runs, |run| run.peak as f64 / 1e6));
        let size = [ours, stock].map(|runs| median(runs, |run| run.repository as f64 / 1e6));
        let aim = row
            .aim
            .map_or_else(|| "–".to_owned(), |aim| format!("{aim:.2}"));
        let ratio = |of: [f64; 2]| shown(of[0] / of[1], |ratio| format!("{ratio:.2}"));
        line(format_args!(
            "| {} | {} | {} | {} | **{}** | {aim} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            row.what,
            shown(wall[0], time),
            shown(wall[1], time),
            ratio(wall),
            shown(cpu[0], time),
            shown(cpu[1], time),
            ratio(cpu),
            shown(peak[0], megabytes),
            shown(peak[1], megabytes),
            ratio(peak),
            shown(size[0], megabytes),
            shown(size[1], megabytes),
        ));
    }
    text.push_str(&line_table(results));
    text
}

/// How much of a long line was used for the content of files; nothing if no row was about that.
fn line_table(results: &[RowResult]) -> String {
    let shares = results.iter().filter_map(|result| {
        let payload = result.payload? as f64;
        let share = |runs| payload / (RATE * median(runs, |run| run.wall.as_secs_f64())) * 100.0;
        Some(format!(
            "| {} | {:.0} MB | {:.0} % | {:.0} % |\n",
            result.row.name,
            payload / 1e6,
            share(&result.ours),
            share(&result.stock)
        ))
    });
    let rows: String = shares.collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n| row | content of files | share of the line, ours | stock |\n|---|--:|--:|--:|\n{rows}"
    )
}

/// A figure, or a dash where there is none: nothing was measured, or it says nothing.
fn shown(figure: f64, form: impl Fn(f64) -> String) -> String {
    if figure.is_finite() && figure > 0.0 {
        form(figure)
    } else {
        "–".to_owned()
    }
}

fn megabytes(figure: f64) -> String {
    format!("{figure:.0} MB")
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// The middle value; the mean of the two middle ones for an even number; not a number if there is none.
fn median(runs: &[Measurement], value: impl Fn(&Measurement) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim())
        .to_owned()
}

fn kernel() -> String {
    let output = Command::new("uname").arg("-r").output();
    output.map_or_else(
        |_| "?".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Replaces the table in a document.
pub(crate) fn replace_table(path: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!(
            "{} has no place for the table:\n{BEGIN}\n{END}",
            path.display()
        );
    };
    let text = format!(
        "{}\n\n{table}\n{}",
        &text[..begin + BEGIN.len()],
        &text[end..]
    );
    std::fs::write(path, text).with_context(|| format!("{}", path.display()))
}

/// Appends every single measurement.
pub(crate) fn write_raw(path: &Path, results: &[RowResult]) -> Result<()> {
    let context = || format!("{}", path.display());
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(context)?;
    if is_new {
        writeln!(
            file,
            "row,program,repetition,wall_s,cpu_s,peak_bytes,repository_bytes"
        )
        .with_context(context)?;
    }
    for RowResult {
        row, ours, stock, ..
    } in results
    {
        for (program, runs) in [("ours", ours), ("stock", stock)] {
            for (repetition, run) in runs.iter().enumerate() {
                let Measurement {
                    wall,
                    cpu,
                    peak,
                    repository,
                } = run;
                writeln!(
                    file,
                    "{},{program},{repetition},{:.6},{:.6},{peak},{repository}",
                    row.name,
                    wall.as_secs_f64(),
                    cpu.as_secs_f64()
                )
                .with_context(context)?;
            }
        }
    }
    Ok(())
}
