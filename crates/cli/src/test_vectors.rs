//! Captured values of stock Borg for the unit tests.

use serde_json::Value;

/// `testdata/NAME`, parsed.
pub(crate) fn load(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/").to_owned() + name;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {path}: {e}"));
    // Lone surrogates, which stand for undecodable bytes, are no valid JSON text.
    serde_json::from_str(&text.replace("\\udc", "\\ue0")).unwrap()
}

/// `vectors/strings.json`
pub(crate) fn strings() -> Value {
    load("vectors/strings.json")
}
