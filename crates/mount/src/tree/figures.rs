//! What a mount holds, for whoever asks how it is.

use super::Tree;

/// What is known and kept at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files, directories and so on of the archives that are open.
    pub nodes: u64,
    /// Archives whose index is open.
    pub open: usize,
    /// Archives nobody has looked into, or not for a long time.
    pub pending: usize,
    /// Chunks of plaintext that are kept.
    pub chunks: usize,
    /// Their bytes, those of chunks on their way included.
    pub used: u64,
    /// Bytes they may take.
    pub budget: u64,
}

impl Tree {
    /// What it holds now.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        self.each_volume(|volume| volume.add_to(&mut figures));
        figures
    }
}
