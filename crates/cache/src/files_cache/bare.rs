//! Files without extended attributes and ACLs, and who has seen that.

/// Which extended attributes of a file a process gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All there are.
    All,
    /// Not those in the namespace `trusted`, which the system hides from processes without privileges.
    Ordinary,
}

/// Whether a file is known to have no extended attributes and no ACL; two bits of its entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bare(u32);

impl Bare {
    /// Seen with [`Sight::All`].
    const TO_ALL: u32 = 1 << 31;
    /// Seen with [`Sight::Ordinary`].
    const TO_ORDINARY: u32 = 1 << 30;
    /// The bits of a field that are not its own.
    pub(super) const REST: u32 = !(Self::TO_ALL | Self::TO_ORDINARY);

    /// It was seen with this sight.
    pub(super) fn seen_with(sight: Sight) -> Self {
        Self(match sight {
            Sight::All => Self::TO_ALL,
            Sight::Ordinary => Self::TO_ORDINARY,
        })
    }

    /// Whether who has this sight would see none: who sees all may speak for others, but not the reverse.
    pub(super) fn as_seen_with(self, sight: Sight) -> bool {
        match sight {
            Sight::All => self.0 & Self::TO_ALL != 0,
            Sight::Ordinary => self.0 != 0,
        }
    }

    /// Either says so.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits in a field shared with something else.
    pub(super) fn in_field(field: u32) -> Self {
        Self(field & !Self::REST)
    }

    /// A field with these bits and those of `rest`, which leaves them free.
    pub(super) fn into_field(self, rest: u32) -> u32 {
        self.0 | rest.min(Self::REST)
    }
}
