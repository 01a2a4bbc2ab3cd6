//! The timer of a job.

use std::fmt::Write as _;

use super::{Facts, MARK, Unit, escape, name};

/// The timer, if the job runs by itself.
pub fn timer(facts: &Facts<'_>) -> Option<Unit> {
    let job = facts.job;
    if facts.on_calendar.is_empty() {
        return None;
    }
    let mut content = format!(
        "{MARK}\n\
         [Unit]\n\
         Description=When the backup {} is made (ironborg)\n\
         \n\
         [Timer]\n",
        escape::line(job.name.as_bytes())
    );
    for expression in &facts.on_calendar {
        let _ = writeln!(
            content,
            "OnCalendar={}",
            escape::line(expression.as_bytes())
        );
    }
    let _ = writeln!(content, "Persistent={}", job.schedule.persistent);
    if !job.schedule.random_delay.is_zero() {
        // The same every time on one machine: backups stay as far apart as they were asked to be.
        let seconds = job.schedule.random_delay.as_secs().max(1);
        let _ = write!(
            content,
            "RandomizedDelaySec={seconds}\nFixedRandomDelay=true\n"
        );
    }
    content.push_str("\n[Install]\nWantedBy=timers.target\n");
    Some(Unit {
        name: name(&job.name, "timer"),
        content,
        wanted_by: Some("timers.target"),
    })
}
