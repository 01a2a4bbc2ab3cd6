//! The file that is written, with comments for who changes it.

use std::fmt::Write as _;
use std::path::Path;

use ironborg_jobs::config::written::{key, list, text as quoted};

use super::answers::{Answers, Protection, Told};

/// The configuration.
pub(super) fn text(name: &str, answers: &Answers, passphrase_file: &Path) -> String {
    let mut out = String::from(
        "# Backups that run themselves. Check changes with: ironborg jobs check-config\n\
         # Every key there is: ironborg jobs schema, or docs/jobs.md\n\n",
    );
    let _ = writeln!(out, "[jobs.{}]", key(name));
    let paths = answers.paths.iter().map(|path| path.display().to_string());
    let paths: Vec<String> = paths.collect();
    let _ = writeln!(out, "paths = {}", list(&paths));
    out.push_str("# What is left out: patterns as `ironborg create --exclude` takes them.\n");
    out.push_str("exclude = [\"*/.cache/*\"]\n");
    let _ = writeln!(out, "repo = {}", quoted(&answers.repository));
    out.push_str(&encryption(answers, passphrase_file));
    out.push_str("compression = \"auto,zstd\"\n\n");
    match &answers.start_at {
        Some(start_at) => {
            out.push_str("# A run that was missed is caught up with; start_at = [] is never.\n");
            let _ = writeln!(out, "start_at = {}", quoted(start_at));
        }
        None => out.push_str("# By hand only.\nstart_at = []\n"),
    }
    out.push_str(
        "\n# Archives that no rule keeps are deleted. Without this line all are kept.\n\
         prune.keep = { within = \"1d\", daily = 7, weekly = 4, monthly = 6 }\n\n\
         # Whether what is stored is in order, and whether files can be restored.\n\
         checks.repository = \"1 month\"\n\
         checks.drill = \"1 month\"\n",
    );
    out.push_str(&told(&answers.told));
    out
}

fn encryption(answers: &Answers, passphrase_file: &Path) -> String {
    let mode = "encryption.mode = \"repokey-blake2\"\n";
    match &answers.protection {
        Protection::None => "encryption.mode = \"none\"\n\
             environment.BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK = \"yes\"\n"
            .to_owned(),
        Protection::Generated => {
            let file = passphrase_file.display().to_string();
            format!("{mode}encryption.passphrase_file = {}\n", quoted(&file))
        }
        Protection::File(file) => {
            format!("{mode}encryption.passphrase_file = {}\n", quoted(file))
        }
        Protection::Command(command) => {
            format!("{mode}encryption.pass_command = {}\n", quoted(command))
        }
    }
}

fn told(told: &Told) -> String {
    let (way, name, more) = match told {
        Told::Nobody => {
            return "\n# Who is told of a failure: notify.by = [\"NAME\"], with a table [notify.NAME] for each.\n".to_owned();
        }
        Told::Desktop => ("desktop", "desktop", String::new()),
        Told::Mail(address) => (
            "mail",
            "mail",
            format!("from = {0}\nto = {0}\n", quoted(address)),
        ),
        Told::Ntfy(url) => ("ntfy", "ntfy", format!("url = {}\n", quoted(url))),
        Told::Healthchecks(url) => (
            "healthchecks",
            "healthchecks",
            format!("url = {}\n", quoted(url)),
        ),
        Told::Command(command) => (
            "command",
            "command",
            format!("command = {}\n", quoted(command)),
        ),
    };
    format!(
        "\n# Told of failures, and of no success for so long. Try it: ironborg jobs notify-test\n\
         notify.by = [\"{name}\"]\n\
         notify.max_age = \"3 days\"\n\n\
         [notify.{name}]\n\
         type = \"{way}\"\n\
         {more}"
    )
}
