//! TOML with the place of everything, and a list that all mistakes are put on.
//!
//! Nothing stops at a mistake: who reads a value gets nothing, and goes on with the next one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::{ConfigError, ConfigErrors, PROBLEMS_MAX};

/// Longest file that is read; thousands of jobs fit.
const FILE_LEN_MAX: usize = 4 << 20;
/// Longest part of somebody's text that is repeated in a message, in characters.
const SHOWN_LEN_MAX: usize = 80;

/// Longest message, in characters.
const MESSAGE_LEN_MAX: usize = 600;

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    file: usize,
    offset: usize,
    key: String,
}

/// The files, and what was found wrong with them so far.
#[derive(Debug)]
pub struct Reading<'a> {
    files: &'a [(PathBuf, String)],
    /// Offsets at which lines begin, by file.
    lines: Vec<Vec<usize>>,
    /// Where `~/` is.
    home: Option<&'a Path>,
    errors: RefCell<BTreeSet<(Place, String)>>,
    remarks: RefCell<BTreeSet<(Place, String)>>,
    secrets: RefCell<BTreeSet<Place>>,
}

impl<'a> Reading<'a> {
    /// Nothing is wrong yet. `home` is the directory that a leading `~/` stands for, if it stands for any.
    pub fn new(files: &'a [(PathBuf, String)], home: Option<&'a Path>) -> Self {
        let lines = files.iter().map(|(_, text)| line_starts(text)).collect();
        Self {
            files,
            lines,
            home,
            errors: RefCell::default(),
            remarks: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// Parses the files; one with mistakes is there as far as it can be understood.
    pub fn parse(&self) -> Vec<Spanned<DeTable<'a>>> {
        let parse = |(file, (_, text)): (usize, &'a (PathBuf, String))| {
            if text.len() > FILE_LEN_MAX {
                let message = format!("the file is longer than {} MiB", FILE_LEN_MAX >> 20);
                self.error(&self.top(file), message);
                return Spanned::new(0..0, DeTable::new());
            }
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in errors {
                let place = Place {
                    file,
                    offset: error.span().map_or(0, |span| span.start),
                    key: String::new(),
                };
                self.error(&place, shorten(error.message()));
            }
            table
        };
        self.files.iter().enumerate().map(parse).collect()
    }

    /// The beginning of a file.
    pub fn top(&self, file: usize) -> Place {
        Place {
            file,
            offset: 0,
            key: String::new(),
        }
    }

    /// The path of a file.
    pub fn file(&self, file: usize) -> &'a Path {
        self.files
            .get(file)
            .map_or(Path::new(""), |(path, _)| path.as_path())
    }

    /// Where `~/` is.
    pub fn home(&self) -> Option<&'a Path> {
        self.home
    }

    /// Puts a mistake on the list.
    pub fn error(&self, place: &Place, message: impl Into<String>) {
        let message = bounded(message.into());
        let mut errors = self.errors.borrow_mut();
        if errors.len() < PROBLEMS_MAX {
            errors.insert((place.clone(), message));
        }
    }

    /// Notes something that is allowed, though it may not be meant.
    pub fn remark(&self, place: &Place, message: impl Into<String>) {
        let mut remarks = self.remarks.borrow_mut();
        if remarks.len() < PROBLEMS_MAX {
            remarks.insert((place.clone(), message.into()));
        }
    }

    /// Notes that a secret is written here.
    pub fn secret(&self, place: &Place) {
        let mut secrets = self.secrets.borrow_mut();
        if secrets.len() < PROBLEMS_MAX {
            secrets.insert(place.clone());
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// What is wrong, if anything is.
    ///
    /// # Errors
    /// That.
    pub fn finish(&self) -> Result<(), ConfigErrors> {
        let errors = self.errors.borrow();
        if errors.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors(
            errors
                .iter()
                .map(|(place, text)| self.at(place, text))
                .collect(),
        ))
    }

    /// What was remarked.
    pub fn remarks(&self) -> Vec<ConfigError> {
        let remarks = self.remarks.borrow();
        remarks
            .iter()
            .map(|(place, text)| self.at(place, text))
            .collect()
    }

    /// Where secrets are written.
    pub fn secrets(&self) -> Vec<ConfigError> {
        let secrets = self.secrets.borrow();
        let text = "a secret is written here";
        secrets.iter().map(|place| self.at(place, text)).collect()
    }

    fn at(&self, place: &Place, message: &str) -> ConfigError {
        let starts = self.lines.get(place.file).map_or(&[][..], Vec::as_slice);
        let line = starts.partition_point(|&start| start <= place.offset);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let text = self
            .files
            .get(place.file)
            .map_or("", |(_, text)| text.as_str());
        let before = text.as_bytes().get(start..place.offset).unwrap_or_default();
        // Bytes that begin a character.
        let column = before.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() + 1;
        ConfigError {
            file: self.file(place.file).to_path_buf(),
            line: line.max(1),
            column,
            key: place.key.clone(),
            message: message.to_owned(),
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0)
        .chain(ends.map(|(offset, _)| offset + 1))
        .collect()
}

/// A message that quotes no more than a few lines.
fn bounded(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_LEN_MAX) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Somebody's text as far as messages repeat it.
pub fn shorten(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(SHOWN_LEN_MAX).map(printable).collect();
    if text.chars().nth(SHOWN_LEN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The way to a value: keys and numbers, the innermost first.
#[derive(Debug, Clone, Copy)]
enum KeyPath<'n> {
    Top,
    Key(&'n str, &'n KeyPath<'n>),
    Item(usize, &'n KeyPath<'n>),
}

impl KeyPath<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Top => {}
            Self::Key(key, above) => {
                above.write(out);
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&shorten(key));
            }
            Self::Item(index, above) => {
                above.write(out);
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }
}

/// A value where it stands.
#[derive(Debug, Clone)]
pub struct Node<'n> {
    /// The files, and the list of mistakes.
    pub reading: &'n Reading<'n>,
    file: usize,
    path: KeyPath<'n>,
    value: &'n DeValue<'n>,
    offset: usize,
}

