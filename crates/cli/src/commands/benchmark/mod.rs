//! `benchmark`: measure how fast things are.

pub(crate) mod crud;

commands! {
    /// The commands of `benchmark`.
    BenchmarkCommand
    /// Measure creating, reading, updating and deleting
    Crud(crud::BenchmarkCrudArgs),
}
