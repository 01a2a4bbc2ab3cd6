//! The recorded cases of stock Borg, and what they do not cover.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

/// The offsets to UTC of the recorded cases; they need no more of their zones than this.
fn offset(zone: &str) -> i64 {
    match zone {
        "UTC" => 0,
        "America/New_York" => -4 * 3600,
        "Asia/Tokyo" => 9 * 3600,
        other => panic!("no case was recorded in {other}"),
    }
}

fn archives(times: &[&str]) -> Vec<ListedArchive> {
    let archive = |(index, time): (usize, &&str)| ListedArchive {
        name: (*time).into(),
        id: ArchiveId([u8::try_from(index).expect("a few archives"); 32]),
        time: time.parse().expect("a time"),
    };
    times.iter().enumerate().map(archive).collect()
}

fn retention(rules: &Value, within_hours: Option<i64>) -> Retention {
    let count = |period: Period| rules[period.rule()].as_i64().unwrap_or(0);
    Retention {
        within_hours,
        counts: Period::ALL.map(count),
    }
}

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/vectors/prune.json"
    );
    let text = std::fs::read_to_string(path).expect("vectors are in the tree");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_kept_set_is_stock_borgs_rule_by_rule() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().expect("a list");
    assert!(cases.len() > 20);
    for case in cases {
        let times: Vec<&str> = case["archives_newest_first"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|time| time.as_str().expect("text"))
            .collect();
        let within = case["keep_within"].as_str().map(|text| match text {
            "3d" => 72,
            "1w" => 168,
            other => panic!("no case was recorded with {other}"),
        });
        let now = case["now"].as_str().unwrap_or("2100-01-01T00:00:00");
        let offset = offset(case["tz"].as_str().expect("text"));
        let local = |time: Timestamp| time.seconds() + offset;
        let archives = archives(&times);
        let reasons = apply(
            &archives,
            &retention(&case["rules"], within),
            now.parse().expect("a time"),
            &local,
        );
        let found: BTreeMap<&str, String> = times
            .iter()
            .zip(&reasons)
            .filter_map(|(time, reason)| Some((*time, (*reason)?.to_string())))
            .collect();
        let expected: BTreeMap<&str, String> = case["kept {timestamp: \"rule #n\"}"]
            .as_object()
            .expect("an object")
            .iter()
            .map(|(time, reason)| (time.as_str(), reason.as_str().expect("text").to_owned()))
            .collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn an_endless_interval_keeps_everything() {
    let archives = archives(&["2024-01-01T00:00:00", "0001-01-01T00:00:00"]);
    let retention = Retention {
        within_hours: Some(i64::MAX),
        ..Retention::default()
    };
    let now = archives[0].time;
    let reasons = apply(&archives, &retention, now, &|time| time.seconds());
    assert!(reasons.iter().all(Option::is_some), "{reasons:?}");
    assert!(retention.has_rules());
    assert!(!Retention::default().has_rules());
}

#[test]
fn an_archive_listed_twice_is_kept_once() {
    let mut archives = archives(&["2024-01-02T00:00:00", "2024-01-01T00:00:00"]);
    archives[1].id = archives[0].id;
    let rules = serde_json::json!({"daily": 2});
    let retention = retention(&rules, None);
    let reasons = apply(&archives, &retention, Timestamp(0), &|time| time.seconds());
    assert!(reasons[0].is_some() && reasons[1].is_none(), "{reasons:?}");
}
