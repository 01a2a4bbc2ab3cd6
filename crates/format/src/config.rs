//! INI files as Python's `configparser` reads and writes them, and the values Borg keeps in them.
//!
//! Serves the config of a repository and that of a cache. Sections and keys nobody knows are kept.
//! Which keys mean what is left to the owner of the file. Layout: docs/format.md, "Repository config".

/// Why a text is not an INI file; the texts are Python's, without the file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value before any section.
    #[error("File contains no section headers. [line {line:>2}]: {text:?}")]
    NoSection {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A line that is neither section, value, continuation nor comment.
    #[error("Source contains parsing errors [line {line:>2}]: {text:?}")]
    Syntax {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A section that was there before.
    #[error("While reading [line {line:>2}]: section '{section}' already exists")]
    DuplicateSection {
        /// Line number, from 1.
        line: usize,
        /// Its name.
        section: String,
    },
    /// A key that was in this section before.
    #[error("While reading [line {line:>2}]: option '{key}' in section '{section}' already exists")]
    DuplicateKey {
        /// Line number, from 1.
        line: usize,
        /// The section's name.
        section: String,
        /// The key.
        key: String,
    },
}

/// The section whose values count for all others that lack them.
const DEFAULT: &str = "DEFAULT";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    name: String,
    values: Vec<(String, String)>,
}

/// An INI file: sections of values, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    sections: Vec<Section>,
}

impl Config {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file's text. Comments are dropped, as `configparser` drops them.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Parser::default().parse(text)
    }

    /// Whether there is such a section.
    pub fn has_section(&self, section: &str) -> bool {
        section != DEFAULT && self.section(section).is_some()
    }

    /// The names of all sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        let names = self.sections.iter().map(|section| section.name.as_str());
        names.filter(|&name| name != DEFAULT)
    }

    /// A value, as written; `None` if section or key is missing.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let key = key.to_lowercase();
        let find = |section: &Section| {
            let found = section.values.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| value.clone())
        };
        let own = self.section(section)?;
        if find(own).is_some() {
            let found = own.values.iter().find(|(name, _)| *name == key);
            return found.map(|(_, value)| value.as_str());
        }
        let fallback = self.section(DEFAULT)?;
        let found = fallback.values.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Keys and values of a section, in order.
    pub fn values(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        self.section(section)
            .into_iter()
            .flat_map(|section| &section.values)
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Adds an empty section at the end, if there is none of that name.
    pub fn add_section(&mut self, section: &str) {
        self.section_mut(section);
    }

    /// Sets a value, in its place if the key is there, else at the end of the section.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<String>) {
        let (key, value) = (key.to_lowercase(), value.into());
        let values = &mut self.section_mut(section).values;
        match values.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => values.push((key, value)),
        }
    }

    /// Removes a value; says whether it was there.
    pub fn remove(&mut self, section: &str, key: &str) -> bool {
        let key = key.to_lowercase();
        let Some(section) = self.sections.iter_mut().find(|s| s.name == section) else {
            return false;
        };
        let count = section.values.len();
        section.values.retain(|(name, _)| *name != key);
        section.values.len() < count
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let defaults = self.sections.iter().filter(|s| s.name == DEFAULT);
        let others = self.sections.iter().filter(|s| s.name != DEFAULT);
        for section in defaults.filter(|s| !s.values.is_empty()).chain(others) {
            out.push('[');
            out.push_str(&section.name);
            out.push_str("]\n");
            for (key, value) in &section.values {
                out.push_str(key);
                out.push_str(" = ");
                out.push_str(&value.replace('\n', "\n\t"));
                out.push('\n');
            }
            out.push('\n');
        }
        out
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    fn section_mut(&mut self, name: &str) -> &mut Section {
        let found = self.sections.iter().position(|s| s.name == name);
        let at = found.unwrap_or_else(|| {
            self.sections.push(Section {
                name: name.to_owned(),
                values: Vec::new(),
            });
            self.sections.len() - 1
        });
        &mut self.sections[at]
    }
}

/// What has been read so far. Source: Python 3.11, `RawConfigParser._read`.
#[derive(Default)]
struct Parser {
    config: Config,
    /// Section being read.
    section: Option<usize>,
    /// Its last value may go on in the next line.
    value_open: bool,
    /// How far the line of the last key was indented.
    indent: usize,
}

