//! What this machine remembers about a repository: unchanged files, stored chunks, archives' chunk
//! counts, and the security directory.
//!
//! All but the security directory can be lost at any time: a file that is missing, damaged or from
//! another repository is an empty one, and work only takes longer. The files live in their own
//! directory beside stock Borg's caches ([`directory_name`]), which stock Borg never looks into. Reading
//! archives is `archive`'s business; it hands chunk references in.

mod error;

mod chunk_table;
mod slots;
mod summary;

mod files_cache;
mod files_mode;

mod security;
mod security_nonce;
mod stock_config;

mod cache_file;
mod sealed_blocks;

pub use cache_file::directory_name;
pub use chunk_table::{
    ChunkSizes, ChunkTable, ChunkTotals, Claim, Counts, KeptTable, Unreferenced,
};
pub use error::CacheError;
pub use files_cache::{FileKnown, FileStat, FilesCache, FilesRead, PathHash, PathHasher, Sight};
pub use files_mode::{CompareTime, FilesCacheMode, InvalidFilesCacheMode};
pub use sealed_blocks::{
    SEALED_BLOCK_LEN, ScratchBytes, SealedFile, SealedKind, SealedTarget, SealedWriter, TRAILER_LEN,
};
pub use security::{RepositoryFacts, SecurityDirectory, StockCache, UnknownUnencrypted};
pub use security_nonce::LocalNonceStore;
pub use stock_config::StockCacheConfig;
pub use summary::{
    ArchiveFigures, ArchiveSummary, FoundLengths, IdRanges, KeptSummary, Leaving, Reference,
    Section, Sieve, Staying, SummaryBuilder, SummaryCursor, SummarySource, SummaryStore, Tallied,
    Tally,
};
