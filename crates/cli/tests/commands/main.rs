//! The binary as its users meet it: words in, text, files and an exit code out.

mod arguments;
mod backup;
mod captures;
mod scene;
mod signals;