impl Parser {
    fn parse(mut self, text: &str) -> Result<Config, ConfigError> {
        for (i, line) in split_lines(text).enumerate() {
            self.line(i + 1, line)?;
        }
        for (_, value) in self.config.sections.iter_mut().flat_map(|s| &mut s.values) {
            value.truncate(value.trim_end().len());
        }
        Ok(self.config)
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), ConfigError> {
        let stripped = line.trim();
        let comment = stripped.starts_with('#') || stripped.starts_with(';');
        if stripped.is_empty() || comment {
            // An empty line may be one within a value; a comment line is none at all.
            if let (Some(value), true, false) = (self.open_value(), stripped.is_empty(), comment) {
                value.push('\n');
            }
            return Ok(());
        }
        let indent = line.len() - line.trim_start().len();
        let continues = indent > self.indent;
        if let Some(value) = self.open_value().filter(|_| continues) {
            value.push('\n');
            value.push_str(stripped);
            return Ok(());
        }
        self.indent = indent;
        if let Some(name) = section_name(stripped) {
            return self.begin_section(number, name);
        }
        let Some(at) = self.section else {
            return Err(ConfigError::NoSection {
                line: number,
                text: line.to_owned(),
            });
        };
        let syntax = || ConfigError::Syntax {
            line: number,
            text: line.to_owned(),
        };
        let (key, value) = stripped.split_once(['=', ':']).ok_or_else(syntax)?;
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return Err(syntax());
        }
        let section = &mut self.config.sections[at];
        if section.values.iter().any(|(name, _)| *name == key) {
            return Err(ConfigError::DuplicateKey {
                line: number,
                section: section.name.clone(),
                key,
            });
        }
        section.values.push((key, value.trim().to_owned()));
        self.value_open = true;
        Ok(())
    }

    fn begin_section(&mut self, number: usize, name: &str) -> Result<(), ConfigError> {
        let found = self.config.sections.iter().position(|s| s.name == name);
        if found.is_some() && name != DEFAULT {
            return Err(ConfigError::DuplicateSection {
                line: number,
                section: name.to_owned(),
            });
        }
        self.config.add_section(name);
        self.section = found.or(Some(self.config.sections.len() - 1));
        self.value_open = false;
        Ok(())
    }

    fn open_value(&mut self) -> Option<&mut String> {
        let section = &mut self.config.sections[self.section?];
        let (_, value) = section.values.last_mut().filter(|_| self.value_open)?;
        Some(value)
    }
}

/// Lines as Python's text files give them: ended by `\n`, `\r\n` or `\r`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The name in a line like `[name]`; anything may follow the bracket.
fn section_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('[')?;
    let name = &rest[..rest.rfind(']')?];
    (!name.is_empty()).then_some(name)
}

/// Reads a boolean word, as `configparser.getboolean` does.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a size such as `1234`, `500M` or `1.7T` (decimal suffixes K, M, G, T, P).
///
/// `None` for anything Python's `float` would refuse, for negative sizes and for those beyond 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) = match text.chars().next_back()? {
        'K' => (&text[..text.len() - 1], 1e3),
        'M' => (&text[..text.len() - 1], 1e6),
        'G' => (&text[..text.len() - 1], 1e9),
        'T' => (&text[..text.len() - 1], 1e12),
        'P' => (&text[..text.len() - 1], 1e15),
        _ => (text, 1.0),
    };
    let size = parse_python_float(number)? * factor;
    if !(0.0..18_446_744_073_709_551_616.0).contains(&size) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // Checked above; rounds down, as Python's int().
    Some(size as u64)
}

/// Python allows blanks around a float and underscores between its digits.
fn parse_python_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let misplaced = |(i, _): (usize, char)| {
        let digit = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_digit)
        };
        !(digit(i.checked_sub(1)) && digit(Some(i + 1)))
    };
    let underscores = || text.char_indices().filter(|&(_, c)| c == '_');
    if underscores().any(misplaced) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// Reads a whole number as Python's `int` does: blanks around it, a sign, underscores between digits.
