//! Kinds of values that only jobs have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_object::Compression as CompressionSpec;
use ironborg_source::PatternSet;
use serde_json::{Value, json};

use super::document::{Node, shorten};
use super::setting::{Definitions, Join, Setting};
use super::words;
use crate::schedule::{self, parse_duration};

/// A text that must not be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl Setting for Text {
    fn read(node: &Node<'_>) -> Option<Self> {
        match node.text("a string")? {
            "" => node.refuse("it must not be empty"),
            text => Some(Self(text.to_owned())),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// Something that others should not know.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl Setting for SecretText {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = Text::read(node)?;
        node.reading.secret(&node.place());
        Some(Self(text.0))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        Text::schema(definitions)
    }
}

/// The path of a file or directory: absolute, or below the home directory by a leading `~/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(pub PathBuf);

impl Setting for AbsolutePath {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with a path")?;
        if text.starts_with('/') {
            return Some(Self(PathBuf::from(text)));
        }
        let below = text.strip_prefix("~/").or((text == "~").then_some(""));
        match (below, node.reading.home()) {
            (Some(""), Some(home)) => Some(Self(home.to_owned())),
            (Some(below), Some(home)) => Some(Self(home.join(below))),
            (Some(_), None) => node.refuse(
                "\"~\" stands for nobody's home directory here: write the path from \"/\" on",
            ),
            (None, _) => node.refuse(format!(
                "the path has to be absolute: \"{}\"",
                shorten(text)
            )),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^(/|~$|~/)" })
    }
}

/// A length of time: `90s`, `10min`, `2h`, `1 day`, `4 weeks`, `1 month`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Reads it in the units that systemd has.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl Setting for Span {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text =
            node.text("a string with a length of time, such as \"90s\", \"2h\", \"1 day\"")?;
        match Self::parse(text) {
            Ok(span) => Some(span),
            Err(message) => node.refuse(message),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^ *[0-9]", "examples": ["90s", "10min", "2h", "1 day", "4 weeks", "1 month"] })
    }
}

/// When something starts by itself: a calendar expression of systemd or a line of cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(pub String);

impl Setting for Expression {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = Text::read(node)?.0;
        match schedule::Schedule::parse(std::slice::from_ref(&text)) {
            Ok(_) => Some(Self(text)),
            Err(error) => node.refuse(error.to_string()),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "minLength": 1, "examples": ["daily", "Mon..Fri *-*-* 02:30", "0 4 * * *"] })
    }
}

/// Words for a command line: a list, or a text that is split as a shell would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Setting for Words {
    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_list() {
            return Vec::read(node).map(Self);
        }
        let text = node.text("a list of strings, or a string")?;
        match words::split(text) {
            Ok(words) => Some(Self(words)),
            Err(message) => node.refuse(message),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

impl Join for Words {
    fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

/// What `--compression` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression(pub String);

impl Setting for Compression {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string such as \"zstd,3\"")?;
        match text.parse::<CompressionSpec>() {
            Ok(_) => Some(Self(text.to_owned())),
            Err(error) => node.refuse(format!("\"{}\": {error}", shorten(text))),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "examples": ["lz4", "zstd,3", "auto,zstd,10", "none"] })
    }
}

/// What `--exclude` says, or `--pattern`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclude(pub String);

