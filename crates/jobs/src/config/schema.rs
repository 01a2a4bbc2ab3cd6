//! What a configuration may contain, as JSON schema.

use serde_json::{Map, Value, json};

use super::keys::{JobSettings, NotifierSettings};
use super::setting::{Definitions, Setting as _};
use super::values::AbsolutePath;

/// The schema of one file, in the dialect of 2020-12.
pub fn schema() -> Value {
    let mut definitions = Definitions::new();
    let job = JobSettings::schema(&mut definitions);
    let notifier = NotifierSettings::schema(&mut definitions);
    let mut metrics = AbsolutePath::schema(&mut definitions);
    if let Value::Object(members) = &mut metrics {
        let about = "A directory for figures that Prometheus' node exporter reads.";
        members.insert("description".to_owned(), json!(about));
    }
    let by_name = |about: &str, item: &Value| {
        json!({
            "type": "object",
            "description": about,
            "propertyNames": super::keys::name_schema(),
            "additionalProperties": item,
        })
    };
    let mut defaults = job.clone();
    if let Value::Object(members) = &mut defaults {
        let about = "What holds for all jobs unless they say otherwise.";
        members.insert("description".to_owned(), json!(about));
    }
    let definitions: Map<String, Value> = definitions
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "IronBorg jobs",
        "description": "Backups that run themselves: jobs.toml and the files in jobs.d.",
        "type": "object",
        "properties": {
            "metrics": metrics,
            "defaults": defaults,
            "jobs": by_name("The jobs by name.", &job),
            "notify": by_name("Ways of telling somebody, by name.", &notifier),
        },
        "additionalProperties": false,
        "$defs": definitions,
    })
}
