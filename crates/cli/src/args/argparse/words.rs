//! What each word is, before any is taken: an option, its abbreviation, or something else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::Arg;
use ironborg_types::text;

use super::{Parser, Refusal, option_strings, shown};

/// Options stock Borg does not have: never what an abbreviation means.
const OWN: &[&str] = &[
    "tar_format",
    "threads",
    "max_memory",
    "reconnect",
    "volume_between_checkpoints",
    "oldest",
    "newest",
    "older",
    "newer",
    "plan",
    "json_report",
    "backend",
];

/// An option found for a word of the command line.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub(super) arg: &'a Arg,
    /// The name it was found by.
    pub(super) known: String,
    /// The value attached to the word.
    pub(super) attached: Option<OsString>,
}

/// How argparse classifies a word before anything is consumed.
#[derive(Debug, Clone)]
pub(super) enum Word<'a> {
    Positional,
    /// The first `--`.
    Separator,
    Option(Found<'a>),
    Unknown,
}

/// `-1`, `-.5`: words that look like options but are numbers.
fn is_negative_number(word: &str) -> bool {
    let Some(number) = word.strip_prefix('-') else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        None => !number.is_empty() && digits(number),
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !fraction.is_empty(),
    }
}

impl<'a> Parser<'a> {
    /// Classifies all words; what follows `--` is never an option.
    pub(super) fn classify_all(&self, args: &[OsString]) -> Result<Vec<Word<'a>>, Refusal> {
        let end = args
            .iter()
            .position(|word| word == "--")
            .unwrap_or(args.len());
        let mut words = Vec::with_capacity(args.len());
        for word in &args[..end] {
            words.push(self.classify(word)?);
        }
        words.resize_with(args.len(), || Word::Positional);
        if let Some(separator) = words.get_mut(end) {
            *separator = Word::Separator;
        }
        Ok(words)
    }

    /// The option of exactly this name.
    pub(super) fn named(&self, name: &[u8]) -> Option<Found<'a>> {
        self.options().find_map(|arg| {
            let mut names = option_strings(arg).into_iter();
            let known = names.find(|known| known.as_bytes() == name)?;
            Some(Found {
                arg,
                known,
                attached: None,
            })
        })
    }

    /// Source: argparse, `_parse_optional`.
    fn classify(&self, word: &OsStr) -> Result<Word<'a>, Refusal> {
        let bytes = word.as_bytes();
        if bytes.first() != Some(&b'-') || bytes.len() == 1 {
            return Ok(Word::Positional);
        }
        if let Some(found) = self.named(bytes) {
            return Ok(Word::Option(found));
        }
        let (name, attached) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (
                &bytes[..at],
                Some(OsString::from_vec(bytes[at + 1..].to_vec())),
            ),
            None => (bytes, None),
        };
        if attached.is_some()
            && let Some(found) = self.named(name)
        {
            return Ok(Word::Option(Found { attached, ..found }));
        }
        if let Some(found) = self.abbreviated(bytes, name, attached.as_ref())? {
            return Ok(Word::Option(found));
        }
        let text = text::display(bytes);
        if is_negative_number(&text) || text.contains(' ') {
            return Ok(Word::Positional);
        }
        Ok(Word::Unknown)
    }

    /// Source: argparse, `_get_option_tuples`.
    fn abbreviated(
        &self,
        word: &[u8],
        name: &[u8],
        attached: Option<&OsString>,
    ) -> Result<Option<Found<'a>>, Refusal> {
        let long = word.starts_with(b"--");
        let mut matches: Vec<Found<'a>> = Vec::new();
        let known_to_stock = |arg: &&Arg| !OWN.contains(&arg.get_id().as_str());
        for arg in self.options().filter(known_to_stock) {
            for known in option_strings(arg) {
                let attached = if long {
                    let is_prefix = known.as_bytes().starts_with(name);
                    is_prefix.then(|| attached.cloned())
                } else {
                    let same = known.as_bytes() == &word[..2];
                    same.then(|| Some(OsString::from_vec(word[2..].to_vec())))
                };
                if let Some(attached) = attached {
                    matches.push(Found {
                        arg,
                        known,
                        attached,
                    });
                }
            }
        }
        if matches.len() > 1 {
            let names: Vec<&str> = matches.iter().map(|found| found.known.as_str()).collect();
            let word = shown(OsStr::from_bytes(word));
            return Err(self.refuse(format!(
                "ambiguous option: {word} could match {}",
                names.join(", ")
            )));
        }
        Ok(matches.pop())
    }
}
