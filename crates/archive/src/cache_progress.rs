//! What stock Borg says about its cache, at the same places. What is read and written is ours.

use ironborg_types::{Event, Reporter};

const BEGIN: &str = "cache.begin_transaction";
const COMMIT: &str = "cache.commit";

/// A transaction of the cache begins.
pub(crate) fn begin(reporter: &dyn Reporter) {
    reporter.report(Event::ProgressStart { msgid: BEGIN });
    for what in ["config", "chunks", "files"] {
        let message = format!("Initializing cache transaction: Reading {what}").into();
        reporter.report(Event::ProgressMessage {
            msgid: BEGIN,
            message,
        });
    }
    reporter.report(Event::ProgressEnd { msgid: BEGIN });
}

/// The caches are saved; `save_files` saves the files cache, if there is one to be saved.
pub(crate) fn commit<T>(
    reporter: &dyn Reporter,
    save_files: Option<impl FnOnce() -> T>,
) -> Option<T> {
    let step = |message: &'static str| {
        reporter.report(Event::ProgressMessage {
            msgid: COMMIT,
            message: message.into(),
        });
    };
    reporter.report(Event::ProgressStart { msgid: COMMIT });
    let saved = save_files.map(|save| {
        step("Saving files cache");
        save()
    });
    step("Saving chunks cache");
    step("Saving cache config");
    reporter.report(Event::ProgressEnd { msgid: COMMIT });
    saved
}

/// As [`commit`], where there is no files cache.
pub(crate) fn commit_chunks(reporter: &dyn Reporter) {
    commit(reporter, None::<fn()>);
}
