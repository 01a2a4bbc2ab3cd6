//! `repos status`: size, last change and quota of each repository.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use ironborg_jobs::repos::{Repo, Rights};
use ironborg_repository::{Survey, survey};
use ironborg_source::named_file;
use ironborg_types::Timestamp;

use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::json::Json;
use crate::output::size::{SizeUnits, format_size};
use crate::output::time;
use crate::parse::ParseContext;

/// How deep repositories below a path are looked for.
const DEPTH_MAX: usize = 4;
/// Most of them that are shown.
const SUB_REPOS_MAX: usize = 10_000;

/// What may be typed.
///
/// Nothing is locked and no key is needed: it is seen from outside, while clients work with the repositories.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct StatusOptions {
    place: Place,
    json: bool,
}

impl StatusArgs {
    /// Finds the file.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<StatusOptions, ParseError> {
        Ok(StatusOptions {
            place: self.place.resolve(parse),
            json: self.json,
        })
    }
}

/// A repository, as it is.
struct Shown<'a> {
    repo: &'a Repo,
    path: PathBuf,
    found: Result<Option<Survey>, String>,
}

impl Run for StatusOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let repos = self.place.load()?;
        let places: Vec<(&Repo, PathBuf)> = repos.iter().flat_map(places).collect();
        let shown = look(&places, context.threads());
        if self.json {
            let all = shown.iter().map(Shown::json).collect();
            return context.print_json(vec![("repositories", Json::List(all))]);
        }
        let mut stdout = Stdout::new();
        for repository in &shown {
            stdout.text(&repository.text(context.units()))?;
        }
        stdout.finish()
    }
}

/// Where repositories are: at the path, or below it.
fn places(repo: &Repo) -> Vec<(&Repo, PathBuf)> {
    let mut found = Vec::new();
    if repo.allow_sub_repos {
        find_below(&repo.path, DEPTH_MAX, &mut found);
    }
    if found.is_empty() {
        found.push(repo.path.clone());
    }
    found.into_iter().map(|path| (repo, path)).collect()
}

fn find_below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(mut names) = named_file::names_in(directory) else {
        return;
    };
    let has = |name: &str| names.iter().any(|known| known == OsStr::new(name));
    if has("config") && has("data") {
        found.push(directory.to_path_buf());
        return;
    }
    names.sort_unstable();
    for name in names {
        let path = directory.join(&name);
        if depth > 0 && found.len() < SUB_REPOS_MAX && named_file::is_real_directory(&path) {
            find_below(&path, depth - 1, found);
        }
    }
}

/// Looks at all of them, several at a time: what takes long is waiting for a disk.
fn look<'a>(places: &[(&'a Repo, PathBuf)], threads: usize) -> Vec<Shown<'a>> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((repo, path)) = places.get(index) else {
                return done;
            };
            let found = survey(path).map_err(|error| error.to_string());
            done.push((
                index,
                Shown {
                    repo,
                    path: path.clone(),
                    found,
                },
            ));
        }
    };
    let mut all: Vec<(usize, Shown<'a>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            worker
                .join()
                .expect("looking at a repository does not panic")
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, shown)| shown).collect()
}

impl Shown<'_> {
    /// The name, with the way to one below the path.
    fn name(&self) -> String {
        let below = self
            .path
            .strip_prefix(&self.repo.path)
            .unwrap_or(Path::new(""));
        if below.as_os_str().is_empty() {
            return self.repo.name.clone();
        }
        let below = ironborg_types::text::display(below.as_os_str().as_bytes()).into_owned();
        format!("{}/{below}", self.repo.name)
    }

    /// The quota in force: what clients are told, else what the repository says.
    fn quota(&self, survey: &Survey) -> Option<u64> {
        let own = Some(survey.storage_quota).filter(|quota| *quota > 0);
        self.repo.quota.as_ref().map(|quota| quota.bytes).or(own)
    }

    /// Whether nobody can remove anything.
    fn append_only(&self, survey: &Survey) -> bool {
        survey.append_only
            || self
                .repo
                .keys
                .iter()
                .all(|(_, rights)| *rights == Rights::AppendOnly)
    }

    fn text(&self, units: SizeUnits) -> String {
        let name = self.name();
        let survey = match &self.found {
            Err(error) => return format!("{name}: {error}\n"),
            Ok(None) => return format!("{name}: no repository yet\n"),
            Ok(Some(survey)) => survey,
        };
        let size = |bytes: u64| format_size(i128::from(bytes), units);
        let changed = survey.changed.and_then(timestamp);
        let mut parts = vec![
            size(survey.size),
            changed.map_or_else(
                || "nothing committed yet".to_owned(),
                |changed| format!("last change {}", time::text(time::local_time(changed))),
            ),
        ];
        match (self.quota(survey), survey.storage_quota_use) {
            (Some(quota), Some(used)) => {
                let percent = u128::from(used) * 100 / u128::from(quota.max(1));
                parts.push(format!(
                    "quota {} of {} ({percent}%)",
                    size(used),
                    size(quota)
                ));
            }
            (Some(quota), None) => parts.push(format!("quota {}", size(quota))),
            (None, _) => {}
        }
        if self.append_only(survey) {
            parts.push("append-only".to_owned());
        }
        if survey.locked {
            parts.push("in use".to_owned());
        } else if survey.readers > 0 {
            parts.push(format!("read by {}", survey.readers));
        }
        format!("{name}: {}\n", parts.join(", "))
    }

    fn json(&self) -> Json {
        let path = ironborg_types::text::display(self.path.as_os_str().as_bytes());
        let mut members = vec![
            ("name", Json::Text(self.name())),
            ("path", path.as_ref().into()),
            ("user", self.repo.user.as_str().into()),
        ];
        match &self.found {
            Err(error) => members.push(("error", error.as_str().into())),
            Ok(None) => members.push(("exists", Json::Bool(false))),
            Ok(Some(survey)) => {
                let optional = |value: Option<u64>| value.map_or(Json::Null, Json::from);
                let changed = survey.changed.and_then(timestamp);
                let changed = changed.map(|changed| time::iso(time::local_time(changed)));
                members.extend([
                    ("exists", Json::Bool(true)),
                    ("size", survey.size.into()),
                    ("segments", survey.segments.into()),
                    ("last_modified", changed.map_or(Json::Null, Json::Text)),
                    ("storage_quota", optional(self.quota(survey))),
                    ("storage_quota_use", optional(survey.storage_quota_use)),
                    ("append_only", Json::Bool(self.append_only(survey))),
                    ("locked", Json::Bool(survey.locked)),
                    ("readers", survey.readers.into()),
                ]);
            }
        }
        Json::Object(members)
    }
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let micros = i64::try_from(since.as_micros()).ok()?;
    Some(Timestamp(micros))
}
