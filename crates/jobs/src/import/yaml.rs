//! YAML → values.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::ImportError;

/// Longest text that is looked at.
const TEXT_LEN_MAX: usize = 1 << 20;
/// Most values in it, those that aliases repeat included.
const VALUES_MAX: usize = 20_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 32;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Yaml {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Anything else in one piece.
    Text(String),
    /// `!tag value`: what only another program knows.
    Tagged(String),
    /// A list.
    List(Vec<Yaml>),
    /// A table, in order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A text, or a number or truth value as it is written.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// Texts: of a list, or the only one.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Null => Some(Vec::new()),
            other => other.text().map(|text| vec![text]),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }
}

/// A list or table that is not complete yet.
enum Open {
    List(usize, Vec<Yaml>),
    Map(usize, Vec<(String, Yaml)>, Option<String>),
}

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Yaml, ImportError> {
    if text.len() > TEXT_LEN_MAX {
        return Err(ImportError::TooLarge);
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| ImportError::Yaml {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            message: error.info().to_owned(),
        })?;
        let fail = |message: &str| ImportError::Yaml {
            line: span.start.line(),
            column: span.start.col() + 1,
            message: message.to_owned(),
        };
        if let Some(value) = reader.event(event, fail)? {
            return Ok(value);
        }
    }
    Ok(Yaml::Null)
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, (Yaml, usize)>,
    values: usize,
}

impl Reader {
    /// Gives the document when it is complete.
    fn event(
        &mut self,
        event: Event<'_>,
        fail: impl Fn(&str) -> ImportError,
    ) -> Result<Option<Yaml>, ImportError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match tag {
                    Some(tag) if !tag.is_yaml_core_schema() => {
                        Yaml::Tagged(format!("!{} {text}", tag.suffix))
                    }
                    Some(tag) if tag.suffix == "str" => Yaml::Text(text.into_owned()),
                    _ if style == ScalarStyle::Plain => plain(&text),
                    _ => Yaml::Text(text.into_owned()),
                };
                self.add(value, anchor, 1, &fail)
            }
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).cloned();
                let (value, size) = found.ok_or_else(|| fail("an alias of nothing"))?;
                self.add(value, 0, size, &fail)
            }
            Event::SequenceStart(anchor, _) => self.begin(Open::List(anchor, Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(Open::Map(anchor, Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, anchor) = match self.open.pop() {
                    Some(Open::List(anchor, items)) => (Yaml::List(items), anchor),
                    Some(Open::Map(anchor, entries, _)) => (Yaml::Map(entries), anchor),
                    None => return Err(fail("an end without a beginning")),
                };
                self.add(value, anchor, 1, &fail)
            }
            Event::DocumentEnd | Event::StreamEnd => Ok(Some(Yaml::Null)),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => Ok(None),
        }
    }

    fn begin(&mut self, open: Open) -> Result<Option<Yaml>, ImportError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(ImportError::TooLarge);
        }
        self.open.push(open);
        Ok(None)
    }

    fn add(
        &mut self,
        value: Yaml,
        anchor: usize,
        size: usize,
        fail: &impl Fn(&str) -> ImportError,
    ) -> Result<Option<Yaml>, ImportError> {
        self.values = self.values.saturating_add(size);
        if self.values > VALUES_MAX {
            return Err(ImportError::TooLarge);
        }
        if anchor > 0 {
            let size = count(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => return Ok(Some(value)),
            Some(Open::List(_, items)) => items.push(value),
            Some(Open::Map(_, entries, name)) => match name.take() {
                Some(name) if name == MERGE_KEY => merge(entries, value),
                Some(name) => {
                    // A key that is repeated here takes the place of one that was merged.
                    entries.retain(|(other, _)| *other != name);
                    entries.push((name, value));
                }
                None => {
                    let text = value.text();
                    *name = Some(text.ok_or_else(|| fail("a key has to be a text"))?);
                }
            },
        }
        Ok(None)
    }
}

/// `<<: *defaults` puts the entries of another table here.
const MERGE_KEY: &str = "<<";

fn merge(entries: &mut Vec<(String, Yaml)>, value: Yaml) {
    let tables = match value {
        Yaml::List(items) => items,
        other => vec![other],
    };
    for table in tables {
        let Yaml::Map(more) = table else {
            continue;
        };
        for (name, value) in more {
            if !entries.iter().any(|(other, _)| *other == name) {
                entries.push((name, value));
            }
        }
    }
}

fn count(value: &Yaml) -> usize {
    match value {
        Yaml::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Yaml::Map(entries) => {
            1 + entries
                .iter()
                .map(|(_, value)| 1 + count(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// What a text without quotes is.
fn plain(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        text => match parse_int(text) {
            Some(number) => Yaml::Int(number),
            None => Yaml::Text(text.to_owned()),
        },
    }
}

fn parse_int(text: &str) -> Option<i64> {
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok();
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_lists_and_aliases_are_read() {
        let value = parse(
            "a: &x [1, two, 'yes', ~]\nb: *x\nc:\n  <<: {k: 1, l: 2}\n  l: 3\nd: !include other.yaml\ne: |\n  one\n  two\n",
        );
        let value = value.unwrap();
        let list = Yaml::List(vec![
            Yaml::Int(1),
            Yaml::Text("two".into()),
            Yaml::Text("yes".into()),
            Yaml::Null,
        ]);
        assert_eq!(value.get("a"), Some(&list));
        assert_eq!(value.get("b"), Some(&list));
        assert_eq!(value.get("c").unwrap().get("l"), Some(&Yaml::Int(3)));
        assert_eq!(value.get("c").unwrap().get("k"), Some(&Yaml::Int(1)));
        assert_eq!(
            value.get("d"),
            Some(&Yaml::Tagged("!include other.yaml".into()))
        );
        assert_eq!(value.get("e"), Some(&Yaml::Text("one\ntwo\n".into())));
    }

    #[test]
    fn aliases_of_aliases_do_not_grow_without_end() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            let items = vec![below; 10].join(", ");
            bomb.push_str(
                &[
                    "a",
                    &level.to_string(),
                    ": &a",
                    &level.to_string(),
                    " [",
                    &items,
                    "]\n",
                ]
                .concat(),
            );
        }
        assert_eq!(parse(&bomb), Err(ImportError::TooLarge));
        // The parser gives up before we do.
        assert!(matches!(
            parse(&"[".repeat(100_000)),
            Err(ImportError::Yaml { column: 200.., .. })
        ));
        assert!(matches!(parse("a: *b"), Err(ImportError::Yaml { .. })));
        assert!(matches!(
            parse("a: [1"),
            Err(ImportError::Yaml { line: _, .. })
        ));
    }
}
