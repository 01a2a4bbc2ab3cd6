//! Archives of every version and key mode: what a repair makes of what is sound.

use ironborg_archive::check::CheckMode;
use ironborg_testkit::sample_names;

use crate::laboratory::Laboratory;

/// Archives that are not authenticated: a repair authenticates them, which gives them ids nobody can foresee.
const UNAUTHENTICATED: &str = "no-tam";
/// Archives whose items were stored in between, for checkpoints: the stream is cut anew. Sample, archive, id.
///
/// Captured from stock Borg 1.4.5, `borg check --repair`.
const CUT_ANEW: [(&str, &str, &str); 2] = [
    (
        "part-files",
        "ck.checkpoint",
        "30c6faaa3ecbe2b9f28ba853345fe1fe7b687edadc6997cb251129e109292cc6",
    ),
    (
        "part-files",
        "parts",
        "0e836f0d308205a19e0a26bab5b5f5cc22c829a10e7239a2f4ee0ddc9d111faa",
    ),
];
/// Of this sample one archive is not authentic and goes.
const NOT_AUTHENTIC: (&str, &str) = ("made-by-1.1.18-invalid-archive-tam", "renamed");
/// The key of this sample is a passphrase, which needs a question to be answered.
const ASKS: &str = "passphrase-mode";

#[test]
fn a_sound_archive_of_any_version_becomes_what_stock_borg_makes_of_it() {
    let mut kept = 0;
    for name in sample_names().into_iter().filter(|name| *name != ASKS) {
        let laboratory = Laboratory::with_sample(name);
        let listed = || {
            let session = laboratory.machine.session();
            let archives = session.manifest.archives.iter();
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            archives
                .map(|(name, entry)| (text(name), entry.id.to_string()))
                .collect::<Vec<_>>()
        };
        let mut before = listed();
        let (told, sound) = laboratory.try_check(CheckMode::Repair, None);
        assert!(sound.unwrap(), "{name}: {:?}", told.messages());
        let after = listed();
        before.retain(|(archive, _)| (name, archive.as_str()) != NOT_AUTHENTIC);
        assert_eq!(after.len(), before.len(), "{name}: {:?}", told.messages());
        for ((archive, before), (_, after)) in before.iter().zip(&after) {
            let cut_anew = CUT_ANEW
                .into_iter()
                .find(|(sample, other, _)| *sample == name && other == archive);
            if name == UNAUTHENTICATED {
                assert_ne!(after, before);
            } else if let Some((_, _, expected)) = cut_anew {
                assert_eq!(after, expected, "{name}::{archive}");
            } else {
                assert_eq!(after, before, "{name}::{archive}");
                kept += 1;
            }
        }
    }
    assert!(kept >= 55, "only {kept} archives");
}
