//! Real disks that are full, limits that are reached and places that cannot be written or read, with the real
//! binaries: what was begun is taken back, what was committed stays, exit codes and words are stock Borg's.
//!
//! The disks are small file systems in memory. They are mounted in a namespace of the test's own, which takes no more
//! than an ordinary user's rights on most systems; where even that is not allowed the tests say so and count nothing.

mod disk;
mod elsewhere;
mod limits;
mod repository;
mod served;