impl Setting for Exclude {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with a pattern")?;
        let stand_in = replace_path(text, Path::new("/path"));
        match PatternSet::new().add_exclude(stand_in.as_bytes()) {
            Ok(()) if !text.is_empty() => Some(Self(text.to_owned())),
            Ok(()) => node.refuse("a pattern must not be empty"),
            Err(error) => node.refuse(format!("\"{}\": {error}", shorten(text))),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Exclude {
    /// The pattern for each of the paths, if it is about them.
    pub fn for_paths(&self, paths: &[PathBuf]) -> Vec<String> {
        if !self.0.contains(PATH_PLACEHOLDER) {
            return vec![self.0.clone()];
        }
        let each = paths.iter().map(|path| replace_path(&self.0, path));
        each.collect()
    }
}

/// What stands for each of the paths of a job.
const PATH_PLACEHOLDER: &str = "{path}";

/// Puts a path in the place of its placeholder, so that the pattern means just that path.
fn replace_path(pattern: &str, path: &Path) -> String {
    if !pattern.contains(PATH_PLACEHOLDER) {
        return pattern.to_owned();
    }
    let path = path.to_string_lossy();
    let path = path.trim_end_matches('/');
    let literal = match pattern.get(..3) {
        Some("pp:" | "pf:") => path.to_owned(),
        Some("re:") => escape(
            path,
            |c| !c.is_alphanumeric() && c.is_ascii() && c != '/',
            |c| format!("\\{c}"),
        ),
        _ => escape(path, |c| matches!(c, '*' | '?' | '['), |c| format!("[{c}]")),
    };
    pattern.replace(PATH_PLACEHOLDER, &literal)
}

fn escape(text: &str, special: impl Fn(char) -> bool, with: impl Fn(char) -> String) -> String {
    let each = text
        .chars()
        .map(|c| if special(c) { with(c) } else { c.to_string() });
    each.collect()
}

/// What `--pattern` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternText(pub String);

impl Setting for PatternText {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with a pattern")?;
        match PatternSet::new().add_pattern(text.as_bytes()) {
            Ok(()) => Some(Self(text.to_owned())),
            Err(error) => node.refuse(format!("\"{}\": {error}", shorten(text))),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[-+!RrPp]" })
    }
}

/// Which archives are kept: rules and numbers, in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep(pub Vec<(String, String)>);

/// Rules that keep a number of archives.
const KEEP_COUNTS: &[&str] = &[
    "last", "secondly", "minutely", "hourly", "daily", "weekly", "monthly", "13weekly", "3monthly",
    "yearly",
];
/// The rule that keeps all archives of some time.
const KEEP_WITHIN: &str = "within";

/// Whether `prune` has a rule of this name.
pub fn is_keep_rule(name: &str) -> bool {
    name == KEEP_WITHIN || KEEP_COUNTS.contains(&name)
}

impl Setting for Keep {
    fn read(node: &Node<'_>) -> Option<Self> {
        let mut rules = Vec::new();
        let table = node.table("a table such as { daily = 7, weekly = 4 }")?;
        table.for_each(|rule, place, value| {
            if rule == KEEP_WITHIN {
                rules.extend(keep_within(value).map(|kept| (rule.to_owned(), kept)));
            } else if KEEP_COUNTS.contains(&rule) {
                rules.extend(keep_count(value).map(|kept| (rule.to_owned(), kept)));
            } else {
                let known: Vec<&str> = [&[KEEP_WITHIN], KEEP_COUNTS].concat();
                table.unknown(rule, place, &known);
            }
        });
        Some(Self(rules))
    }

    fn schema(_: &mut Definitions) -> Value {
        let mut properties = serde_json::Map::new();
        properties.insert(
            KEEP_WITHIN.into(),
            json!({ "type": "string", "pattern": "^[0-9]+[Hdwmy]$" }),
        );
        for rule in KEEP_COUNTS {
            let count =
                json!({ "anyOf": [{ "type": "integer", "minimum": -1 }, { "type": "string" }] });
            properties.insert((*rule).to_owned(), count);
        }
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

fn keep_count(node: &Node<'_>) -> Option<String> {
    if !node.is_text() {
        return node
            .integer(-1, i64::from(i32::MAX))
            .map(|count| count.to_string());
    }
    let text = node.text("an integer")?;
    match text.parse::<i32>() {
        Ok(count) if count >= -1 => Some(count.to_string()),
        _ => node.refuse(format!(
            "expected a number of archives, found \"{}\"",
            shorten(text)
        )),
    }
}

fn keep_within(node: &Node<'_>) -> Option<String> {
    let text = node.text("a string such as \"2d\"")?;
    let number = text.strip_suffix(['H', 'd', 'w', 'm', 'y']).unwrap_or("");
    match number.parse::<u32>() {
        Ok(number) if number > 0 => Some(text.to_owned()),
        _ => node.refuse(format!(
            "expected a number and one of H, d, w, m, y, such as \"2d\", found \"{}\"",
            shorten(text)
        )),
    }
}

/// The modes of encryption.
pub const ENCRYPTION_MODES: &[&str] = &[
    "repokey-blake2",
    "repokey",
    "keyfile-blake2",
    "keyfile",
    "authenticated-blake2",
    "authenticated",
    "none",
];

/// Defines a text that is one of several words.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident: $words:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Setting for $name {
            fn read(node: &Node<'_>) -> Option<Self> {
                let words: &[&str] = $words;
                read_choice(node, words).map(Self)
            }

            fn schema(_: &mut Definitions) -> Value {
                let words: &[&str] = $words;
                json!({ "enum": words })
            }
        }
    };
}

fn read_choice(node: &Node<'_>, words: &[&str]) -> Option<String> {
    let shown = words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let text = node.text(&format!("a string, one of {shown}"))?;
    if words.contains(&text) {
        return Some(text.to_owned());
    }
    node.refuse(format!(
        "expected one of {shown}, found \"{}\"",
        shorten(text)
    ))
}

choice! {
    /// How a repository is encrypted.
    EncryptionMode: ENCRYPTION_MODES
}
choice! {
    /// How somebody is told.
    WayName: &["desktop", "mail", "ntfy", "webhook", "healthchecks", "command"]
}
choice! {
    /// How a connection to a mail server is kept secret.
    MailSecurity: &["none", "starttls", "tls"]
}
choice! {
    /// How urgent a message is.
    Urgency: &["min", "low", "default", "high", "urgent"]
}
choice! {
    /// What a web service is asked to do.
    HttpMethod: &["POST", "PUT", "GET"]
}
choice! {
    /// Class and priority of reading and writing.
    IoClass: &[
        "idle", "best-effort", "best-effort:0", "best-effort:1", "best-effort:2", "best-effort:3", "best-effort:4",
        "best-effort:5", "best-effort:6", "best-effort:7",
    ]
}

/// An address in the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub String);

impl Setting for Url {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with an address (https://…)")?;
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let good = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
        if !good || text.contains(|c: char| c.is_control() || c == ' ') {
            return node.refuse("expected an address that begins with https:// or http://");
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^https?://" })
    }
}