/// A table where it stands.
#[derive(Debug)]
pub struct TableNode<'n> {
    reading: &'n Reading<'n>,
    file: usize,
    path: KeyPath<'n>,
    table: &'n DeTable<'n>,
}

impl<'n> TableNode<'n> {
    /// A whole file.
    pub fn of_file(reading: &'n Reading<'n>, file: usize, table: &'n DeTable<'n>) -> Self {
        Self {
            reading,
            file,
            path: KeyPath::Top,
            table,
        }
    }

    /// Calls `each` for every entry, in the order of the file.
    pub fn for_each(&self, mut each: impl FnMut(&str, &Place, &Node<'_>)) {
        type Entry<'e, 'i> = (
            &'e Spanned<std::borrow::Cow<'i, str>>,
            &'e Spanned<DeValue<'i>>,
        );
        let mut entries: Vec<Entry<'_, '_>> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name: &str = key.get_ref();
            let node = Node {
                reading: self.reading,
                file: self.file,
                path: KeyPath::Key(name, &self.path),
                value: value.get_ref(),
                offset: value.span().start,
            };
            let place = node.place_at(key.span());
            each(name, &place, &node);
        }
    }

    /// Says that there is no such key, and which one may be meant.
    pub fn unknown(&self, key: &str, place: &Place, known: &[&str]) {
        let message = match nearest(key, known) {
            Some(near) => format!("unknown key; did you mean \"{near}\"?"),
            None if known.len() <= 12 => {
                format!("unknown key; expected one of {}", known.join(", "))
            }
            None => "unknown key".to_owned(),
        };
        self.reading.error(place, message);
    }
}

impl<'n> Node<'n> {
    /// Where it is.
    pub fn place(&self) -> Place {
        self.place_at(self.offset..self.offset)
    }

    fn place_at(&self, span: Range<usize>) -> Place {
        let mut key = String::new();
        self.path.write(&mut key);
        Place {
            file: self.file,
            offset: span.start,
            key,
        }
    }

    /// Puts a mistake on the list; gives nothing, for the convenience of who reads.
    pub fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.reading.error(&self.place(), message);
        None
    }

    /// Says what should be here instead.
    pub fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let hint = match self.value {
            DeValue::Integer(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
                if what.starts_with("a string") =>
            {
                " (it needs quotes)"
            }
            _ => "",
        };
        self.refuse(format!("expected {what}, found {found}{hint}"))
    }

    /// A string, if it is one. No program can be given a NUL byte, so no string may have one.
    pub fn text(&self, what: &str) -> Option<&'n str> {
        let DeValue::String(text) = self.value else {
            return self.expected(what);
        };
        if text.contains('\0') {
            return self.refuse("a string must not contain a NUL character");
        }
        Some(text)
    }

    /// Whether it is a string.
    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// An integer within limits.
    pub fn integer(&self, least: i64, most: i64) -> Option<i64> {
        let DeValue::Integer(value) = self.value else {
            return self.expected("an integer");
        };
        let parsed = i64::from_str_radix(value.as_str(), value.radix()).ok();
        match parsed.filter(|value| (least..=most).contains(value)) {
            None => self.refuse(format!("expected an integer from {least} to {most}")),
            parsed => parsed,
        }
    }

    /// Whether it is an integer.
    pub fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    /// A table.
    pub fn table(&'n self, what: &str) -> Option<TableNode<'n>> {
        let DeValue::Table(table) = self.value else {
            return self.expected(what);
        };
        Some(TableNode {
            reading: self.reading,
            file: self.file,
            path: self.path,
            table,
        })
    }

    /// Calls `each` for every item of a list; gives nothing if it is none.
    pub fn items(&self, what: &str, mut each: impl FnMut(&Node<'_>)) -> Option<()> {
        let DeValue::Array(array) = self.value else {
            return self.expected(what);
        };
        for (index, item) in array.iter().enumerate() {
            each(&Node {
                reading: self.reading,
                file: self.file,
                path: KeyPath::Item(index, &self.path),
                value: item.get_ref(),
                offset: item.span().start,
            });
        }
        Some(())
    }
}
