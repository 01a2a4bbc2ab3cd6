//! Indexes of item streams that were made up, against dictionaries as stock Borg has them.

mod dictionaries;
mod hostile;
mod kept;
mod properties;
mod streams;
