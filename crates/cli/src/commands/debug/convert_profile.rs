//! `debug convert-profile`: turn a profile that stock Borg has recorded into one Python's tools read.
//!
//! Stock Borg writes the figures of its profiler as MessagePack; Python's `pstats` reads them as a
//! marshalled dictionary. This program records no profiles of itself.

use std::ffi::OsString;
use std::io::Write;

use ironborg_format::msgpack::Value;
use ironborg_source::named_file;

use super::object::{file_error, write_error};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::output::marshal;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugConvertProfileArgs {
    /// Profile written by stock Borg's --debug-profile
    #[arg(value_name = "INPUT", required = true)]
    input: OsString,
    /// File to write, for Python's pstats
    #[arg(value_name = "OUTPUT", required = true)]
    output: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugConvertProfileOptions {
    input: OsString,
    output: OsString,
}

impl DebugConvertProfileArgs {
    /// Takes the words as they are.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugConvertProfileOptions, ParseError> {
        Ok(DebugConvertProfileOptions {
            input: self.input,
            output: self.output,
        })
    }
}

impl Run for DebugConvertProfileOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let packed = named_file::read(&self.input).map_err(file_error)?;
        let mut output = named_file::create(&self.output).map_err(file_error)?;
        let profile =
            Value::decode(&packed).map_err(|error| CliError::unexpected(error.to_string()))?;
        let mut marshalled = Vec::with_capacity(packed.len());
        marshal::push(&profile, &mut marshalled);
        output.write_all(&marshalled).map_err(write_error)
    }
}
