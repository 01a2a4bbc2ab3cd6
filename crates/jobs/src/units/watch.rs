//! The units that tell what a run cannot tell itself: that none succeeded for long, or that it was killed.

use super::sandbox::{self, Profile};
use super::{Credential, MARK, Manager, PREFIX_OF_ALL, Setting, Unit};
use crate::job::Job;

/// How often it is looked whether there was no success for too long.
const EVERY: &str = "hourly";
/// The template that is started for a run that failed, `PREFIX` and all.
pub(super) const FAILED: &str = "ironborg-job-failed";

/// Whether a job has anything to be told that way.
pub fn needs_watch(job: &Job) -> bool {
    !job.notify.by.is_empty()
}

/// The units; some of the jobs need them.
///
/// What a job's own process could not deliver is tried again by them. They work with the rights of their manager,
/// because they tell about jobs of all users.
pub fn watch(setting: &Setting<'_>, credentials: &[Credential]) -> Vec<Unit> {
    let silence = format!("{PREFIX_OF_ALL}silence");
    let check = setting.command("status", &["--notify"]);
    let one = format!("{} %i", setting.command("status", &["--notify", "--"]));
    let timer = format!(
        "{MARK}\n\
         [Unit]\n\
         Description=When it is looked whether backups are overdue (ironborg)\n\
         \n\
         [Timer]\n\
         OnCalendar={EVERY}\n\
         RandomizedDelaySec=600\n\
         FixedRandomDelay=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    );
    vec![
        service(
            setting,
            credentials,
            &format!("{silence}.service"),
            "Tell of backups that are overdue (ironborg)",
            &check,
        ),
        Unit {
            name: format!("{silence}.timer"),
            content: timer,
            wanted_by: Some("timers.target"),
        },
        service(
            setting,
            credentials,
            &format!("{FAILED}@.service"),
            "Tell that the backup %i failed (ironborg)",
            &one,
        ),
    ]
}

fn service(
    setting: &Setting<'_>,
    credentials: &[Credential],
    name: &str,
    description: &str,
    command: &str,
) -> Unit {
    // Who is told by a command is told by one of the administrator's, and who it is may change any time.
    let profile = Profile {
        manager: setting.manager,
        is_root: setting.manager == Manager::System,
        runs_commands: true,
        restores: false,
    };
    let mut content = format!(
        "{MARK}\n\
         [Unit]\n\
         Description={description}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={command}\n"
    );
    content.push_str(&setting.environment_lines());
    content.extend(credentials.iter().map(Credential::line));
    content.push_str("TimeoutStartSec=600\nUMask=0077\nLimitCORE=0\n");
    if setting.manager == Manager::System {
        content.push_str("ProtectSystem=strict\nProtectHome=read-only\n");
        content.push_str(super::service::MAIL);
        match setting.own_state() {
            None => content.push_str("StateDirectory=ironborg\n"),
            Some(state) => content.push_str(&super::service::writes(state).unwrap_or_default()),
        }
    }
    content.push_str(&sandbox::settings(profile));
    Unit {
        name: name.to_owned(),
        content,
        wanted_by: None,
    }
}
