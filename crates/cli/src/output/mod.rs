//! How values look: sizes, durations, times, JSON, format strings and the blocks made of them.

pub(crate) mod archive_format;
pub(crate) mod check_report;
pub(crate) mod difference_order;
pub(crate) mod differences;
pub(crate) mod dump;
pub(crate) mod float;
pub(crate) mod hashes;
pub(crate) mod item_fields;
pub(crate) mod item_format;
pub(crate) mod item_json;
pub(crate) mod json;
pub(crate) mod key_page;
pub(crate) mod marshal;
pub(crate) mod pyformat;
pub(crate) mod shell;
pub(crate) mod size;
pub(crate) mod stats;
pub(crate) mod strftime;
pub(crate) mod time;
pub(crate) mod width;
