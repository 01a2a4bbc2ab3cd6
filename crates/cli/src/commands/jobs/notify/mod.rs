//! What notifiers need of this machine: programs, secrets, and the desktops of who is logged in.

mod desktops;
mod program;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ironborg_jobs::job::Secret;
use ironborg_jobs::notify::Sender;
use ironborg_jobs::notify::ways::desktop::{Desktop, Popup, Shown};
use ironborg_jobs::notify::ways::{Ended, LIMIT, Program, Surroundings, Ways};
use ironborg_source::named_file;
use ironborg_types::text;

use crate::context::Context;
use crate::credential::PassphraseOrigin;
use crate::subprocess;

/// Sends notices from this machine.
pub(super) fn sender(context: &Context) -> Arc<dyn Sender> {
    Arc::new(Ways {
        surroundings: Arc::new(Machine {
            credentials: context.environment.credentials.clone(),
        }),
        limit: LIMIT,
    })
}

/// This machine's name, as notices have it.
pub(super) fn host(context: &Context) -> String {
    text::display(&context.identity.hostname()).into_owned()
}

struct Machine {
    /// What the service manager has given to this service.
    credentials: Option<PathBuf>,
}

impl Machine {
    fn credential(&self, name: &str) -> Result<String, String> {
        let origin = PassphraseOrigin::Credential(name.into());
        let variables = origin.variables(self.credentials.as_deref());
        let variables = variables.map_err(|error| error.to_string())?;
        if let Some(file) = variables.file {
            return content(&file);
        }
        let decrypting = variables.command.unwrap_or_default();
        let mut command = subprocess::command("sh".as_ref());
        command.arg("-c").arg(decrypting);
        let finished = program::run(command, &[], LIMIT)?;
        if !finished.status.success() {
            return Err(format!("credential {name}: it cannot be decrypted"));
        }
        as_text(finished.stdout, name)
    }
}

fn content(file: &std::path::Path) -> Result<String, String> {
    let content = named_file::read(file.as_os_str()).map_err(|error| error.to_string())?;
    as_text(content, &file.display().to_string())
}

fn as_text(secret: Vec<u8>, called: &str) -> Result<String, String> {
    // The error would show what it is about.
    String::from_utf8(secret).map_err(|_| format!("{called}: this is not UTF-8"))
}

impl Surroundings for Machine {
    fn run(&self, program: &Program, limit: Duration) -> Result<Ended, String> {
        let (name, arguments) = program.words.split_first().ok_or("there is no command")?;
        let mut command: Command = subprocess::command(name);
        command.args(arguments);
        for (variable, value) in &program.variables {
            command.env(variable, value);
        }
        let finished = program::run(command, &program.input, limit)?;
        let said = [finished.stdout, finished.stderr].concat();
        Ok(Ended {
            code: finished.status.code(),
            output: text::display(&said).into_owned(),
        })
    }

    fn secret(&self, secret: &Secret) -> Result<String, String> {
        match secret {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File(path) => content(path),
            Secret::Credential(name) => self.credential(name),
        }
    }

    fn desktops(&self) -> Vec<Desktop> {
        desktops::found()
    }

    fn show(&self, desktop: &Desktop, popup: &Popup, limit: Duration) -> Result<Shown, String> {
        desktops::show(desktop, popup, limit)
    }
}
