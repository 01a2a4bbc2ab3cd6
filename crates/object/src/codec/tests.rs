//! The captured vectors, for the tests of all of this crate.

/// `testdata/vectors/compression.json`
pub(crate) fn vectors() -> serde_json::Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/vectors/compression.json"
    );
    let text = std::fs::read_to_string(path).expect("the captured vectors are there");
    serde_json::from_str(&text).expect("the vectors are JSON")
}
