//! What ours has beyond stock Borg: a plan of a repair, and reports for programs.

use std::fmt::Write;

use ironborg_testkit::Run;
use serde_json::Value;

/// What a repair would change, as its plan tells it.
pub(super) struct Plan {
    code: i32,
    changes: Vec<Value>,
    findings: Vec<Value>,
}

/// What a finding of a kind has besides kind, level and message.
const PLACES: [(&str, &[&str]); 18] = [
    ("segment_damaged", &["segment"]),
    ("index_mismatch", &[]),
    ("object_damaged", &["chunk", "segment", "offset"]),
    ("manifest_missing", &[]),
    ("manifest_damaged", &["segment", "offset"]),
    ("archive_missing", &["archive", "chunk"]),
    (
        "archive_damaged",
        &["archive", "chunk", "segment", "offset"],
    ),
    (
        "archive_not_authentic",
        &["archive", "chunk", "segment", "offset"],
    ),
    ("items_missing", &["archive", "chunk"]),
    ("items_damaged", &["archive", "chunk", "segment", "offset"]),
    ("item_invalid", &["archive", "chunk", "segment", "offset"]),
    ("chunk_missing", &["archive", "path", "bytes", "chunk"]),
    (
        "chunk_still_missing",
        &["archive", "path", "bytes", "chunk"],
    ),
    (
        "replacement_missing",
        &["archive", "path", "bytes", "chunk"],
    ),
    (
        "chunk_back",
        &["archive", "path", "bytes", "chunk", "segment", "offset"],
    ),
    ("file_back", &["archive", "path"]),
    ("healthy_list_invalid", &["archive", "path"]),
    ("size_mismatch", &["archive", "path"]),
];

impl Plan {
    /// Reads the report of `check --repair --plan --json`.
    pub(super) fn read(run: &Run) -> Result<Self, String> {
        let (changes, mut findings) = report(run)?;
        for finding in &findings {
            let kind = finding["kind"].as_str().unwrap_or_default();
            let wanted = PLACES.iter().find(|(name, _)| *name == kind);
            let wanted = wanted.map_or(&[][..], |(_, keys)| keys);
            let mut lacking = wanted.iter().filter(|key| finding.get(*key).is_none());
            if let Some(key) = lacking.next() {
                return Err(format!("a finding without {key}: {finding}"));
            }
            let told = finding["message"].as_str().unwrap_or_default();
            if told.is_empty() || !run.err().contains(told) {
                return Err(format!(
                    "what is in the report is not told: {finding}\n{run}"
                ));
            }
        }
        // A repair makes the index anew and compares it with nothing.
        findings.retain(|finding| finding["kind"] != "index_mismatch");
        Ok(Self {
            code: run.code(),
            changes,
            findings,
        })
    }

    /// Compares with what a repair has done, according to its own report.
    pub(super) fn is_done_by(&self, repair: &Run) -> Result<(), String> {
        let done = report(repair);
        if self.code > 1 {
            // Nothing could be planned, so nothing can be repaired.
            let refused = repair.code() == self.code;
            return refused.then_some(()).ok_or(format!("{repair}"));
        }
        let (changes, findings) = done?;
        let mut wrong = String::new();
        for (what, planned, done) in [
            ("changes", &self.changes, &changes),
            ("findings", &self.findings, &findings),
        ] {
            // A repair that has to stop does so earlier than the plan that says where.
            let stopped = repair.code() != 0;
            let longer = if stopped { 0 } else { planned.len() };
            let count = done.len().max(longer);
            let differs =
                (0..count).find(|at| comparable(planned.get(*at)) != comparable(done.get(*at)));
            if let Some(at) = differs {
                let (planned, done) = (planned.get(at), done.get(at));
                writeln!(
                    wrong,
                    "{what} {at}\n  planned: {planned:?}\n  done: {done:?}"
                )
                .expect("a string");
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// The same but for what must differ: what would be done is told in other words than what is, and while an object is
/// only going to be deleted it is known where it is.
fn comparable(row: Option<&Value>) -> Option<Value> {
    let mut row = row?.clone();
    let object = row.as_object_mut()?;
    if object.contains_key("kind") {
        for key in ["message", "segment", "offset"] {
            object.remove(key);
        }
    }
    Some(row)
}

/// Changes and findings of a report.
fn report(run: &Run) -> Result<(Vec<Value>, Vec<Value>), String> {
    if run.code() > 1 && run.stdout.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // A lone surrogate stands for a byte that is no text, as in all of Borg's JSON; this reader knows none.
    let text = run.out().replace("\\udc", "\\\\udc");
    let document: Value = serde_json::from_str(&text).map_err(|error| format!("{error}\n{run}"))?;
    let list = |key: &str| {
        let list = document[key].as_array().cloned();
        list.ok_or_else(|| format!("no {key}\n{run}"))
    };
    let (mode, sound) = (&document["check"]["mode"], &document["check"]["sound"]);
    if !mode.is_string() || !sound.is_boolean() || !document["repository"]["id"].is_string() {
        return Err(format!("not the documented report\n{run}"));
    }
    Ok((list("changes")?, list("findings")?))
}
