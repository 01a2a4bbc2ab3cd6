//! What users type and what archives name: patterns, locations, parameters, paths.

use ironborg_chunker::ChunkerParams;
use ironborg_cli::location::Location;
use ironborg_object::Compression;
use ironborg_source::path;
use ironborg_source::pattern::NameGlob;
use ironborg_source::{PatternMatcher, PatternSet};
use ironborg_types::Timestamp;

/// The first line is the path, the rest a pattern file.
pub(crate) fn patterns(bytes: &[u8]) {
    let at = bytes.iter().position(|&byte| byte == b'\n');
    let (path, content) = bytes.split_at(at.unwrap_or(bytes.len()));
    let mut set = PatternSet::new();
    // Lines before a bad one count.
    let _ = set.add_patterns_from(content);
    for line in content.split(|&byte| byte == b'\n').take(5) {
        let _ = set.add_exclude(line);
        let _ = set.add_pattern(line);
    }
    let matcher = PatternMatcher::new(set.rules, true);
    let decision = matcher.decide(path);
    let again = matcher.decide(path);
    assert_eq!(decision.include, again.include);
    if let Ok(text) = std::str::from_utf8(content)
        && let Ok(glob) = NameGlob::new(text)
    {
        let _ = glob.matches(text);
    }
}

pub(crate) fn location(bytes: &[u8]) {
    if let Some(location) = Location::parse(bytes) {
        assert_eq!(location.processed, bytes);
        let _ = location.canonical();
        assert!(location.key_file_stem().chars().count() <= 100);
        let _ = location.repository_text();
        let _ = location.absolute(b"/cwd");
    }
}

pub(crate) fn parameters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(params) = text.parse::<ChunkerParams>() {
        assert_eq!(params.to_string().parse().as_ref(), Ok(&params));
    }
    if let Ok(compression) = text.parse::<Compression>() {
        assert_eq!(compression.to_string().parse().as_ref(), Ok(&compression));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time));
    }
}

pub(crate) fn paths(bytes: &[u8]) {
    let normal = path::normpath(bytes);
    assert_eq!(path::normpath(&normal), normal);
    let safe = path::make_path_safe(bytes);
    assert!(!safe.starts_with(b"/"));
    let _ = path::is_normal(bytes);
    let _ = path::strip_prefix(bytes);
    let _ = path::strip_components(bytes, 2);
}
