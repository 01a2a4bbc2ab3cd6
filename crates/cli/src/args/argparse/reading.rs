//! Takes the words of one command in argparse's order.
//!
//! Source: Python 3.11, `argparse._parse_known_args`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::Arg;

use super::places::{self, Count};
use super::settle::canonical;
use super::words::{Found, Word};
use super::{
    Check, Given, Parser, Refusal, Request, argument_name, given_name, shown, takes_value,
};
use crate::args::ParseError;
use crate::output::pyformat::repr;

/// Options stock Borg defines with one value in a list, which changes the wording of an error.
const LIST_OF_ONE: &[&str] = &["exclude_from", "pattern", "patterns_from"];

/// Options whose value may be left out, and what they then have.
const OPTIONAL_VALUE: &[(&str, &str)] = &[("recompress", "if-different")];

/// What a command's words came to, and the words nobody knows.
type Outcome = (Request, Vec<String>);

/// An option with its value.
type Taken<'a> = (Found<'a>, Option<OsString>);

/// The words of one command while they are taken.
pub(super) struct Reading<'p, 'a> {
    parser: &'p Parser<'a>,
    args: &'p [OsString],
    words: Vec<Word<'a>>,
    check: &'p mut dyn Check,
    given: Vec<Given>,
    /// So many of `given` stood before the command.
    inherited: usize,
    /// The places not yet filled.
    places: Vec<&'a Arg>,
    /// What the others took.
    taken: Vec<OsString>,
    /// Words with no place, by index.
    left: Vec<usize>,
    /// What ends the reading early, or came of the command below.
    end: Option<Outcome>,
}

