//! Archives as tarballs and tarballs as archives.
//!
//! Source: Borg 1.4, `do_export_tar`, `do_import_tar`, `TarfileObjectProcessors`.

mod assemble;
mod codec;
mod compress;
mod export;
mod import;
mod in_order;
mod input;
mod item;
mod member;
mod records;

pub use codec::Codec;
pub use compress::with_compressor;
pub use export::{ExportOptions, TarFormat, export};
pub use import::{FinishFilter, ImportOptions, import};
