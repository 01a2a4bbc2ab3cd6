//! `jobs import`: makes a configuration of one of borgmatic's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ironborg_jobs::config::is_name;
use ironborg_jobs::import::{Imported, borgmatic};
use ironborg_source::named_file;

use super::place::Whose;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::{self, Stdout};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Configuration of borgmatic [default: /etc/borgmatic/config.yaml, or ~/.config/borgmatic/config.yaml]
    #[arg(value_name = "FILE")]
    file: Option<OsString>,
    /// Write to this file, which must not be there, rather than to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<OsString>,
    /// Name of the job [default: that of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ImportOptions {
    file: Option<OsString>,
    output: Option<OsString>,
    name: Option<String>,
}

impl ImportArgs {
    /// Checks the name.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ImportOptions, ParseError> {
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            return Err(ParseError::argument(
                "--name",
                format!("\"{name}\": {}", ironborg_jobs::config::NAME_RULE),
            ));
        }
        Ok(ImportOptions {
            file: self.file,
            output: self.output,
            name: self.name,
        })
    }
}

impl Run for ImportOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let file = match &self.file {
            Some(file) => context.absolute(Path::new(file)),
            None => usual_file(context),
        };
        let content = named_file::read(file.as_os_str())
            .map_err(|error| CliError::generic(error.to_string()))?;
        let refuse = |why: String| CliError::generic(format!("{}: {why}", file.display()));
        let text = String::from_utf8(content).map_err(|_| refuse("this is not UTF-8".into()))?;
        let name = self.name.clone().unwrap_or_else(|| job_name(&file));
        let imported =
            borgmatic::translate(&text, &name).map_err(|error| refuse(error.to_string()))?;
        self.write(context, &imported)?;
        for left in &imported.left {
            console::stderr_line(&format!("{}: {}", left.key, left.reason));
        }
        Ok(())
    }
}

impl ImportOptions {
    fn write(&self, context: &Context, imported: &Imported) -> Result<(), CliError> {
        let Some(output) = &self.output else {
            let mut stdout = Stdout::new();
            stdout.text(&imported.toml)?;
            return stdout.finish();
        };
        let path = context.absolute(Path::new(output));
        named_file::publish_private(&path, imported.toml.as_bytes())
            .map_err(|error| CliError::generic(error.to_string()))?;
        console::stderr_line(&format!(
            "Written to {}. Check it: ironborg jobs check-config --config {}",
            path.display(),
            path.display()
        ));
        Ok(())
    }
}

/// Where borgmatic looks first.
fn usual_file(context: &Context) -> PathBuf {
    match Whose::of(context) {
        Whose::System => PathBuf::from("/etc/borgmatic/config.yaml"),
        Whose::User { home, .. } => home.join(".config/borgmatic/config.yaml"),
    }
}

/// A name for the job: that of the file, unless all are called so.
fn job_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    if stem == "config" || !is_name(&stem) {
        "borgmatic".to_owned()
    } else {
        stem.into_owned()
    }
}
