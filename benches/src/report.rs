//! The tables, what in them misses an aim, and where they are kept.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::options::Options;
use crate::records::{LIMIT, PAYLOAD, Record, Records};
use crate::rows::{self, Row};
use crate::tools::Tool;
use crate::wire::RATE;

/// The table in a document is between these lines,
pub(crate) const BEGIN: &str = "<!-- measured by `cargo xtask bench`, do not edit -->";
/// that of backups on object stores between this one and the same end.
pub(crate) const BEGIN_STORES: &str =
    "<!-- measured by `cargo xtask bench -- --stores`, do not edit -->";
const END: &str = "<!-- end of measurements -->";

/// What no row may take, in bytes.
const PEAK_MAX: f64 = 200e6;

/// A ratio is shown with two digits; what is shown as the aim has reached it.
const ROUNDING: f64 = 0.005;

/// Marks what misses its aim.
const MISSED: &str = " ✗";

/// The medians as Markdown tables, with the machine they were measured on.
pub(crate) fn tables(records: &Records, options: &Options) -> String {
    let mut text = format!(
        "{}; medians of {} runs in turn ({} of what takes less than a second; what took longer \
         than {} s was run once), scale {}. ✗: an aim is missed. In brackets: ours over it.\n",
        machine(),
        options.repetitions,
        crate::run::SHORT_REPETITIONS,
        options.long_s,
        options.scale
    );
    text += &wall_table(records);
    let never = |_: &Records, _: &Row| false;
    let cpu = |record: &Record| record.cpu_s;
    text += &other_table(records, "Processor time", cpu, seconds, never);
    let peak = |record: &Record| record.peak as f64;
    text += &other_table(records, "Peak memory", peak, bytes, misses_memory);
    let size = |record: &Record| record.repository as f64;
    text += &other_table(records, "Repository afterwards", size, bytes, never);
    text += &line_table(records);
    for (_, note) in &records.notes {
        text.push_str("\nNot measured: ");
        text.push_str(note);
        text.push('\n');
    }
    text
}

/// The rows something is known of, in order.
fn measured(records: &Records) -> impl Iterator<Item = &'static Row> {
    rows::all().filter(|row| records.records.iter().any(|record| record.row == row.name))
}

/// One line of a table.
fn line(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string cannot fail");
}

/// The line of titles, and the one below it; figures are set to the right.
fn head(text: &mut String, titles: &[&str], words: usize, others: &[Tool]) {
    let titles = titles
        .iter()
        .copied()
        .chain(others.iter().map(|tool| tool.name()));
    let titles: Vec<String> = titles.map(str::to_owned).collect();
    let rule = (0..titles.len()).map(|column| if column < words { "---" } else { "--:" });
    text.push('\n');
    line(text, &titles);
    line(text, &rule.map(str::to_owned).collect::<Vec<_>>());
}

fn wall_table(records: &Records) -> String {
    let others = records.others();
    let mut text = String::new();
    let titles = [
        "row",
        "what",
        "limit",
        "ours",
        "over limit",
        "stock",
        "ratio",
        "aim",
    ];
    head(&mut text, &titles, 2, &others);
    for row in measured(records) {
        let of = |program: &str| records.median(row.name, program, |record| record.wall_s);
        let (ours, stock, limit) = (of("ours"), of("stock"), of(LIMIT));
        let mark = if misses_wall(records, row) {
            MISSED
        } else {
            ""
        };
        let aim = row
            .aim
            .map_or_else(|| "–".to_owned(), |aim| format!("{aim:.2}"));
        let mut cells = vec![
            row.name.to_owned(),
            row.what.to_owned(),
            shown(limit, seconds),
            shown(ours, seconds),
            shown(ours / limit, |ratio| format!("{ratio:.1}")),
            shown(stock, seconds),
            format!("**{}**{mark}", shown(ours / stock, ratio)),
            aim,
        ];
        cells.extend(others.iter().map(|tool| {
            let other = of(tool.name());
            let mark = if ours > other { MISSED } else { "" };
            beside(ours, other, seconds) + mark
        }));
        line(&mut text, &cells);
    }
    text
}

/// What is not a time: the same columns, without what is known of times only.
fn other_table(
    records: &Records,
    title: &str,
    value: impl Fn(&Record) -> f64 + Copy,
    form: impl Fn(f64) -> String + Copy,
    misses: impl Fn(&Records, &Row) -> bool,
) -> String {
    let others = records.others();
    let mut text = format!("\n{title}:\n");
    head(&mut text, &["row", "ours", "stock", "ratio"], 1, &others);
    for row in measured(records) {
        let of = |program: &str| records.median(row.name, program, value);
        let (ours, stock) = (of("ours"), of("stock"));
        let is_known = [ours, stock].iter().any(|figure| *figure > 0.0);
        if !is_known {
            continue;
        }
        let mark = if misses(records, row) { MISSED } else { "" };
        let mut cells = vec![
            row.name.to_owned(),
            shown(ours, form),
            shown(stock, form),
            shown(ours / stock, ratio) + mark,
        ];
        let others = others.iter();
        cells.extend(others.map(|tool| beside(ours, of(tool.name()), form)));
        line(&mut text, &cells);
    }
    text
}

