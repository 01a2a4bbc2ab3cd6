//! What is recorded.

use jiff::Timestamp;
use rusqlite::{Error, OptionalExtension, Transaction, TransactionBehavior};

use super::read::done_key;
use super::{
    History, HistoryError, LOG_COUNT_MAX, LOG_LEN_MAX, Outcome, RUN_COUNT_MAX, Run, RunEnd, RunId,
    StepEnd,
};
use crate::report::Figures;

/// Steps that are not done in every run: when they were is remembered for as long as the job is.
const RARE_STEPS: [&str; 3] = ["check", "check-data", "drill"];

impl History {
    /// Records that a run begins.
    pub fn begin(&mut self, target: &str, at: Timestamp) -> Result<RunId, HistoryError> {
        self.change(|transaction| {
            let insert = "INSERT INTO runs (target, begun) VALUES (?1, ?2)";
            transaction.execute(insert, (target, at.as_millisecond()))?;
            Ok(RunId(transaction.last_insert_rowid()))
        })
    }

    /// Records how it has ended, in the place of what was recorded of that before, and forgets what is too old.
    pub fn end(&mut self, run: RunId, end: &RunEnd) -> Result<(), HistoryError> {
        self.change(|transaction| {
            let log = tail(&end.log, LOG_LEN_MAX);
            let update = "UPDATE runs SET ended = ?2, outcome = ?3, code = ?4, msgid = ?5,
                 message = ?6, attempts = ?7, figures = ?8, log = ?9 WHERE id = ?1";
            let ended = end.at.as_millisecond();
            let message = end.message.as_deref().map(bounded);
            transaction.execute(
                update,
                (
                    run.0,
                    ended,
                    end.outcome.name(),
                    end.code,
                    &end.msgid,
                    message,
                    end.attempts,
                    json(&end.figures)?,
                    log,
                ),
            )?;
            let query = "SELECT target FROM runs WHERE id = ?1";
            let target: String = transaction.query_row(query, [run.0], |row| row.get(0))?;
            record_steps(transaction, run, &target, &end.steps)?;
            forget_old(transaction, &target)
        })
    }

    /// Records that a run was not begun, and why. Told again and again of the same, it is one run that was not.
    pub fn not_begun(&mut self, target: &str, end: &RunEnd) -> Result<(), HistoryError> {
        debug_assert!(!end.outcome.was_begun(), "it was not begun");
        let last = self.runs(Some(target), 1)?.pop();
        let same = |run: &Run| {
            run.outcome == Some(end.outcome) && run.message.as_deref() == end.message.as_deref()
        };
        let id = match last.filter(same) {
            Some(run) => run.id,
            None => self.begin(target, end.at)?,
        };
        self.end(id, end)
    }

    /// Says of the runs that have not ended that they were killed, and which. The caller holds the job's lock: nobody is
    /// running it.
    pub fn bury(&mut self) -> Result<Vec<Run>, HistoryError> {
        let open = |run: &Run| run.outcome.is_none();
        let mut dead: Vec<Run> = self
            .runs(None, RUN_COUNT_MAX)?
            .into_iter()
            .filter(open)
            .collect();
        if dead.is_empty() {
            return Ok(dead);
        }
        self.change(|transaction| {
            let update = "UPDATE runs SET outcome = ?1 WHERE outcome IS NULL";
            transaction.execute(update, [Outcome::Killed.name()])
        })?;
        for run in &mut dead {
            run.outcome = Some(Outcome::Killed);
        }
        Ok(dead)
    }

    /// Remembers something under a name, in the place of what was. It is durable when this returns.
    pub fn remember(&mut self, key: &str, value: &str) -> Result<(), HistoryError> {
        self.change(|transaction| remember(transaction, key, value))
    }

    /// Replaces what is remembered under a name by what `change` makes of it, while no other process can change it. What
    /// stays the same is not written.
    pub fn update(
        &mut self,
        key: &str,
        change: &mut dyn FnMut(Option<&str>) -> String,
    ) -> Result<(), HistoryError> {
        self.change(|transaction| {
            let query = "SELECT value FROM remembered WHERE key = ?1";
            let before: Option<String> = transaction
                .query_row(query, [key], |row| row.get(0))
                .optional()?;
            let after = change(before.as_deref());
            if before.as_ref() == Some(&after) {
                return Ok(());
            }
            remember(transaction, key, &after)
        })
    }

    /// Does something wholly or not at all.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, HistoryError> {
        let transact = || {
            let behavior = TransactionBehavior::Immediate;
            let transaction = self.connection.transaction_with_behavior(behavior)?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        transact().map_err(|source| self.failed("write", source))
    }
}

fn remember(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<(), Error> {
    let insert = "INSERT INTO remembered (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    transaction.execute(insert, (key, value)).map(drop)
}

fn record_steps(
    transaction: &Transaction<'_>,
    run: RunId,
    target: &str,
    steps: &[StepEnd],
) -> Result<(), Error> {
    let insert = "INSERT OR REPLACE INTO steps
         (run, position, attempt, name, ended, seconds, code, msgid, message, figures)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let mut statement = transaction.prepare(insert)?;
    for (position, step) in steps.iter().enumerate() {
        let ended = step.at.as_millisecond();
        statement.execute((
            run.0,
            i64::try_from(position).unwrap_or(i64::MAX),
            step.attempt,
            &step.name,
            ended,
            step.seconds,
            step.code,
            &step.msgid,
            step.message.as_deref().map(bounded),
            json(&step.figures)?,
        ))?;
        if RARE_STEPS.contains(&step.name.as_str()) && step.code < 2 {
            remember(
                transaction,
                &done_key(target, &step.name),
                &ended.to_string(),
            )?;
        }
    }
    Ok(())
}

/// Forgets the logs of older runs, and then the runs: not the last good one, however long ago that was.
fn forget_old(transaction: &Transaction<'_>, target: &str) -> Result<(), Error> {
    let forget_logs = "UPDATE runs SET log = '' WHERE target = ?1 AND log <> '' AND id <=
         (SELECT id FROM runs WHERE target = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    transaction.execute(forget_logs, (target, LOG_COUNT_MAX))?;
    let forget_runs = "DELETE FROM runs WHERE target = ?1 AND id <=
         (SELECT id FROM runs WHERE target = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
         AND id IS NOT (SELECT max(id) FROM runs
             WHERE target = ?1 AND outcome IN ('success', 'warning'))";
    transaction
        .execute(forget_runs, (target, RUN_COUNT_MAX))
        .map(drop)
}

/// Longest message that is kept.
const MESSAGE_LEN_MAX: usize = 16 * 1024;

fn bounded(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_LEN_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// The end of a text, from the beginning of a line if there is one.
pub(crate) fn tail(text: &str, len_max: usize) -> &str {
    let Some(mut start) = text.len().checked_sub(len_max).filter(|&start| start > 0) else {
        return text;
    };
    let bytes = text.as_bytes();
    let line = (start..text.len()).find(|&at| bytes[at - 1] == b'\n');
    if let Some(line) = line {
        return &text[line..];
    }
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn json(figures: &Figures) -> Result<String, Error> {
    serde_json::to_string(figures).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}
