//! Single measurements as lines of a file, from which the table is made: rows measured apart can be put together.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::RowResult;
use crate::tools::Tool;

const HEADER: &str = "row,program,repetition,wall_s,cpu_s,peak_bytes,repository_bytes";

/// In place of a program's name: what no program on this machine can be faster than.
pub(crate) const LIMIT: &str = "limit";

/// In place of a program's name: bytes of files that had to cross a line.
pub(crate) const PAYLOAD: &str = "payload";

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) row: String,
    pub(crate) program: String,
    pub(crate) repetition: usize,
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak: u64,
    pub(crate) repository: u64,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) records: Vec<Record>,
    /// Rows and why something of them is missing.
    pub(crate) notes: Vec<(String, String)>,
}

impl Records {
    /// Takes a row's measurements in, in place of earlier ones of that row.
    pub(crate) fn take(&mut self, result: &RowResult) {
        let name = result.row.name;
        self.records.retain(|record| record.row != name);
        self.notes.retain(|(row, _)| row != name);
        let blank = Record {
            row: name.to_owned(),
            program: String::new(),
            repetition: 0,
            wall_s: 0.0,
            cpu_s: 0.0,
            peak: 0,
            repository: 0,
        };
        for (tool, runs) in &result.runs {
            let runs = runs.iter().enumerate();
            self.records.extend(runs.map(|(repetition, run)| Record {
                program: tool.name().to_owned(),
                repetition,
                wall_s: run.wall.as_secs_f64(),
                cpu_s: run.cpu.as_secs_f64(),
                peak: run.peak,
                repository: run.repository,
                ..blank.clone()
            }));
        }
        self.records.extend(result.limit.map(|limit| Record {
            program: LIMIT.to_owned(),
            wall_s: limit.wall_s,
            cpu_s: limit.cpu_s,
            ..blank.clone()
        }));
        self.records.extend(result.payload.map(|payload| Record {
            program: PAYLOAD.to_owned(),
            repository: payload,
            ..blank
        }));
        let notes = result.notes.iter();
        self.notes
            .extend(notes.map(|note| (name.to_owned(), note.clone())));
    }

    /// The records of one program in one row.
    pub(crate) fn of<'a>(
        &'a self,
        row: &'a str,
        program: &'a str,
    ) -> impl Iterator<Item = &'a Record> {
        let records = self.records.iter();
        records.filter(move |record| record.row == row && record.program == program)
    }

    /// The middle value of one program in one row; the mean of the two middle ones for an even number; not a number if
    /// there is none.
    pub(crate) fn median(&self, row: &str, program: &str, value: impl Fn(&Record) -> f64) -> f64 {
        let mut values: Vec<f64> = self.of(row, program).map(value).collect();
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

    /// The programs beside ours and stock Borg that were measured.
    pub(crate) fn others(&self) -> Vec<Tool> {
        let programs = self.records.iter().map(|record| record.program.as_str());
        let tools: BTreeSet<Tool> = programs.filter_map(Tool::from_name).collect();
        tools.into_iter().filter(|tool| !tool.is_borg()).collect()
    }

    fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("writing to a string cannot fail");
        };
        for record in &self.records {
            let Record {
                row,
                program,
                repetition,
                wall_s,
                cpu_s,
                peak,
                repository,
            } = record;
            line(format_args!(
                "{row},{program},{repetition},{wall_s:.6},{cpu_s:.6},{peak},{repository}"
            ));
        }
        for (row, note) in &self.notes {
            line(format_args!("#{row},{note}"));
        }
        text
    }

    fn decode(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            bail!("not a list of measurements");
        }
        let mut all = Self::default();
        for line in lines {
            if let Some(note) = line.strip_prefix('#') {
                let (row, note) = note.split_once(',').with_context(|| line.to_owned())?;
                all.notes.push((row.to_owned(), note.to_owned()));
                continue;
            }
            let parsed = parse(line).with_context(|| format!("not a measurement: {line}"))?;
            all.records.push(parsed);
        }
        Ok(all)
    }

    /// What a file has.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        Self::decode(&text).with_context(|| format!("{}", path.display()))
    }

    /// Writes it all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.encode()).with_context(|| format!("{}", path.display()))
    }
}

fn parse(line: &str) -> Option<Record> {
    let mut fields = line.split(',');
    let mut field = || fields.next();
    Some(Record {
        row: field()?.to_owned(),
        program: field()?.to_owned(),
        repetition: field()?.parse().ok()?,
        wall_s: field()?.parse().ok()?,
        cpu_s: field()?.parse().ok()?,
        peak: field()?.parse().ok()?,
        repository: field()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(repetition: usize, wall_s: f64) -> Record {
        Record {
            row: "list-small".to_owned(),
            program: "ours".to_owned(),
            repetition,
            wall_s,
            cpu_s: 0.25,
            peak: 30_000_000,
            repository: 0,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let note = ("list-small".to_owned(), "restic: no, it, cannot".to_owned());
        let all = Records {
            records: vec![record(0, 1.5), record(1, 2.5)],
            notes: vec![note],
        };
        let again = Records::decode(&all.encode()).expect("well-formed");
        assert_eq!(again.records, all.records);
        assert_eq!(again.notes, all.notes);
        assert!(Records::decode("row,program\n").is_err());
        assert!(Records::decode(&format!("{HEADER}\nx,ours,0,1\n")).is_err());
    }

    #[test]
    fn the_middle_one_counts() {
        let mut all = Records {
            records: vec![record(0, 1.0), record(1, 9.0), record(2, 2.0)],
            notes: Vec::new(),
        };
        let median = |all: &Records| all.median("list-small", "ours", |record| record.wall_s);
        assert!((median(&all) - 2.0).abs() < 1e-9);
        all.records.pop();
        assert!((median(&all) - 5.0).abs() < 1e-9);
        all.records.clear();
        assert!(median(&all).is_nan());
    }
}