/// How much of a long line was used for the content of files; nothing if no row was about that.
fn line_table(records: &Records) -> String {
    let mut rows = String::new();
    for row in measured(records) {
        let payload = records.median(row.name, PAYLOAD, |record| record.repository as f64);
        if payload.is_nan() {
            continue;
        }
        let share = |program| {
            let wall = records.median(row.name, program, |record| record.wall_s);
            shown(payload / (RATE * wall) * 100.0, |share| {
                format!("{share:.0} %")
            })
        };
        let (ours, stock) = (share("ours"), share("stock"));
        writeln!(
            rows,
            "| {} | {} | {ours} | {stock} |",
            row.name,
            bytes(payload)
        )
        .expect("writing to a string cannot fail");
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n| row | content of files | share of the line, ours | stock |\n|---|--:|--:|--:|\n{rows}"
    )
}

/// Whether ours takes more of stock Borg's time than is aimed at.
fn misses_wall(records: &Records, row: &Row) -> bool {
    let of = |program| records.median(row.name, program, |record| record.wall_s);
    row.aim
        .is_some_and(|aim| of("ours") / of("stock") >= aim + ROUNDING)
}

/// Whether ours takes more memory than stock Borg, or than anything may.
fn misses_memory(records: &Records, row: &Row) -> bool {
    let of = |program| records.median(row.name, program, |record| record.peak as f64);
    let ours = of("ours");
    ours > PEAK_MAX || ours > of("stock")
}

/// Whether another program than stock Borg is faster.
fn is_overtaken(records: &Records, row: &Row) -> bool {
    let of = |program| records.median(row.name, program, |record| record.wall_s);
    let ours = of("ours");
    let mut others = records.others().into_iter();
    others.any(|tool| ours > of(tool.name()))
}

/// Rows that miss an aim and of which a document does not say why, as `**row**` outside of the table.
pub(crate) fn unexplained(records: &Records, document: &str) -> Vec<&'static str> {
    let (before, after) = match (document.find(BEGIN), document.find(END)) {
        (Some(begin), Some(end)) => (&document[..begin], &document[end..]),
        _ => (document, ""),
    };
    let missing = measured(records).filter(|row| {
        let name = format!("**{}**", row.name);
        let misses =
            misses_wall(records, row) || misses_memory(records, row) || is_overtaken(records, row);
        misses && !before.contains(&name) && !after.contains(&name)
    });
    missing.map(|row| row.name).collect()
}

/// A figure of another program, and ours over it.
fn beside(ours: f64, other: f64, form: impl Fn(f64) -> String) -> String {
    if other.is_finite() && other > 0.0 {
        format!("{} ({})", form(other), shown(ours / other, ratio))
    } else {
        "–".to_owned()
    }
}

/// A figure, or a dash where there is none: nothing was measured, or it says nothing.
fn shown(figure: f64, form: impl Fn(f64) -> String) -> String {
    if figure.is_finite() && figure > 0.0 {
        form(figure)
    } else {
        "–".to_owned()
    }
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn bytes(figure: f64) -> String {
    format!("{:.0} MB", figure / 1e6)
}

pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// What everything ran on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores ({}), Linux {}", processor(), kernel())
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

/// Replaces the table in a document that begins behind a mark.
pub(crate) fn replace_table(path: &Path, begin: &str, table: &str) -> Result<()> {
    let (text, place) = place_of_table(path, begin)?;
    let text = format!(
        "{}\n\n{table}\n{}",
        &text[..place.start],
        &text[place.end..]
    );
    std::fs::write(path, text).with_context(|| format!("{}", path.display()))
}

/// A document, and where in it between the marks the tables are.
pub(crate) fn place_of_table(path: &Path, mark: &str) -> Result<(String, Range<usize>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let begin = text.find(mark).map(|begin| begin + mark.len());
    let place = begin.and_then(|begin| Some(begin..begin + text[begin..].find(END)?));
    let Some(place) = place else {
        bail!(
            "{} has no place for the table:\n{mark}\n{END}",
            path.display()
        );
    };
    Ok((text, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(row: &str, program: &str, wall_s: f64, peak: u64) -> Record {
        Record {
            row: row.to_owned(),
            program: program.to_owned(),
            repetition: 0,
            wall_s,
            cpu_s: wall_s,
            peak,
            repository: 0,
        }
    }

    fn records(ours_s: f64, ours_peak: u64) -> Records {
        Records {
            records: vec![
                record("list-small", "ours", ours_s, ours_peak),
                record("list-small", "stock", 10.0, 100),
                record("list-small", "restic", 5.0, 100),
            ],
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_row_that_misses_has_to_be_explained() {
        let document = format!("{BEGIN}\n**list-small**\n{END}\n");
        let check = |ours_s, peak, expected: &[&str]| {
            assert_eq!(unexplained(&records(ours_s, peak), &document), expected);
        };
        check(0.6, 100, &[]);
        check(0.64, 100, &[]);
        check(0.66, 100, &["list-small"]);
        check(0.6, 101, &["list-small"]);
        let explained = format!("{document}* **list-small**: why\n");
        assert!(unexplained(&records(6.0, 300), &explained).is_empty());
    }

    #[test]
    fn what_misses_is_marked() {
        let table = wall_table(&records(6.0, 100));
        assert!(
            table.contains("**0.60** ✗ | 0.06 | 5.00 s (1.20) ✗ |"),
            "{table}"
        );
        let table = wall_table(&records(0.5, 100));
        assert!(
            table.contains("**0.05** | 0.06 | 5.00 s (0.10) |"),
            "{table}"
        );
    }
}
