//! The damages: what they are called in the scripts that do them, and what stock Borg says of them.

/// One kind of damage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage {
    /// The name of the function that does it, `_` for `-`.
    pub(super) name: &'static str,
    /// Part of what is said of it by a check, with `--verify-data` if need be. Empty: nothing is wrong.
    pub(super) says: &'static str,
    /// What a repair is given.
    pub(super) repair: Repair,
    /// Why ours does otherwise than stock Borg, if it does, and how it ends.
    pub(super) ours: Option<&'static Ours>,
}

/// How a damage is to be repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    /// `check --repair`
    Plain,
    /// `check --repair --verify-data`
    Verified,
    /// `check --repair`, which does not help.
    InVain,
}

/// What ours does otherwise. Nothing of it loses anything.
#[derive(Debug)]
pub(super) struct Ours {
    /// Why.
    pub(super) reason: &'static str,
    /// Where.
    pub(super) scope: Scope,
    /// Exit codes of look, repair, look, and of stock Borg's look at the result.
    pub(super) codes: [i32; 4],
    /// Part of what it says of the damage.
    pub(super) says: &'static str,
}

/// Where ours does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// In looking at the damage. The repair, what it leaves, and what is said of that are the same.
    Look,
    /// From the first look to the last.
    Everything,
}

/// A wrong MAC where stock Borg expects wrong ids only.
const WRONG_MAC: Ours = Ours {
    reason: "stock ends with a traceback at a wrong MAC in metadata; ours tells it and goes on",
    scope: Scope::Look,
    codes: [1, 0, 0, 0],
    says: "MAC Authentication failed",
};

/// The same in a repair that was not told to verify everything first.
const WRONG_MAC_REPAIRED: Ours = Ours {
    reason: "stock ends with a traceback at a wrong MAC in metadata; ours repairs it",
    scope: Scope::Everything,
    ..WRONG_MAC
};

/// A manifest that is authentic as an object but nothing a program has written.
const ODD_MANIFEST: Ours = Ours {
    reason: "stock ends with a traceback at a manifest that is none; ours makes it anew",
    scope: Scope::Everything,
    codes: [1, 0, 0, 0],
    says: "Repository manifest is corrupted: ",
};

/// A command line that is no text.
const ODD_WORDS: Ours = Ours {
    reason: "stock ends with a traceback at a command line that is no UTF-8; ours leaves the archive as it is",
    scope: Scope::Everything,
    codes: [0, 0, 0, 2],
    says: "no problems found",
};

/// An index that fails its integrity check.
const INDEX_ANEW: Ours = Ours {
    reason: "stock writes a commit of its own when it makes an index anew; ours has nothing to commit by reading",
    scope: Scope::Everything,
    codes: [0, 0, 0, 0],
    says: "Repository index missing or corrupted, trying to recover from: ",
};

const fn otherwise(damage: Damage, ours: &'static Ours) -> Damage {
    Damage {
        ours: Some(ours),
        ..damage
    }
}

const fn plain(name: &'static str, says: &'static str) -> Damage {
    Damage {
        name,
        says,
        repair: Repair::Plain,
        ours: None,
    }
}

const fn verified(name: &'static str, says: &'static str) -> Damage {
    Damage {
        repair: Repair::Verified,
        ..plain(name, says)
    }
}

const fn in_vain(name: &'static str, says: &'static str) -> Damage {
    Damage {
        repair: Repair::InVain,
        ..plain(name, says)
    }
}

const MISSING: &str = "New missing file chunk detected";
const ORPHANED: &str = "orphaned objects found!";
const NOT_AUTHENTIC: &str = "Archive TAM authentication issue for archive b";
const ITEMS_MISSING: &str = "item metadata chunk missing";
const NO_MANIFEST: &str = "Repository manifest not found!";
const UNEXPECTED: &str = "Exception while decrypting or unpacking item metadata";
const UNREADABLE: &str = "Unpacker crashed while unpacking item metadata, trying to resync";
const NO_ITEM: &str = "Did not get expected metadata dict when unpacking item metadata";

