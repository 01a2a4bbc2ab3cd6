//! What is known.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, OptionalExtension, Row};

use super::{History, HistoryError, Outcome, Run, RunId, StepEnd};
use crate::report::Figures;

const RUN_COLUMNS: &str =
    "id, target, begun, ended, outcome, code, msgid, message, attempts, figures, log";

impl History {
    /// The last runs, newest first, of one repository or of all.
    pub fn runs(&self, target: Option<&str>, limit: u32) -> Result<Vec<Run>, HistoryError> {
        let query = format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE ?1 IS NULL OR target = ?1
             ORDER BY id DESC LIMIT ?2"
        );
        let read = || {
            let mut statement = self.connection.prepare(&query)?;
            statement
                .query_map((target, limit), run)?
                .collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// The last run that left a backup.
    pub fn last_success(&self, target: &str) -> Result<Option<Run>, HistoryError> {
        let query = format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE target = ?1 AND outcome IN ('success', 'warning')
             ORDER BY id DESC LIMIT 1"
        );
        let read = || self.connection.query_row(&query, [target], run).optional();
        read().map_err(|source| self.failed("read", source))
    }

    /// When a run was last begun, of any repository; those that conditions kept from beginning do not count.
    pub fn last_begun(&self) -> Result<Option<Timestamp>, HistoryError> {
        let query = "SELECT begun FROM runs
             WHERE outcome IS NULL OR outcome NOT IN ('unmet', 'absent')
             ORDER BY id DESC LIMIT 1";
        let read = || {
            self.connection
                .query_row(query, [], |row| timestamp(row, 0))
                .optional()
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// When the last run ended, of any repository, or began if it has not ended or nobody knows when it did, or if a clock was
    /// set back meanwhile; those that conditions kept from beginning do not count.
    pub fn last_ended(&self) -> Result<Option<Timestamp>, HistoryError> {
        let query = "SELECT max(begun, coalesce(ended, begun)) FROM runs
             WHERE outcome IS NULL OR outcome NOT IN ('unmet', 'absent')
             ORDER BY id DESC LIMIT 1";
        let read = || {
            self.connection
                .query_row(query, [], |row| timestamp(row, 0))
                .optional()
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// The steps of a run, in order.
    pub fn steps(&self, run: RunId) -> Result<Vec<StepEnd>, HistoryError> {
        let query = "SELECT attempt, name, ended, seconds, code, msgid, message, figures
             FROM steps WHERE run = ?1 ORDER BY position";
        let read = || {
            let mut statement = self.connection.prepare(query)?;
            statement
                .query_map([run.0], step)?
                .collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// What was remembered under a name.
    pub fn recall(&self, key: &str) -> Result<Option<String>, HistoryError> {
        let query = "SELECT value FROM remembered WHERE key = ?1";
        let read = || {
            self.connection
                .query_row(query, [key], |row| row.get(0))
                .optional()
        };
        read().map_err(|source| self.failed("read", source))
    }

    /// When a check or drill of a repository was last done.
    pub fn last_done(&self, target: &str, step: &str) -> Result<Option<Timestamp>, HistoryError> {
        let value = self.recall(&done_key(target, step))?;
        let time = value.and_then(|value| value.parse().ok());
        Ok(time.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }
}

/// Under which name it is remembered when a step was last done.
pub(super) fn done_key(target: &str, step: &str) -> String {
    format!("done/{target}/{step}")
}

fn run(row: &Row<'_>) -> Result<Run, Error> {
    let outcome: Option<String> = row.get(4)?;
    Ok(Run {
        id: RunId(row.get(0)?),
        target: row.get(1)?,
        begun: timestamp(row, 2)?,
        ended: match row.get::<_, Option<i64>>(3)? {
            Some(_) => Some(timestamp(row, 3)?),
            None => None,
        },
        outcome: match outcome {
            Some(name) => Some(Outcome::from_name(&name).ok_or_else(|| strange(4, &name))?),
            None => None,
        },
        code: row.get(5)?,
        msgid: row.get(6)?,
        message: row.get(7)?,
        attempts: row.get(8)?,
        figures: figures(row, 9)?,
        log: row.get(10)?,
    })
}

fn step(row: &Row<'_>) -> Result<StepEnd, Error> {
    Ok(StepEnd {
        attempt: row.get(0)?,
        name: row.get(1)?,
        at: timestamp(row, 2)?,
        seconds: row.get(3)?,
        code: row.get(4)?,
        msgid: row.get(5)?,
        message: row.get(6)?,
        figures: figures(row, 7)?,
    })
}

fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, Error> {
    let ms: i64 = row.get(column)?;
    let found = Timestamp::from_millisecond(ms);
    found.map_err(|error| Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error)))
}

fn figures(row: &Row<'_>, column: usize) -> Result<Figures, Error> {
    let text: String = row.get(column)?;
    let found = serde_json::from_str(&text);
    found.map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn strange(column: usize, found: &str) -> Error {
    let reason = format!("not an outcome: {found}");
    Error::FromSqlConversionFailure(column, Type::Text, reason.into())
}
