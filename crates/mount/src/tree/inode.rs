//! Inode numbers: computed from what they stand for, so that nothing has to be remembered of what the kernel has seen.

use crate::node::NodeId;

/// Number of a repository in this mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(u16);

impl VolumeId {
    /// How many there can be.
    pub const COUNT_MAX: usize = 1 << VOLUME_BITS;
    /// The only one of a mount that shows one repository.
    pub const FIRST: Self = Self(0);

    /// The repository of this number; `None` if there cannot be so many.
    pub fn new(number: usize) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (usize::from(number) < Self::COUNT_MAX).then_some(Self(number))
    }

    /// The number.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// Number of an archive of a repository, given when it is first seen and to no other archive afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// How many there can be.
    pub const COUNT_MAX: usize = (1 << SLOT_BITS) - 1;

    /// The archive of this number; `None` if there cannot be so many.
    pub fn new(number: usize) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        (number < (1 << SLOT_BITS) - 1).then_some(Self(number))
    }

    /// The number.
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("it has 20 bits")
    }
}

/// What an inode number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The directory that is mounted.
    Root,
    /// The directory of a repository's archives, below the root.
    Volume(VolumeId),
    /// A node of an archive, or of the merged tree of all of them.
    Node(VolumeId, Slot, NodeId),
}

/// An inode number: from the top the repository's number, the archive's number plus 1, the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode(pub u64);

const NODE_BITS: u32 = 32;
const SLOT_BITS: u32 = 20;
const VOLUME_BITS: u32 = 12;
const _: () = assert!(NODE_BITS + SLOT_BITS + VOLUME_BITS == u64::BITS);

impl Inode {
    /// The kernel's number of the root.
    pub const ROOT: Self = Self(1);

    /// What the number stands for; `None` if it was never given to anything.
    pub fn place(self) -> Option<Place> {
        if self == Self::ROOT {
            return Some(Place::Root);
        }
        let part = |shift: u32, bits: u32| {
            let part = self.0 >> shift & ((1 << bits) - 1);
            u32::try_from(part).expect("no part has more than 32 bits")
        };
        let (volume, slot) = (
            part(NODE_BITS + SLOT_BITS, VOLUME_BITS),
            part(NODE_BITS, SLOT_BITS),
        );
        let node = part(0, NODE_BITS);
        let volume = VolumeId(u16::try_from(volume).expect("it has 12 bits"));
        match (slot.checked_sub(1), node) {
            (Some(slot), _) => Some(Place::Node(volume, Slot(slot), NodeId(node))),
            // Node 2, as 1 is the root's.
            (None, VOLUME_NODE) => Some(Place::Volume(volume)),
            (None, _) => None,
        }
    }
}

/// In place of a node, for the directory of a repository.
const VOLUME_NODE: u32 = 2;

impl From<Place> for Inode {
    fn from(place: Place) -> Self {
        let pack = |volume: VolumeId, slot: u32, node: u32| {
            Self(
                u64::from(volume.0) << (NODE_BITS + SLOT_BITS)
                    | u64::from(slot) << NODE_BITS
                    | u64::from(node),
            )
        };
        match place {
            Place::Root => Self::ROOT,
            Place::Volume(volume) => pack(volume, 0, VOLUME_NODE),
            Place::Node(volume, slot, node) => pack(volume, slot.0 + 1, node.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_nobody_was_given_are_nothing() {
        for number in [0, 3, u64::from(u32::MAX), 1 << 52, 1 << 52 | 1] {
            assert_eq!(Inode(number).place(), None, "{number:#x}");
        }
        assert_eq!(Inode(1).place(), Some(Place::Root));
    }

    #[test]
    fn numbers_end() {
        assert!(VolumeId::new(VolumeId::COUNT_MAX - 1).is_some());
        assert!(VolumeId::new(VolumeId::COUNT_MAX).is_none());
        let last = Slot::new(Slot::COUNT_MAX - 1).unwrap();
        assert!(Slot::new(Slot::COUNT_MAX).is_none());
        let volume = VolumeId::new(VolumeId::COUNT_MAX - 1).unwrap();
        let place = Place::Node(volume, last, NodeId(u32::MAX));
        assert_eq!(Inode::from(place), Inode(u64::MAX));
        assert_eq!(Inode(u64::MAX).place(), Some(place));
    }

    proptest! {
        #[test]
        fn a_number_stands_for_what_it_was_made_of(
            volume in 0..VolumeId::COUNT_MAX,
            slot in 0..Slot::COUNT_MAX,
            node: u32,
        ) {
            let (volume, slot) = (VolumeId::new(volume).unwrap(), Slot::new(slot).unwrap());
            for place in [Place::Volume(volume), Place::Node(volume, slot, NodeId(node))] {
                let inode = Inode::from(place);
                prop_assert_ne!(inode, Inode::ROOT);
                prop_assert_eq!(inode.place(), Some(place));
            }
        }

        #[test]
        fn every_number_that_stands_for_something_is_its_only_one(number: u64) {
            if let Some(place) = Inode(number).place() {
                prop_assert_eq!(Inode::from(place), Inode(number));
            }
        }
    }
}
