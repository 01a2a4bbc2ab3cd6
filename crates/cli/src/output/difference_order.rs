//! `diff --sort-by`: differences in the order asked for.
//!
//! Source: Borg 1.4, `diff_sort_spec_validator`, `do_diff`.

use std::cmp::Ordering;
use std::str::FromStr;

use ironborg_archive::diff::{Change, Difference};
use ironborg_archive::items::item_size;
use ironborg_archive::selection::compare_names;
use ironborg_types::text;

/// Fields to sort by, the most significant first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DifferenceOrder(Vec<(Field, Direction)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What differences can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Path,
    SizeAdded,
    SizeRemoved,
    SizeDiff,
    Size,
    User,
    Group,
    Uid,
    Gid,
    Ctime,
    Mtime,
    CtimeDiff,
    MtimeDiff,
}

const FIELDS: [(&str, Field); 13] = [
    ("path", Field::Path),
    ("size_added", Field::SizeAdded),
    ("size_removed", Field::SizeRemoved),
    ("size_diff", Field::SizeDiff),
    ("size", Field::Size),
    ("user", Field::User),
    ("group", Field::Group),
    ("uid", Field::Uid),
    ("gid", Field::Gid),
    ("ctime", Field::Ctime),
    ("mtime", Field::Mtime),
    ("ctime_diff", Field::CtimeDiff),
    ("mtime_diff", Field::MtimeDiff),
];

impl DifferenceOrder {
    /// What the old `--sort` means.
    pub(crate) fn by_path() -> Self {
        Self(vec![(Field::Path, Direction::Up)])
    }
}

impl FromStr for DifferenceOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let specs = text
            .split(',')
            .map(str::trim)
            .filter(|spec| !spec.is_empty());
        let fields: Vec<_> = specs.map(parse_field).collect::<Result<_, _>>()?;
        if fields.is_empty() {
            return Err("unsupported sort field: empty spec".to_owned());
        }
        Ok(Self(fields))
    }
}

fn parse_field(spec: &str) -> Result<(Field, Direction), String> {
    let (name, direction) = match spec.strip_prefix('>') {
        Some(name) => (name, Direction::Down),
        None => (spec.strip_prefix('<').unwrap_or(spec), Direction::Up),
    };
    let known = FIELDS.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, field)| (*field, direction))
        .ok_or_else(|| format!("unsupported sort field: {name}"))
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(i128),
    Path(String),
    /// Compared as Python compares its strings.
    Name(Vec<u8>),
}

impl Value {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Path(a), Self::Path(b)) => a.cmp(b),
            (Self::Name(a), Self::Name(b)) => compare_names(a, b),
            _ => unreachable!("a field has values of one kind"),
        }
    }
}

impl Field {
    fn value(self, difference: &Difference<'_>) -> Value {
        let (old, new) = (difference.old, difference.new);
        let name = |name: Option<&[u8]>| Value::Name(name.unwrap_or_default().to_vec());
        let number =
            |number: Option<i64>, default: i64| Value::Number(number.unwrap_or(default).into());
        let change = |old: Option<i64>, new: Option<i64>| {
            Value::Number(i128::from(new.unwrap_or(0)) - i128::from(old.unwrap_or(0)))
        };
        match self {
            Self::Path => Value::Path(text::display(difference.path).into_owned()),
            Self::SizeAdded => Value::Number(sizes(difference.changes).0),
            Self::SizeRemoved => Value::Number(sizes(difference.changes).1),
            Self::SizeDiff => {
                let (added, removed) = sizes(difference.changes);
                Value::Number(added - removed)
            }
            Self::Size => Value::Number(new.map_or(0, item_size).into()),
            // What is gone has none of these.
            Self::User => name(new.and_then(|item| item.user.name())),
            Self::Group => name(new.and_then(|item| item.group.name())),
            Self::Uid => number(new.and_then(|item| item.uid), -1),
            Self::Gid => number(new.and_then(|item| item.gid), -1),
            Self::Ctime => number(new.and_then(|item| item.ctime), 0),
            Self::Mtime => number(new.and_then(|item| item.mtime), 0),
            Self::CtimeDiff => change(old.and_then(|i| i.ctime), new.and_then(|i| i.ctime)),
            Self::MtimeDiff => change(old.and_then(|i| i.mtime), new.and_then(|i| i.mtime)),
        }
    }
}

/// Bytes added and removed.
fn sizes(changes: &[Change<'_>]) -> (i128, i128) {
    let size = |change: &Change<'_>| match change {
        Change::Modified { added, removed } => (i128::from(*added), i128::from(*removed)),
        Change::Added { size } => (i128::from(*size), 0),
        Change::Removed { size } => (0, i128::from(*size)),
        _ => (0, 0),
    };
    let sizes = changes.iter().map(size);
    sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
}

/// Differences that wait for the last one before any can be shown.
#[derive(Debug)]
pub(crate) struct Sorted {
    order: DifferenceOrder,
    lines: Vec<(Vec<Value>, String)>,
}

impl Sorted {
    /// Nothing yet.
    pub(crate) fn new(order: DifferenceOrder) -> Self {
        Self {
            order,
            lines: Vec::new(),
        }
    }

    /// Keeps a difference that will be shown as `line`.
    pub(crate) fn push(&mut self, difference: &Difference<'_>, line: String) {
        let fields = self.order.0.iter();
        let values = fields.map(|(field, _)| field.value(difference)).collect();
        self.lines.push((values, line));
    }

    /// The lines in order; equal ones in the order they came in.
    pub(crate) fn into_lines(mut self) -> impl Iterator<Item = String> {
        let order = self.order.0;
        self.lines.sort_by(|(a, _), (b, _)| {
            let by = |((a, b), (_, direction)): ((&Value, &Value), &(Field, Direction))| {
                let order = a.compare(b);
                match direction {
                    Direction::Up => order,
                    Direction::Down => order.reverse(),
                }
            };
            let mut orders = a.iter().zip(b).zip(&order).map(by);
            orders
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        self.lines.into_iter().map(|(_, line)| line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::item::ItemView;

    #[test]
    fn fields_are_read_as_borg_reads_them() {
        let read = |text: &str| text.parse::<DifferenceOrder>();
        assert_eq!(
            read(" >size_added, ,path,"),
            Ok(DifferenceOrder(vec![
                (Field::SizeAdded, Direction::Down),
                (Field::Path, Direction::Up)
            ]))
        );
        assert_eq!(read("<path"), Ok(DifferenceOrder::by_path()));
        for (text, complaint) in [
            ("", "empty spec"),
            (",", "empty spec"),
            ("mode", "mode"),
            (">>path", ">path"),
            ("> path", " path"),
            (">", ""),
        ] {
            assert_eq!(
                read(text),
                Err(format!("unsupported sort field: {complaint}"))
            );
        }
    }

    #[test]
    fn equal_differences_stay_in_their_order() {
        let mut sorted = Sorted::new(">size_added,path".parse().unwrap());
        for (path, size) in [("b", 1), ("a", 2), ("c", 1), ("a", 1), ("d", 3)] {
            let item = ItemView::default();
            let difference = Difference {
                path: path.as_bytes(),
                old: None,
                new: Some(&item),
                changes: &[Change::Added { size }],
            };
            sorted.push(&difference, format!("{path}{size}"));
        }
        let lines: Vec<String> = sorted.into_lines().collect();
        assert_eq!(lines, ["d3", "a2", "a1", "b1", "c1"]);
    }
}