pub fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WRITTEN: &str = "[repository]\nversion = 1\nsegments_per_dir = 1000\n\
        max_segment_size = 524288000\nappend_only = 0\nstorage_quota = 0\n\
        additional_free_space = 0\nid = 43f4\nkey = line one\n\tline two\n\tline three\n\n";

    #[test]
    fn a_config_is_written_as_it_was_read() {
        let config = Config::parse(WRITTEN).unwrap();
        assert_eq!(config.to_text(), WRITTEN);
        assert_eq!(config.get("repository", "Version"), Some("1"));
        assert_eq!(
            config.get("repository", "key"),
            Some("line one\nline two\nline three")
        );
        assert_eq!(config.get("repository", "nothing"), None);
        assert_eq!(config.get("nothing", "version"), None);
    }

    #[test]
    fn the_parser_takes_what_configparser_takes() {
        // Each expectation was checked against Python's configparser.
        let text = "# comment\n; another\n[DEFAULT]\nfallback: yes\n\n[a] rest\r\nKey=1 ; not a comment\n\
             \n  second: line\n[b]\n  indented = x\n    deeper\n  next = y\n\n\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(
            config.get("a", "KEY"),
            Some("1 ; not a comment\n\nsecond: line")
        );
        assert_eq!(config.get("b", "indented"), Some("x\ndeeper"));
        assert_eq!(config.get("b", "next"), Some("y"));
        assert_eq!(config.get("b", "fallback"), Some("yes"));
        assert_eq!(config.sections().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!config.has_section("DEFAULT") && config.has_section("b"));
        assert_eq!(
            config.to_text(),
            "[DEFAULT]\nfallback = yes\n\n[a]\nkey = 1 ; not a comment\n\t\n\tsecond: line\n\n\
             [b]\nindented = x\n\tdeeper\nnext = y\n\n"
        );
    }

    #[test]
    fn values_go_on_over_empty_lines_but_not_over_comments() {
        let value = |text: &str| {
            let config = Config::parse(text).unwrap();
            config.get("a", "k").map(str::to_owned).unwrap()
        };
        let commented = "[a]\n k=1\n#c\n  more\n\n\n  # c2\n  more2\n";
        assert_eq!(value(commented), "1\nmore\n\n\nmore2");
        assert_eq!(value("[a]\nk=\n  v\n"), "\nv");
        assert_eq!(value("[a]\nk = v\n# c\n\n  w\n"), "v\n\nw");
        assert_eq!(value(" [a]\n k=1\n"), "1");
        assert!(Config::parse("[a]\n[b]]\nc=1\n").unwrap().has_section("b]"));
    }

    #[test]
    fn broken_configs_are_refused() {
        let error = |text| Config::parse(text).unwrap_err();
        assert!(matches!(
            error("a = 1\n"),
            ConfigError::NoSection { line: 1, .. }
        ));
        assert!(matches!(
            error("[a]\nword\n"),
            ConfigError::Syntax { line: 2, .. }
        ));
        assert!(matches!(
            error("[a]\n= 1\n"),
            ConfigError::Syntax { line: 2, .. }
        ));
        assert!(matches!(
            error("[a]\n[a]\n"),
            ConfigError::DuplicateSection { line: 2, .. }
        ));
        assert!(matches!(
            error("[a]\nb = 1\nB = 2\n"),
            ConfigError::DuplicateKey { line: 3, .. }
        ));
    }

    #[test]
    fn values_are_set_in_place_and_removed() {
        let mut config = Config::parse(WRITTEN).unwrap();
        config.set("repository", "key", "new");
        config.set("repository", "last_segment_checked", "7");
        config.set("other", "K", "v");
        assert!(config.remove("repository", "APPEND_ONLY"));
        assert!(!config.remove("repository", "append_only"));
        let text = config.to_text();
        assert!(text.ends_with("key = new\nlast_segment_checked = 7\n\n[other]\nk = v\n\n"));
        assert!(!text.contains("append_only"));
    }

    #[test]
    fn sizes_and_words_are_python_s() {
        assert_eq!(parse_size("524288000"), Some(524_288_000));
        assert_eq!(parse_size("500M"), Some(500_000_000));
        assert_eq!(parse_size("1.7T"), Some(1_700_000_000_000));
        assert_eq!(parse_size(" 1_000K"), Some(1_000_000));
        assert_eq!(parse_size("1e3"), Some(1000));
        for text in ["", "M", "1k", "-1", "1__0", "_1", "nan", "inf", "x"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(parse_boolean("Yes"), Some(true));
        assert_eq!(parse_boolean("oFF"), Some(false));
        assert_eq!(parse_boolean("2"), None);
        assert_eq!(parse_integer(" -1_0 "), Some(-10));
        assert_eq!(parse_integer("+7"), Some(7));
        for text in ["", "-", "1.0", "0x1", "1_", "+-1"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[\\[\\]a-c=:#; \t\r\n\u{e9}]{0,60}") {
            if let Ok(config) = Config::parse(&text) {
                // What was read can be written and read again, but for values that look like
                // something else once they are continued.
                let _ = Config::parse(&config.to_text());
            }
        }

        #[test]
        fn written_values_are_read_again(values in proptest::collection::btree_map(
            "[a-z]{1,4}", "[A-Za-z0-9+/]{1,8}(\n[A-Za-z0-9+/]{1,8}){0,3}", 0..5)) {
            let mut config = Config::new();
            config.add_section("repository");
            for (key, value) in values {
                config.set("repository", &key, value);
            }
            prop_assert_eq!(Config::parse(&config.to_text()), Ok(config));
        }
    }
}
