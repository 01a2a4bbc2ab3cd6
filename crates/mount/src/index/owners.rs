//! The owners of an archive's items: few, for many items.

use std::collections::HashMap;

use ironborg_format::item::{ItemView, OwnerName};

use super::record::NONE;

/// Longer names are none on any system, so they are the same as no name.
const NAME_LEN_MAX: usize = 256;
/// Owners with names, at most. What an archive has beyond that is told apart by numbers only; and beyond twice as many
/// it has no owner.
const NAMED_MAX: usize = 1 << 16;

/// An owner as items have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// Number of the user.
    pub uid: Option<i64>,
    /// Number of the group.
    pub gid: Option<i64>,
    /// The user's name.
    pub user: OwnerName,
    /// The group's name.
    pub group: OwnerName,
}

/// Numbers owners while an index is built.
#[derive(Debug, Default)]
pub(super) struct OwnerNumbers {
    all: Vec<Owner>,
    numbers: HashMap<Owner, u32>,
    /// Most items have the owner of the one before.
    last: u32,
}

impl OwnerNumbers {
    /// The number of an item's owner.
    pub(super) fn number(&mut self, item: &ItemView<'_>) -> u32 {
        let last = usize::try_from(self.last)
            .ok()
            .and_then(|at| self.all.get(at));
        if last.is_some_and(|last| is_owner(last, item)) {
            return self.last;
        }
        let mut owner = Owner {
            uid: item.uid,
            gid: item.gid,
            user: kept_name(&item.user),
            group: kept_name(&item.group),
        };
        if self.all.len() >= NAMED_MAX {
            owner.user = OwnerName::Nil;
            owner.group = OwnerName::Nil;
        }
        if let Some(&number) = self.numbers.get(&owner) {
            self.last = number;
            return number;
        }
        if self.all.len() >= 2 * NAMED_MAX {
            return NONE;
        }
        let number = u32::try_from(self.all.len()).expect("there are not so many");
        self.all.push(owner.clone());
        self.numbers.insert(owner, number);
        self.last = number;
        number
    }

    /// All of them, as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for owner in &self.all {
            for number in [owner.uid, owner.gid] {
                out.push(u8::from(number.is_some()));
                out.extend_from_slice(&number.unwrap_or(0).to_le_bytes());
            }
            for name in [&owner.user, &owner.group] {
                let (kind, bytes): (u16, &[u8]) = match name {
                    OwnerName::Absent => (0xffff, b""),
                    OwnerName::Nil => (0xfffe, b""),
                    OwnerName::Name(name) => {
                        let len = u16::try_from(name.len()).expect("longer ones are not kept");
                        (len, name)
                    }
                };
                out.extend_from_slice(&kind.to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
        out
    }
}

fn is_owner(owner: &Owner, item: &ItemView<'_>) -> bool {
    let same = |known: &OwnerName, name: &OwnerName<&[u8]>| match (known, name) {
        (OwnerName::Name(known), OwnerName::Name(name)) => known == name,
        (OwnerName::Nil, OwnerName::Nil) | (OwnerName::Absent, OwnerName::Absent) => true,
        _ => false,
    };
    owner.uid == item.uid
        && owner.gid == item.gid
        && same(&owner.user, &item.user)
        && same(&owner.group, &item.group)
}

fn kept_name(name: &OwnerName<&[u8]>) -> OwnerName {
    match name {
        OwnerName::Absent => OwnerName::Absent,
        OwnerName::Name(name) if name.len() <= NAME_LEN_MAX => OwnerName::Name(name.to_vec()),
        OwnerName::Nil | OwnerName::Name(_) => OwnerName::Nil,
    }
}

/// Reads what [`OwnerNumbers::encode`] wrote; `None`: that is not it.
pub(super) fn decode_owners(bytes: &[u8]) -> Option<Vec<Owner>> {
    let mut rest = bytes;
    let mut owners = Vec::new();
    while !rest.is_empty() {
        owners.push(Owner {
            uid: take_number(&mut rest)?,
            gid: take_number(&mut rest)?,
            user: take_name(&mut rest)?,
            group: take_name(&mut rest)?,
        });
    }
    Some(owners)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// Outer `None`: that is no number.
#[expect(clippy::option_option, reason = "an owner may have no number")]
fn take_number(rest: &mut &[u8]) -> Option<Option<i64>> {
    let [is_there] = take(rest)?;
    let number = i64::from_le_bytes(take(rest)?);
    Some((is_there != 0).then_some(number))
}

fn take_name(rest: &mut &[u8]) -> Option<OwnerName> {
    Some(match u16::from_le_bytes(take(rest)?) {
        0xffff => OwnerName::Absent,
        0xfffe => OwnerName::Nil,
        len => {
            let (name, tail) = rest.split_at_checked(usize::from(len))?;
            *rest = tail;
            OwnerName::Name(name.to_vec())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(uid: i64, user: OwnerName<&'static [u8]>) -> ItemView<'static> {
        ItemView {
            uid: Some(uid),
            user,
            ..ItemView::default()
        }
    }

    #[test]
    fn owners_are_numbered_once_and_read_back() {
        let mut numbers = OwnerNumbers::default();
        let long: &'static [u8] = &[b'x'; 1000];
        let items = [
            item(0, OwnerName::Name(b"root")),
            item(0, OwnerName::Name(b"root")),
            item(0, OwnerName::Nil),
            item(-1, OwnerName::Absent),
            item(0, OwnerName::Name(b"root")),
            item(0, OwnerName::Name(long)),
            item(0, OwnerName::Name(b"")),
        ];
        let found: Vec<u32> = items.iter().map(|item| numbers.number(item)).collect();
        assert_eq!(found, [0, 0, 1, 2, 0, 1, 3]);
        let encoded = numbers.encode();
        assert_eq!(decode_owners(&encoded), Some(numbers.all));
        assert_eq!(decode_owners(&encoded[..encoded.len() - 1]), None);
    }

    #[test]
    fn a_flood_of_owners_is_bounded() {
        let mut numbers = OwnerNumbers::default();
        for uid in 0..2 * NAMED_MAX as i64 + 10 {
            let number = numbers.number(&item(uid, OwnerName::Name(b"name")));
            assert_eq!(number == NONE, uid >= 2 * NAMED_MAX as i64);
        }
        assert_eq!(numbers.all.len(), 2 * NAMED_MAX);
        assert_eq!(numbers.number(&item(5, OwnerName::Name(b"name"))), NONE);
    }
}
