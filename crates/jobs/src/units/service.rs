//! The service that runs a job once.

use std::fmt::Write as _;
use std::path::Path;

use super::sandbox::{self, Profile};
use super::watch::{FAILED, needs_watch};
use super::{Credential, Facts, MARK, Manager, Setting, Unit, escape, name};
use crate::job::IoPriority;

/// How long a run that is told to stop has for leaving a checkpoint behind, in seconds: large files are cut, not
/// dropped.
const STOP_SECS: u32 = 180;

/// Where programs that send mail leave it; which of them there is nobody knows.
pub(super) const MAIL: &str = "ReadWritePaths=-/var/spool\n";

/// The service of a job.
pub fn service(setting: &Setting<'_>, facts: &Facts<'_>) -> Unit {
    let job = facts.job;
    let mut out = format!(
        "{MARK}\n\
         [Unit]\n\
         Description=Backup {} (ironborg)\n",
        escape::line(job.name.as_bytes())
    );
    if facts.is_remote && setting.manager == Manager::System {
        out.push_str("Wants=network-online.target\nAfter=network-online.target\n");
    }
    if needs_watch(job) {
        let _ = writeln!(
            out,
            "OnFailure={FAILED}@{}.service",
            escape::line(job.name.as_bytes())
        );
    }
    let command = setting.command("run", &["--scheduled", "--", &job.name]);
    let _ = write!(out, "\n[Service]\nType=oneshot\nExecStart={command}\n");
    if !job.fail_on_warnings {
        out.push_str("SuccessExitStatus=1\n");
    }
    if setting.manager == Manager::System {
        for (setting, value) in [("User", &job.user), ("Group", &job.group)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{setting}={}", escape::line(value.as_bytes()));
            }
        }
    }
    out.push_str(&setting.environment_lines());
    out.extend(facts.credentials.iter().map(Credential::line));
    if let Some(nice) = job.nice {
        let _ = writeln!(out, "Nice={nice}");
    }
    match job.io {
        Some(IoPriority::Idle) => out.push_str("IOSchedulingClass=idle\n"),
        Some(IoPriority::BestEffort(priority)) => {
            let _ = write!(
                out,
                "IOSchedulingClass=best-effort\nIOSchedulingPriority={priority}\n"
            );
        }
        None => {}
    }
    // A run takes as long as it takes. Told to stop, the one that watches tells the one that works.
    let _ = write!(
        out,
        "TimeoutStartSec=infinity\nTimeoutStopSec={STOP_SECS}\nKillMode=mixed\nUMask=0077\nLimitCORE=0\n"
    );
    if setting.manager == Manager::System {
        push_places(&mut out, setting, facts);
    }
    out.push_str(&sandbox::settings(Profile::of(setting.manager, facts)));
    Unit {
        name: name(&job.name, "service"),
        content: out,
        wanted_by: None,
    }
}

/// What of the file system it sees and may change.
fn push_places(out: &mut String, setting: &Setting<'_>, facts: &Facts<'_>) {
    let job = facts.job;
    if setting.own_state().is_none() {
        let _ = write!(
            out,
            "StateDirectory=ironborg/{}\nStateDirectoryMode=0700\n",
            escape::line(job.name.as_bytes())
        );
    }
    out.push_str("ProtectSystem=strict\nProtectHome=read-only\n");
    let private_tmp = job.private_tmp && !sandbox::backs_up_tmp(&job.source);
    let _ = writeln!(out, "PrivateTmp={private_tmp}");
    let all = facts.writes.iter().chain(&job.read_write_paths);
    if facts.sends_mail() {
        out.push_str(MAIL);
    }
    // Where nothing is made for it, it has a directory already when it starts.
    let state = setting.own_state().map(|state| state.join(&job.name));
    for path in all.chain(&state) {
        out.push_str(&writes(path).unwrap_or_default());
    }
}

/// The setting that lets a service write to a path if it is there; `None` for one that no unit can name.
pub(super) fn writes(path: &Path) -> Option<String> {
    // Other than words of commands it has no escapes but those of quotes and backslashes.
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control))?;
    Some(format!(
        "ReadWritePaths={}\n",
        escape::word(format!("-{text}").as_bytes(), escape::Dollar::Plain)
    ))
}
