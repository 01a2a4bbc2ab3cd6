//! Which words the places of a command take: argparse matches them with a regular expression, greedily.
//!
//! Source: Python 3.11, `argparse._get_nargs_pattern` and `_match_arguments_partial`.

use clap::{Arg, ArgAction};

use super::words::Word;

/// How many words a place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// Any number.
    Many,
    /// Any number but none.
    Some,
    /// Everything there is, options included.
    Rest,
    /// One word, and everything behind it, options included: a command and its words.
    Command,
}

impl Count {
    /// What a positional takes.
    pub(super) fn of(arg: &Arg) -> Self {
        let many = matches!(arg.get_action(), ArgAction::Append);
        match (many, arg.is_required_set()) {
            _ if arg.is_trailing_var_arg_set() => Self::Rest,
            (true, true) => Self::Some,
            (true, false) => Self::Many,
            (false, true) => Self::One,
            (false, false) => Self::Optional,
        }
    }

    /// How many of the words it may take, in the order in which that is tried.
    fn choices(self, words: &[Word<'_>]) -> Vec<usize> {
        let is = |at: usize, wanted: fn(&Word<'_>) -> bool| words.get(at).is_some_and(wanted);
        let separator = |word: &Word<'_>| matches!(word, Word::Separator);
        let plain = |word: &Word<'_>| matches!(word, Word::Positional);
        // There is one separator at most.
        let lead = usize::from(is(0, separator));
        let run = words
            .iter()
            .take_while(|word| matches!(word, Word::Positional | Word::Separator))
            .count();
        let with_separator = |end: usize| {
            let mut ends = vec![end];
            if is(end, separator) {
                ends.insert(0, end + 1);
            }
            ends
        };
        match self {
            Self::One if is(lead, plain) => with_separator(lead + 1),
            Self::Optional => {
                let one = is(lead, plain).then(|| with_separator(lead + 1));
                let mut ends = one.unwrap_or_default();
                ends.extend([lead, 0]);
                ends
            }
            Self::Many => (0..=run).rev().collect(),
            Self::Some if is(lead, plain) => (lead + 1..=run).rev().collect(),
            Self::Rest => (0..=words.len()).rev().collect(),
            Self::Command if is(lead, plain) => vec![words.len()],
            _ => Vec::new(),
        }
    }
}

/// How many words each of as many places as possible takes.
pub(super) fn distribute(places: &[Count], words: &[Word<'_>]) -> Vec<usize> {
    (1..=places.len())
        .rev()
        .find_map(|count| matched(&places[..count], words))
        .unwrap_or_default()
}

fn matched(places: &[Count], words: &[Word<'_>]) -> Option<Vec<usize>> {
    let Some((first, others)) = places.split_first() else {
        return Some(Vec::new());
    };
    first.choices(words).into_iter().find_map(|taken| {
        let mut rest = matched(others, &words[taken..])?;
        rest.insert(0, taken);
        Some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(places: &[Count], pattern: &str, expected: &[usize]) {
        let words: Vec<Word<'_>> = pattern
            .chars()
            .map(|letter| match letter {
                'A' => Word::Positional,
                '-' => Word::Separator,
                _ => Word::Unknown,
            })
            .collect();
        assert_eq!(distribute(places, &words), expected, "{places:?} {pattern}");
    }

    #[test]
    fn places_take_words_as_the_regular_expressions_of_argparse_do() {
        use Count::{Command, Many, One, Optional, Rest, Some};
        check(&[One, One], "A", &[1]);
        check(&[One, One], "", &[]);
        check(&[One, Many], "AOA", &[1, 0]);
        check(&[One, Many], "A-A", &[2, 1]);
        check(&[One, Many], "-AA", &[2, 1]);
        check(&[Optional, Many], "-", &[1, 0]);
        check(&[Optional, Optional], "OA", &[0, 0]);
        check(&[One, Some], "A", &[1]);
        check(&[One, Some], "AAA", &[1, 2]);
        check(&[Some, One], "AAA", &[2, 1]);
        check(&[One, One, Rest], "AAOAO", &[1, 1, 3]);
        check(&[Command], "AOAO", &[4]);
        check(&[Command], "OA", &[]);
    }
}
