//! What a check found and what a repair changes, for people who want a list and for programs.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ironborg_types::{Finding, Level, Place, RepairChange};

use super::json::Json;
use crate::console::Stdout;
use crate::error::CliError;

/// What is to be done with findings and changes besides logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportForm {
    /// Changes are listed on standard output, a line each.
    PlanLines,
    /// Everything is kept for a JSON document.
    Json,
}

/// Collects what a check finds.
#[derive(Debug, Default)]
pub(crate) struct CheckReport {
    form: OnceLock<ReportForm>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    findings: Vec<Json>,
    changes: Vec<Json>,
    change_count: u64,
    /// The first failure of standard output.
    failure: Option<CliError>,
}

/// What was collected.
pub(crate) struct Collected {
    /// Each finding as an object.
    pub(crate) findings: Vec<Json>,
    /// Each change as an object.
    pub(crate) changes: Vec<Json>,
    /// How many changes there were, whether they were kept or listed.
    pub(crate) change_count: u64,
}

impl CheckReport {
    /// From now on findings and changes are collected, or listed.
    pub(crate) fn begin(&self, form: ReportForm) {
        // A command does this once; a second time would change nothing.
        let _ = self.form.set(form);
    }

    /// Takes note of a finding.
    pub(crate) fn add_finding(&self, finding: &Finding) {
        if self.form.get() == Some(&ReportForm::Json) {
            let object = finding_json(finding);
            self.kept().findings.push(object);
        }
    }

    /// Takes note of a change.
    pub(crate) fn add_change(&self, change: &RepairChange) {
        let Some(form) = self.form.get() else { return };
        let mut kept = self.kept();
        kept.change_count += 1;
        match form {
            ReportForm::Json => {
                let object = change_json(change);
                kept.changes.push(object);
            }
            ReportForm::PlanLines if kept.failure.is_none() => {
                let mut stdout = Stdout::new();
                let line = format!("would {}\n", change.detail);
                let said = stdout.text(&line).and_then(|()| stdout.finish());
                kept.failure = said.err();
            }
            ReportForm::PlanLines => {}
        }
    }

    /// What there is so far; nothing is kept here.
    ///
    /// # Errors
    /// What went wrong with standard output.
    pub(crate) fn take(&self) -> Result<Collected, CliError> {
        let Kept {
            findings,
            changes,
            change_count,
            failure,
        } = std::mem::take(&mut *self.kept());
        match failure {
            Some(error) => Err(error),
            None => Ok(Collected {
                findings,
                changes,
                change_count,
            }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in words, for what stock Borg's message leaves out; `None` if there is nothing to add.
pub(crate) fn shown_place(place: &Place) -> Option<String> {
    let Place {
        archive,
        path,
        chunk,
        segment: Some(segment),
        offset,
        ..
    } = place
    else {
        return None;
    };
    let more = [
        offset.map(|offset| format!(", offset {offset}")),
        chunk.map(|chunk| format!(", object {chunk}")),
        archive.as_ref().map(|name| format!(", archive {name}")),
        path.as_ref().map(|path| format!(", path {path}")),
    ];
    let mut shown = format!("  found in segment {segment}");
    shown.extend(more.into_iter().flatten());
    Some(shown)
}

fn finding_json(finding: &Finding) -> Json {
    let level = match finding.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
        Level::Critical => "critical",
    };
    let mut members = vec![
        ("kind", finding.kind.name().into()),
        ("level", level.into()),
        ("message", finding.message.as_str().into()),
    ];
    add_place(&mut members, &finding.place);
    Json::Object(members)
}

fn change_json(change: &RepairChange) -> Json {
    let mut members = vec![
        ("action", change.action.name().into()),
        ("detail", change.detail.as_str().into()),
    ];
    add_place(&mut members, &change.place);
    Json::Object(members)
}

/// Adds what is known of a place; what is not has no key.
fn add_place(members: &mut Vec<(&'static str, Json)>, place: &Place) {
    let name = |name: &ironborg_types::BytePath| Json::Bytes(name.to_vec());
    let whole = |number: u64| Json::Int(i128::from(number));
    let known = [
        ("archive", place.archive.as_ref().map(name)),
        ("path", place.path.as_ref().map(name)),
        ("chunk", place.chunk.map(|id| id.to_string().into())),
        (
            "bytes",
            place
                .bytes
                .as_ref()
                .map(|bytes| Json::List(vec![whole(bytes.start), whole(bytes.end)])),
        ),
        ("segment", place.segment.map(|id| whole(id.0.into()))),
        ("offset", place.offset.map(whole)),
    ];
    members.extend(
        known
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?))),
    );
}
