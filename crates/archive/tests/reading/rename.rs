//! Renaming archives.

use ironborg_archive::items::PartFiles;
use ironborg_archive::rename::rename;
use ironborg_archive::statistics::all_archives;
use ironborg_types::{ChunkId, ErrorKind};

use crate::machine::Machine;

#[test]
fn a_renamed_archive_keeps_everything_but_its_name_and_id() {
    for sample in [
        "mode-none",
        "mode-repokey",
        "mode-keyfile-blake2",
        "made-by-1.0.13-repokey",
    ] {
        let machine = Machine::with_sample(sample);
        let mut session = machine.exclusive();
        let before = session.load_archive(b"rich").expect("it is there");
        let figures = all_archives(&session, PartFiles::Skip).expect("all archives read");
        rename(&mut session, b"rich", b"new \xff name").expect("it is renamed");
        drop(session);
        let session = machine.session();
        let after = session.load_archive(b"new \xff name").expect("it is there");
        assert!(after.tam_verified);
        assert_ne!(after.id, before.id);
        assert_eq!(after.metadata.name, b"new \xff name");
        let mut metadata = after.metadata.clone();
        metadata.name.clone_from(&before.metadata.name);
        assert_eq!(metadata, before.metadata);
        assert!(session.load_archive(b"rich").is_err());
        let old = session
            .repository
            .contains(&ChunkId::from(before.id))
            .expect("readable");
        assert!(!old, "the old archive object is gone");
        let figures_after = all_archives(&session, PartFiles::Skip).expect("all archives read");
        assert_eq!(figures_after.total_chunks, figures.total_chunks);
        assert_eq!(figures_after.total_size, figures.total_size);
    }
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let machine = Machine::with_sample("mode-none");
    let mut session = machine.exclusive();
    for new in [&b"small"[..], b"rich"] {
        let error = rename(&mut session, b"rich", new).expect_err("it is taken");
        assert_eq!(error.kind(), ErrorKind::ArchiveAlreadyExists);
    }
    let error = rename(&mut session, b"nosuch", b"x").expect_err("it is not there");
    assert_eq!(error.kind(), ErrorKind::ArchiveDoesNotExist);
    assert_eq!(error.to_string(), "Archive nosuch does not exist");
}
