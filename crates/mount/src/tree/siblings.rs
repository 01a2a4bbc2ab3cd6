//! Guesses which files will be read next: those around the ones that were read, if those were near each other.
//!
//! Programs read directories in the order they are listed in, which is that of the nodes, or by name, which is any order
//! of nodes that are near each other.

/// So many nodes away is still near: directories, links and empty files are between those that are read.
const STEP_MAX: u32 = 64;
/// How far ahead of a reader files are expected, in nodes.
const AHEAD: u32 = 64;
/// How many readers are followed at once.
const READERS_MAX: usize = 8;

/// Who reads files that are stored near each other.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    /// The one that read last is at the end.
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    /// The last node that was read.
    at: u32,
    /// Nodes from this one on are expected already,
    low: u32,
    /// up to this one.
    high: u32,
}

impl Siblings {
    /// A file begins to be read. Returns the nodes that will probably follow, in that order, if it is time to expect them.
    pub(super) fn begins(&mut self, node: u32) -> Vec<u32> {
        let known = self
            .readers
            .iter()
            .rposition(|reader| node != reader.at && node.abs_diff(reader.at) <= STEP_MAX);
        let Some(known) = known else {
            if self.readers.len() == READERS_MAX {
                self.readers.remove(0);
            }
            self.readers.push(Reader {
                at: node,
                low: node,
                high: node,
            });
            return Vec::new();
        };
        let mut reader = self.readers.remove(known);
        let next = if node > reader.at && reader.high.saturating_sub(node) < AHEAD / 2 {
            reader.high = node.saturating_add(AHEAD);
            (node..reader.high).map(|before| before + 1).collect()
        } else if node < reader.at && node.saturating_sub(reader.low) < AHEAD / 2 {
            reader.low = node.saturating_sub(AHEAD);
            (reader.low..node).rev().collect()
        } else {
            Vec::new()
        };
        reader.at = node;
        self.readers.push(reader);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: impl Iterator<Item = u32>) -> Vec<u32> {
        range.collect()
    }

    #[test]
    fn one_file_is_no_order() {
        let mut siblings = Siblings::default();
        assert!(siblings.begins(10).is_empty());
        assert!(siblings.begins(10).is_empty());
        assert!(siblings.begins(500).is_empty());
        assert!(siblings.begins(5000).is_empty());
    }

    #[test]
    fn files_in_order_are_expected_half_the_way_ahead() {
        let mut siblings = Siblings::default();
        let mut asked = Vec::new();
        for node in 1..100 {
            let next = siblings.begins(node);
            if !next.is_empty() {
                asked.push((node, next));
            }
        }
        let expected = [
            (2, numbers(3..67)),
            (35, numbers(36..100)),
            (68, numbers(69..133)),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn who_goes_backwards_is_followed_too() {
        let mut siblings = Siblings::default();
        assert!(siblings.begins(300).is_empty());
        assert_eq!(siblings.begins(299), numbers((235..299).rev()));
        assert!(siblings.begins(298).is_empty());
        assert_eq!(siblings.begins(240), numbers((176..240).rev()));
    }

    /// Of a directory read in any order, most files have been expected.
    #[test]
    fn any_order_within_a_directory_is_better_than_none() {
        let mut siblings = Siblings::default();
        let mut known: Vec<u32> = Vec::new();
        let mut unknown = 0;
        for at in 0..50 {
            let node = 100 + at * 37 % 50;
            if !known.contains(&node) {
                unknown += 1;
                known.extend(siblings.begins(node));
            }
        }
        assert!(unknown <= 15, "{unknown}");
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let mut siblings = Siblings::default();
        let starts = numbers((0..8).map(|reader| reader * 1000 + 1));
        for start in &starts {
            assert!(siblings.begins(*start).is_empty());
        }
        for start in starts.iter().rev() {
            assert_eq!(siblings.begins(start + 1), numbers(start + 2..start + 66));
        }
        assert!(siblings.begins(90_000).is_empty());
        let longest_ago = siblings.begins(7004);
        assert!(longest_ago.is_empty(), "its reader is followed no longer");
    }

    #[test]
    fn numbers_end() {
        let mut siblings = Siblings::default();
        assert!(siblings.begins(u32::MAX - 1).is_empty());
        assert!(siblings.begins(u32::MAX).is_empty());
        assert!(siblings.begins(1).is_empty());
        assert_eq!(siblings.begins(0), numbers(0..0));
    }
}