impl<'p, 'a> Reading<'p, 'a> {
    /// Classifies the words; argparse does that before it takes the first, so ambiguities are reported first.
    pub(super) fn new(
        parser: &'p Parser<'a>,
        args: &'p [OsString],
        given: Vec<Given>,
        check: &'p mut dyn Check,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            words: parser.classify_all(args)?,
            parser,
            args,
            check,
            inherited: given.len(),
            given,
            places: parser.command.get_positionals().collect(),
            taken: Vec::new(),
            left: Vec::new(),
            end: None,
        })
    }

    fn is_group(&self) -> bool {
        self.parser.command.has_subcommands()
    }

    /// Takes all words.
    pub(super) fn finish(mut self) -> Result<Outcome, Refusal> {
        let mut at = 0;
        while let Some(option_at) = self.next_option(at) {
            if at != option_at {
                let end = self.take_positionals(at)?;
                if end > at {
                    at = end;
                    continue;
                }
            }
            self.left.extend(at..option_at);
            at = self.take_option(option_at)?;
            if self.end.is_some() {
                break;
            }
        }
        if self.end.is_none() {
            at = self.take_positionals(at)?;
            self.left.extend(at..self.args.len());
        }
        match self.end.take() {
            Some((request, unknown)) => {
                let mut all = self.left_over();
                all.extend(unknown);
                Ok((request, all))
            }
            None if self.is_group() => {
                let nothing = Request::Nothing {
                    path: self.parser.path.clone(),
                    bypass_lock: self.given.iter().any(|given| given.id == "bypass_lock"),
                };
                Ok((nothing, self.left_over()))
            }
            None => self.command(),
        }
    }

    fn next_option(&self, from: usize) -> Option<usize> {
        let is_option = |word: &Word<'_>| matches!(word, Word::Option(_) | Word::Unknown);
        let words = self.words.get(from..)?;
        words.iter().position(is_option).map(|at| from + at)
    }

    fn left_over(&self) -> Vec<String> {
        self.left.iter().map(|&at| shown(&self.args[at])).collect()
    }

    /// Fills as many places as the words from `at` on allow; returns the first word not taken.
    fn take_positionals(&mut self, mut at: usize) -> Result<usize, Refusal> {
        let counts: Vec<Count> = if self.is_group() {
            let open = self.end.is_none();
            open.then_some(Count::Command).into_iter().collect()
        } else {
            self.places.iter().map(|place| Count::of(place)).collect()
        };
        let shares = places::distribute(&counts, &self.words[at..]);
        for (count, share) in counts.into_iter().zip(shares) {
            let words = &self.args[at..at + share];
            at += share;
            if count == Count::Command {
                self.take_command(words)?;
            } else {
                self.fill(count, words.to_vec())?;
            }
        }
        Ok(at)
    }

    /// Gives the next place its words.
    fn fill(&mut self, count: Count, mut words: Vec<OsString>) -> Result<(), Refusal> {
        let place = self.places.remove(0);
        if count != Count::Rest
            && let Some(separator) = words.iter().position(|word| word == "--")
        {
            words.remove(separator);
        }
        self.check(place, &argument_name(place), &words)?;
        self.taken.extend(words);
        Ok(())
    }

    fn check(&mut self, arg: &Arg, name: &str, values: &[OsString]) -> Result<(), Refusal> {
        self.check
            .check(arg, name, values)
            .map_err(|error| match error {
                ParseError::Usage(message)
                | ParseError::ProgramUsage(message)
                | ParseError::UnknownTopic(message) => self.parser.refuse(message),
                ParseError::Early(error) => Refusal::Early(error),
            })
    }

    /// Hands the rest of the words to the command they name.
    fn take_command(&mut self, words: &[OsString]) -> Result<(), Refusal> {
        let Some((name, rest)) = words.split_first() else {
            return Ok(());
        };
        let below = self.parser.below(name)?;
        let given = std::mem::take(&mut self.given);
        self.end = Some(Reading::new(&below, rest, given, &mut *self.check)?.finish()?);
        Ok(())
    }

    /// Takes the option at `at`, with all that stand in the same word; returns the first word not used.
    fn take_option(&mut self, at: usize) -> Result<usize, Refusal> {
        let Word::Option(found) = self.words[at].clone() else {
            self.left.push(at);
            return Ok(at + 1);
        };
        let (taken, next) = self.options_at(found, at)?;
        for (found, value) in taken {
            self.take(&found, value)?;
            if self.end.is_some() {
                break;
            }
        }
        Ok(next)
    }

    /// The options of the word at `at` with their values. Source: argparse, `consume_optional`.
    fn options_at(
        &self,
        mut found: Found<'a>,
        at: usize,
    ) -> Result<(Vec<Taken<'a>>, usize), Refusal> {
        let mut taken = Vec::new();
        loop {
            let Some(attached) = found.attached.take() else {
                let (value, next) = self.separate_value(&found, at + 1)?;
                taken.push((found, value));
                return Ok((taken, next));
            };
            if takes_value(found.arg) {
                taken.push((found, Some(attached)));
                return Ok((taken, at + 1));
            }
            let bytes = attached.as_bytes();
            let next = match bytes.split_first() {
                Some((letter, rest)) if !found.known.starts_with("--") => self
                    .parser
                    .named(&[b'-', *letter])
                    .map(|next| (next, rest.to_vec())),
                _ => None,
            };
            let Some((next, rest)) = next else {
                let name = given_name(found.arg, &found.known);
                let value = repr(&shown(&attached));
                return Err(self.parser.refuse(format!(
                    "argument {name}: ignored explicit argument {value}"
                )));
            };
            taken.push((found, None));
            let attached = (!rest.is_empty()).then(|| OsString::from_vec(rest));
            found = Found { attached, ..next };
        }
    }

    /// The value in the word at `at`, if the option takes one; returns the first word not used.
    fn separate_value(
        &self,
        found: &Found<'_>,
        at: usize,
    ) -> Result<(Option<OsString>, usize), Refusal> {
        if !takes_value(found.arg) {
            return Ok((None, at));
        }
        if matches!(self.words.get(at), Some(Word::Positional)) {
            return Ok((Some(self.args[at].clone()), at + 1));
        }
        let mut optional = OPTIONAL_VALUE.iter();
        if let Some((_, value)) = optional.find(|(id, _)| found.arg.get_id() == id) {
            return Ok((Some(value.into()), at));
        }
        let is_list = LIST_OF_ONE.contains(&found.arg.get_id().as_str());
        let count = if is_list { "1" } else { "one" };
        let name = given_name(found.arg, &found.known);
        Err(self
            .parser
            .refuse(format!("argument {name}: expected {count} argument")))
    }

    /// Checks an option and notes it.
    fn take(&mut self, found: &Found<'a>, value: Option<OsString>) -> Result<(), Refusal> {
        let name = given_name(found.arg, &found.known);
        if let Some(value) = &value {
            self.check(found.arg, &name, std::slice::from_ref(value))?;
        }
        let option = Given {
            id: found.arg.get_id().to_string(),
            name,
            value,
        };
        let own = &self.given[self.inherited..];
        self.parser.refuse_rival(own, &option)?;
        self.parser.refuse_second(own, &option)?;
        match option.id.as_str() {
            "help" => self.stop(Request::Help(self.parser.path.clone())),
            "version" => self.stop(Request::Version),
            _ => self.given.push(option),
        }
        Ok(())
    }

    /// Nothing that follows matters any more, nor what nobody knew before.
    fn stop(&mut self, request: Request) {
        self.left.clear();
        self.end = Some((request, Vec::new()));
    }

    /// All words of a command without commands below it are taken.
    fn command(mut self) -> Result<Outcome, Refusal> {
        self.parser.refuse_missing(&self.places, &self.given)?;
        self.take_late_words()?;
        let unknown = self.left_over();
        let given = self.parser.settle(self.given);
        Ok((
            Request::Run(canonical(self.parser, &given, self.taken)),
            unknown,
        ))
    }

    /// Options may stand among the words of a list: argparse refuses what follows them, which helps nobody.
    fn take_late_words(&mut self) -> Result<(), Refusal> {
        let last = self.parser.command.get_positionals().last();
        let Some(list) = last.filter(|last| Count::of(last) == Count::Many) else {
            return Ok(());
        };
        let plain = |&at: &usize| matches!(self.words[at], Word::Positional);
        if !self.left.iter().all(plain) {
            return Ok(());
        }
        let late = std::mem::take(&mut self.left);
        let words: Vec<OsString> = late.iter().map(|&at| self.args[at].clone()).collect();
        if !words.is_empty() {
            self.check(list, &argument_name(list), &words)?;
            self.taken.extend(words);
        }
        Ok(())
    }
}