/// To what files consist of.
pub(super) const CONTENT: [Damage; 33] = [
    plain("nothing", ""),
    plain("chunk-first", MISSING),
    plain("chunk-middle", MISSING),
    plain("chunk-last", MISSING),
    plain("chunk-of-one-archive", MISSING),
    plain("chunk-used-twice", MISSING),
    plain("chunk-of-zeros", MISSING),
    plain("chunks-of-equal-length", MISSING),
    plain("all-chunks", MISSING),
    plain("hard-linked", MISSING),
    plain("still-missing", "still missing"),
    plain("all-back", "Would completely heal"),
    plain("some-back", "would be healed"),
    plain("some-back-others-lost", "would be healed"),
    plain("replacement-lost", "Missing all-zero replacement chunk"),
    plain("replacement-lost-original-back", "would be healed"),
    plain("healthy-list-too-short", "Invalid chunks_healthy"),
    plain(
        "healthy-list-too-long-and-chunk-lost",
        "Invalid chunks_healthy",
    ),
    plain("healthy-list-equal", "completely heal"),
    plain("size-wrong", "size inconsistency detected"),
    plain("entry-sizes-wrong", "size inconsistency detected"),
    plain("entry-sizes-wrong-and-lost", MISSING),
    verified("chunk-spoiled", "integrity error"),
    verified("chunk-spoiled-in-its-mac", "integrity error"),
    verified("chunks-swapped", "integrity error"),
    verified("chunk-with-another-content", "integrity error"),
    verified("chunk-of-unknown-type", "integrity error"),
    verified("chunk-of-another-type", "integrity error"),
    verified("spoiled-and-lost", MISSING),
    plain("orphan", ORPHANED),
    plain("orphans", ORPHANED),
    verified("orphan-spoiled", ORPHANED),
    plain("archive-unlisted", ORPHANED),
];

/// To archives and their items.
pub(super) const METADATA: [Damage; 44] = [
    plain("archive-missing", "is missing!"),
    plain("all-archives-missing", "is missing!"),
    otherwise(verified("archive-spoiled", ""), &WRONG_MAC),
    otherwise(plain("archive-spoiled-unseen", ""), &WRONG_MAC_REPAIRED),
    plain("archive-of-another", "is corrupted: "),
    plain("archive-without-tam", NOT_AUTHENTIC),
    plain("archive-with-wrong-tam", NOT_AUTHENTIC),
    plain("archive-with-odd-tam", NOT_AUTHENTIC),
    plain("archive-with-unknown-tam", NOT_AUTHENTIC),
    plain("archive-with-the-tam-of-a-manifest", NOT_AUTHENTIC),
    plain("archive-with-unknown-fields", ""),
    plain("archive-with-an-odd-comment", ""),
    otherwise(plain("archive-with-odd-words", ""), &ODD_WORDS),
    plain("archive-that-is-twice-the-same", ""),
    plain("items-first", ITEMS_MISSING),
    plain("items-middle", ITEMS_MISSING),
    plain("items-last", ITEMS_MISSING),
    plain("items-first-and-last", ITEMS_MISSING),
    plain("items-all", ITEMS_MISSING),
    plain("items-of-a-small-archive", ITEMS_MISSING),
    otherwise(verified("items-spoiled-first", UNEXPECTED), &WRONG_MAC),
    otherwise(verified("items-spoiled-middle", UNEXPECTED), &WRONG_MAC),
    otherwise(
        plain("items-spoiled-unseen", UNEXPECTED),
        &WRONG_MAC_REPAIRED,
    ),
    otherwise(verified("items-spoiled-and-lost", UNEXPECTED), &WRONG_MAC),
    plain("items-swapped", "id verification failed"),
    plain("items-cut-otherwise", ""),
    plain("items-lost-in-pieces", ITEMS_MISSING),
    plain("noise-between-items", UNREADABLE),
    plain("noise-after-items", UNREADABLE),
    plain("half-an-item-at-the-end", ""),
    plain("items-that-are-none", NO_ITEM),
    plain("items-with-unknown-keys", NO_ITEM),
    plain("item-with-a-known-unknown-key", ""),
    plain("items-without-required-keys", NO_ITEM),
    plain("item-without-mtime", NO_ITEM),
    plain("item-with-the-acl-of-attic", ""),
    plain("item-with-keys-that-are-no-text", NO_ITEM),
    plain("items-of-odd-types", ""),
    plain("item-with-a-time-of-fractions", ""),
    plain("item-with-a-negative-time", ""),
    plain("item-with-values-missing", ""),
    plain("item-with-a-path-of-any-bytes", ""),
    plain("item-with-attributes", ""),
    plain("items-in-another-order-of-keys", ""),
];

