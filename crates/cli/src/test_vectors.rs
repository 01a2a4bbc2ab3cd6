//! Captured values of stock Borg for the unit tests.

use serde_json::Value;

/// `testdata/NAME`, parsed.
pub(crate) fn load(name: &str) -> Value {
    let text = match name {
        "cli.json" => include_str!("../../../testdata/cli.json"),
        "vectors/strings.json" => include_str!("../../../testdata/vectors/strings.json"),
        "vectors/prune.json" => include_str!("../../../testdata/vectors/prune.json"),
        other => panic!("{other} is not among the vectors"),
    };
    // Lone surrogates, which stand for undecodable bytes, are no valid JSON text.
    serde_json::from_str(&text.replace("\\udc", "\\ue0")).unwrap()
}

/// `vectors/strings.json`
pub(crate) fn strings() -> Value {
    load("vectors/strings.json")
}
