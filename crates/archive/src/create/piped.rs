//! Standard input, or the output of a command, as the content of one file.

use ironborg_source::SourceFile;
use ironborg_source::stream::CommandOutput;

/// An open pipe to be archived.
#[derive(Debug)]
pub(super) struct PipedInput {
    /// Where its bytes come from.
    pub(super) file: SourceFile,
    /// The command that makes them; it must end well.
    pub(super) command: Option<CommandOutput>,
    /// Seconds since 1970: the time of the file.
    pub(super) time_s: i64,
    /// Owner's number.
    pub(super) uid: u32,
    /// Group's number.
    pub(super) gid: u32,
}
