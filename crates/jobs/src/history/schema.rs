//! The layout of the database, and how an older one becomes the present one.

use super::{History, HistoryError};

/// What leads from each layout to the next; `user_version` says how many have been done.
///
/// Times are milliseconds since 1970, figures are JSON: programs that know more of them can read those that knew less.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        begun INTEGER NOT NULL,
        ended INTEGER,
        outcome TEXT,
        code INTEGER,
        msgid TEXT,
        message TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        figures TEXT NOT NULL DEFAULT '{}',
        log TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX runs_of_target ON runs (target, id);
    CREATE TABLE steps (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        name TEXT NOT NULL,
        ended INTEGER NOT NULL,
        seconds REAL NOT NULL,
        code INTEGER NOT NULL,
        msgid TEXT,
        message TEXT,
        figures TEXT NOT NULL DEFAULT '{}',
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID;
    CREATE TABLE remembered (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
"];

impl History {
    /// The layout that is there; 0 for none.
    pub(super) fn version(&self) -> Result<i64, HistoryError> {
        self.connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|source| self.failed("read", source))
    }

    /// Refuses a layout of the future, rather than lose what it has more.
    pub(super) fn refuse_newer(&self, version: i64) -> Result<(), HistoryError> {
        if usize::try_from(version).is_ok_and(|version| version <= MIGRATIONS.len()) {
            return Ok(());
        }
        let path = self.path.clone();
        Err(HistoryError::Newer { path, version })
    }

    /// Brings the layout up to date: wholly, or not at all.
    pub(super) fn migrate(&mut self) -> Result<(), HistoryError> {
        let done = usize::try_from(self.version()?).unwrap_or(0);
        let missing = MIGRATIONS.get(done..).unwrap_or_default();
        if missing.is_empty() {
            return Ok(());
        }
        let version = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let mut migrate = || {
            let transaction = self.connection.transaction()?;
            for statements in missing {
                transaction.execute_batch(statements)?;
            }
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()
        };
        migrate().map_err(|source| self.failed("lay out", source))
    }
}
