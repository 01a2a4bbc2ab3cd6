//! What the machine allows: the time below which no program of this kind can do what a row is about.

/// The limit of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Seconds from beginning to end.
    pub(crate) wall_s: f64,
    /// Seconds of work for one core.
    pub(crate) cpu_s: f64,
}
