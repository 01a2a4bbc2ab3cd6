//! `automount list`: what is shown where, and whether it works.

use super::config::Config;
use super::mounts::OnIt;
use super::{shown, unit};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::json::Json;
use crate::parse::ParseContext;
use crate::service_manager::ServiceManager;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ListOptions {
    json: bool,
}

impl ListArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ListOptions, ParseError> {
        Ok(ListOptions { json: self.json })
    }
}

/// A directory, as it is.
struct Directory {
    config: Config,
    unit: String,
    state: String,
    mounted: OnIt,
}

impl Run for ListOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let has_manager = ServiceManager::User.is_running();
        let found = Config::all(&context.config())?.into_iter().map(|config| {
            let unit = unit::name(&config.directory);
            let state = has_manager
                .then(|| ServiceManager::User.state(&unit))
                .flatten();
            Directory {
                state: state.unwrap_or_else(|| "unknown".to_owned()),
                mounted: OnIt::look(&config.directory),
                unit,
                config,
            }
        });
        let found: Vec<Directory> = found.collect();
        if self.json {
            let directories = found.iter().map(Directory::json).collect();
            return context.print_json(vec![("directories", Json::List(directories))]);
        }
        let mut stdout = Stdout::new();
        for directory in &found {
            stdout.text(&directory.text())?;
        }
        stdout.finish()
    }
}

impl Directory {
    fn text(&self) -> String {
        let mut out = format!(
            "{}: {} (service {}: {})\n",
            shown(self.config.directory.as_os_str()),
            self.mounted.name(),
            self.unit,
            self.state
        );
        for repository in &self.config.repositories {
            let line = format!(
                "  {}  {}\n",
                shown(&repository.name),
                shown(&repository.location)
            );
            out.push_str(&line);
        }
        out
    }

    fn json(&self) -> Json {
        let repositories = self.config.repositories.iter().map(|repository| {
            Json::Object(vec![
                ("name", Json::Text(shown(&repository.name))),
                ("location", Json::Text(shown(&repository.location))),
            ])
        });
        Json::Object(vec![
            (
                "directory",
                Json::Text(shown(self.config.directory.as_os_str())),
            ),
            ("mounted", self.mounted.name().into()),
            ("service", self.unit.as_str().into()),
            ("state", self.state.as_str().into()),
            ("repositories", Json::List(repositories.collect())),
        ])
    }
}