/// To the list of archives, and to what a program needs before it can look at anything.
pub(super) const MANIFEST: [Damage; 23] = [
    plain("manifest-missing", NO_MANIFEST),
    plain("manifest-spoiled", "Repository manifest is corrupted: "),
    otherwise(plain("manifest-that-is-no-msgpack", ""), &ODD_MANIFEST),
    plain("manifest-with-wrong-tam", ""),
    plain("manifest-without-tam", ""),
    plain("manifest-that-is-an-archive", ""),
    plain("manifest-of-unknown-type", ""),
    plain("manifest-from-the-future", ""),
    in_vain("manifest-with-features", "crystal-balls"),
    plain("manifest-that-lists-more", "is missing!"),
    plain("manifest-that-lists-other-times", ""),
    plain("manifest-without-archives", ORPHANED),
    plain("manifest-missing-and-names-taken", "Duplicate archive name"),
    plain("manifest-missing-and-archive-without-tam", NOT_AUTHENTIC),
    plain("manifest-missing-and-archive-with-wrong-tam", NOT_AUTHENTIC),
    plain("manifest-missing-and-odd-names", NO_MANIFEST),
    verified(
        "manifest-missing-and-chunks-spoiled",
        "Skipping corrupted chunk",
    ),
    plain("manifest-missing-and-chunk-lost", NO_MANIFEST),
    plain(
        "manifest-missing-and-much-that-resembles-archives",
        NO_MANIFEST,
    ),
    plain("manifest-spoiled-and-names-taken", "Duplicate archive name"),
    plain("nothing-but-the-manifest", "is missing!"),
    in_vain("nothing-but-noise", "make_key"),
    in_vain("no-object", "no apparent data"),
];

/// To files.
pub(super) const SEGMENTS: [Damage; 17] = [
    plain("segment-with-a-wrong-byte", "errors found"),
    plain("segment-without-magic", "errors found"),
    plain("segment-cut", "errors found"),
    plain("segment-zeroed", "errors found"),
    plain("segment-lost", "errors found"),
    plain("segment-lost-and-index", "is missing!"),
    plain("last-commit-lost", ""),
    plain("commit-spoiled-and-index-lost", ""),
    plain("segments-behind-the-commit", ""),
    plain("index-lost", ""),
    plain("index-and-hints-lost", ""),
    plain("hints-lost", ""),
    otherwise(plain("index-spoiled", ""), &INDEX_ANEW),
    plain("index-wrong", "errors found"),
    plain("index-with-fewer", "errors found"),
    plain("index-with-more", "errors found"),
    in_vain("nothing-but-the-config", "contains no valid data"),
];

/// Every damage.
pub(super) fn all() -> Vec<Damage> {
    let groups = [&CONTENT[..], &METADATA, &MANIFEST, &SEGMENTS];
    groups.concat()
}

/// Those of which it depends on the key mode what is found.
pub(super) fn where_modes_matter() -> Vec<Damage> {
    let names = [
        "chunk-spoiled",
        "chunks-swapped",
        "chunk-of-another-type",
        "archive-of-another",
        "archive-with-wrong-tam",
        "manifest-without-tam",
    ];
    let chosen = |damage: &Damage| names.contains(&damage.name);
    let mut damages = all();
    damages.retain(chosen);
    assert_eq!(damages.len(), names.len(), "names of damages");
    damages
}
