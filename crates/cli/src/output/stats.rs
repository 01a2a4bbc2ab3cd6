//! Blocks of figures and the JSON objects that hold the same.
//!
//! Source: Borg 1.4, `Statistics.summary`, `CacheStatsMixin.str_format`, `Archive.__str__`, `basic_json_data`.

use ironborg_archive::Session;
use ironborg_archive::keys::KeyTarget;
use ironborg_archive::statistics::{ArchiveStatistics, CacheStatistics};
use ironborg_types::Timestamp;

use super::json::Json;
use super::size::{SizeUnits, format_count, format_size};
use super::time;
use crate::context::Context;

/// A line across the screen.
pub(crate) const DASHES: &str =
    "------------------------------------------------------------------------------";
/// Heads the columns of sizes.
pub(crate) const HEADER: &str =
    "                       Original size      Compressed size    Deduplicated size";

/// A line of three sizes.
pub(crate) fn size_line(label: &str, sizes: [i64; 3], units: SizeUnits) -> String {
    let [original, compressed, deduplicated] =
        sizes.map(|size| format_size(i128::from(size), units));
    format!("{label:15} {original:>20} {compressed:>20} {deduplicated:>20}")
}

/// The figures of all archives.
pub(crate) fn cache_block(stats: &CacheStatistics, units: SizeUnits) -> String {
    let size = |size| format_count(size, units);
    format!(
        "All archives:   {:>20} {:>20} {:>20}\n\n                       Unique chunks         Total chunks\nChunk index:    {:20} {:20}",
        size(stats.total_size),
        size(stats.total_csize),
        size(stats.unique_csize),
        stats.total_unique_chunks,
        stats.total_chunks,
    )
}

/// What was deleted, and the figures of all archives that are left if they are wanted.
pub(crate) fn deletion_block(
    deleted: &ArchiveStatistics,
    left: Option<&CacheStatistics>,
    units: SizeUnits,
) -> String {
    let sizes = [
        deleted.original_size,
        deleted.compressed_size,
        deleted.deduplicated_size,
    ];
    let mut lines = vec![
        DASHES.to_owned(),
        HEADER.to_owned(),
        size_line("Deleted data:", sizes, units),
    ];
    lines.extend(left.map(|left| cache_block(left, units)));
    lines.push(DASHES.to_owned());
    lines.join("\n")
}

/// A time of an archive or of the manifest in a JSON document.
pub(crate) fn json_time(at: Timestamp) -> Json {
    time::iso(time::local_time(at)).into()
}

/// The figures of all archives in a JSON document.
pub(crate) fn json_cache(context: &Context, session: &Session, stats: &CacheStatistics) -> Json {
    let path = context
        .directories
        .cache
        .join(session.repository.id().to_string());
    Json::Object(vec![
        ("path", path.to_string_lossy().as_ref().into()),
        (
            "stats",
            Json::Object(vec![
                ("total_chunks", stats.total_chunks.into()),
                ("total_csize", stats.total_csize.into()),
                ("total_size", stats.total_size.into()),
                ("total_unique_chunks", stats.total_unique_chunks.into()),
                ("unique_csize", stats.unique_csize.into()),
                ("unique_size", stats.unique_size.into()),
            ]),
        ),
    ])
}

/// What every JSON document says: the repository and how it is encrypted.
pub(crate) fn json_basics(session: &Session) -> Vec<(&'static str, Json)> {
    let mode = session.key.mode().argument().map_or(Json::Null, Json::from);
    let mut encryption = vec![("mode", mode)];
    if let KeyTarget::File(path) = &session.key_target {
        encryption.push(("keyfile", path.to_string_lossy().as_ref().into()));
    }
    let modified = session
        .manifest
        .timestamp
        .as_deref()
        .and_then(|text| text.parse().ok());
    vec![
        ("encryption", Json::Object(encryption)),
        (
            "repository",
            Json::Object(vec![
                ("id", session.repository.id().to_string().into()),
                ("last_modified", modified.map_or(Json::Null, json_time)),
                ("location", session.client.location.as_str().into()),
            ]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_look_as_borg_prints_them() {
        let line = size_line(
            "This archive:",
            [206_010, 206_270, -203_220],
            SizeUnits::Decimal,
        );
        assert_eq!(
            line,
            "This archive:              206.01 kB            206.27 kB           -203.22 kB"
        );
        let stats = CacheStatistics {
            total_size: 206_010,
            total_csize: 206_270,
            unique_csize: 204_420,
            total_chunks: 8,
            total_unique_chunks: 7,
            ..CacheStatistics::default()
        };
        assert_eq!(
            cache_block(&stats, SizeUnits::Decimal),
            "All archives:              206.01 kB            206.27 kB            204.42 kB\n\n\
             \x20                      Unique chunks         Total chunks\n\
             Chunk index:                       7                    8"
        );
    }
}
