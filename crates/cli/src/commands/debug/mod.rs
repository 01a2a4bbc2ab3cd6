//! `debug`: look into a repository (for those who know what they do).

pub(crate) mod convert_profile;
pub(crate) mod delete_obj;
pub(crate) mod dump_archive;
pub(crate) mod dump_archive_items;
pub(crate) mod dump_hints;
pub(crate) mod dump_manifest;
pub(crate) mod dump_repo_objs;
pub(crate) mod get_obj;
pub(crate) mod id_hash;
pub(crate) mod info;
mod object;
pub(crate) mod put_obj;
pub(crate) mod refcount_obj;
pub(crate) mod search_repo_objs;

commands! {
    /// The commands of `debug`.
    DebugCommand
    /// Show what to put into a bug report
    Info(info::DebugInfoArgs),
    /// Write an archive's item stream to files
    DumpArchiveItems(dump_archive_items::DebugDumpArchiveItemsArgs),
    /// Write all of an archive as JSON
    DumpArchive(dump_archive::DebugDumpArchiveArgs),
    /// Write the manifest as JSON
    DumpManifest(dump_manifest::DebugDumpManifestArgs),
    /// Write a repository's objects to files
    DumpRepoObjs(dump_repo_objs::DebugDumpRepoObjsArgs),
    /// Search a repository's objects for bytes
    SearchRepoObjs(search_repo_objs::DebugSearchRepoObjsArgs),
    /// Show the id a file would have as a chunk
    IdHash(id_hash::DebugIdHashArgs),
    /// Write one object to a file
    GetObj(get_obj::DebugGetObjArgs),
    /// Store a file as an object
    PutObj(put_obj::DebugPutObjArgs),
    /// Delete objects
    DeleteObj(delete_obj::DebugDeleteObjArgs),
    /// Show how often objects are referred to
    RefcountObj(refcount_obj::DebugRefcountObjArgs),
    /// Write the repository's hints as JSON
    DumpHints(dump_hints::DebugDumpHintsArgs),
    /// Turn a profile of stock Borg into another format
    ConvertProfile(convert_profile::DebugConvertProfileArgs),
}
