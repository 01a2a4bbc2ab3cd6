//! Archives as tarballs and tarballs as archives.
//!
//! Source: Borg 1.4, `do_export_tar`, `do_import_tar`, `TarfileObjectProcessors`.

mod assemble;
mod export;
mod in_order;
mod member;
mod records;

pub use export::{ExportOptions, TarFormat, export};
