//! Guesses which files will be read next: those behind the ones that were read, if those were read in order.

use std::ops::Range;

/// So many nodes further on is still in order: directories, links and empty files are between those that are read.
const STEP_MAX: u32 = 64;
/// How far ahead of a reader files are expected, in nodes.
const AHEAD: u32 = 64;
/// How many readers are followed at once.
const READERS_MAX: usize = 8;

/// Who reads files in the order they are stored in.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    /// The one that read last is at the end.
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    /// The last node that was read.
    at: u32,
    /// Nodes up to this one are expected already.
    expected: u32,
}

impl Siblings {
    /// A file begins to be read. Returns the nodes that will probably follow, if it is time to expect them.
    pub(super) fn begins(&mut self, node: u32) -> Option<Range<u32>> {
        let known = self
            .readers
            .iter()
            .position(|reader| node > reader.at && node - reader.at <= STEP_MAX);
        let Some(known) = known else {
            if self.readers.len() == READERS_MAX {
                self.readers.remove(0);
            }
            self.readers.push(Reader {
                at: node,
                expected: node,
            });
            return None;
        };
        let mut reader = self.readers.remove(known);
        reader.at = node;
        let due = reader.expected.saturating_sub(node) < AHEAD / 2;
        let next = due.then(|| {
            reader.expected = node.saturating_add(AHEAD);
            node.saturating_add(1)..reader.expected.saturating_add(1)
        });
        self.readers.push(reader);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_no_order() {
        let mut siblings = Siblings::default();
        assert_eq!(siblings.begins(10), None);
        assert_eq!(siblings.begins(5), None);
        assert_eq!(siblings.begins(5000), None);
    }

    #[test]
    fn files_in_order_are_expected_half_the_way_ahead() {
        let mut siblings = Siblings::default();
        let asked: Vec<(u32, Range<u32>)> = (1..100)
            .filter_map(|node| Some((node, siblings.begins(node)?)))
            .collect();
        assert_eq!(asked, [(2, 3..67), (35, 36..100), (68, 69..133)]);
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let mut siblings = Siblings::default();
        let starts: Vec<u32> = (0..8).map(|reader| reader * 1000 + 1).collect();
        for start in &starts {
            assert_eq!(siblings.begins(*start), None);
        }
        for start in starts.iter().rev() {
            assert_eq!(siblings.begins(start + 1), Some(start + 2..start + 66));
        }
        assert_eq!(siblings.begins(90_000), None);
        assert_eq!(
            siblings.begins(7004),
            None,
            "its reader was the one longest ago"
        );
    }

    #[test]
    fn numbers_end() {
        let mut siblings = Siblings::default();
        assert_eq!(siblings.begins(u32::MAX - 1), None);
        assert_eq!(siblings.begins(u32::MAX), Some(u32::MAX..u32::MAX));
    }
}
