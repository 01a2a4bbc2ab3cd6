//! Whom a lock is waited for, in words.

use std::ffi::OsStr;

use ironborg_source::named_file;
use ironborg_types::{LockHolder, text};

/// Most holders named.
const HOLDERS_MAX: usize = 3;
/// Longest command line shown, in characters.
const COMMAND_LEN_MAX: usize = 100;

/// What is said while a lock is waited for.
pub(crate) fn waiting(lock: &str, holders: &[LockHolder]) -> String {
    if holders.is_empty() {
        return format!("Waiting for the lock {lock}: others take turns with it.");
    }
    format!("Waiting for the lock {lock}: {}.", list(holders))
}

/// What may be done about a lock that others have kept.
pub(crate) fn advice(holders: &[LockHolder], program: &str) -> String {
    let wait = "Wait for longer with --lock-wait SECONDS";
    if holders.is_empty() {
        return format!("others take turns with it. {wait}.");
    }
    let all = list(holders);
    let break_lock = format!("{program} break-lock");
    format!(
        "{all}. {wait}; if you are certain that nobody works with it any more, remove the lock with: {break_lock}"
    )
}

fn list(holders: &[LockHolder]) -> String {
    let mut words: Vec<String> = holders.iter().take(HOLDERS_MAX).map(holder).collect();
    if let Some(more) = holders
        .len()
        .checked_sub(HOLDERS_MAX)
        .filter(|more| *more > 0)
    {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn holder(holder: &LockHolder) -> String {
    let pid = holder.pid;
    let (place, command) = if holder.is_local {
        ("on this machine".to_owned(), command(pid))
    } else {
        (
            format!("on {}", text::display(holder.host.as_bytes())),
            None,
        )
    };
    let manner = if holder.exclusive {
        "has it for itself"
    } else {
        "reads"
    };
    let age = holder
        .age
        .map(|age| format!(", for {} s", age.as_secs()))
        .unwrap_or_default();
    let command = command
        .map(|command| format!(" ({command})"))
        .unwrap_or_default();
    format!("process {pid} {place}{command} {manner}{age}")
}

/// The command line of a process of this machine.
fn command(pid: u64) -> Option<String> {
    let path = format!("/proc/{pid}/cmdline");
    let line = named_file::read(OsStr::new(&path)).ok()?;
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(text::display)
        .collect();
    let line = words.join(" ");
    let mut short: String = line.chars().take(COMMAND_LEN_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reader(pid: u64) -> LockHolder {
        LockHolder {
            host: "far@1".to_owned(),
            pid,
            is_local: false,
            exclusive: false,
            age: None,
        }
    }

    #[test]
    fn holders_are_named() {
        let writer = LockHolder {
            exclusive: true,
            age: Some(Duration::from_millis(12_900)),
            ..reader(7)
        };
        assert_eq!(
            waiting("/r/lock", &[writer]),
            "Waiting for the lock /r/lock: process 7 on far@1 has it for itself, for 12 s."
        );
        let many: Vec<LockHolder> = (1..=5).map(reader).collect();
        assert_eq!(
            list(&many),
            "process 1 on far@1 reads, process 2 on far@1 reads, process 3 on far@1 reads, 2 more"
        );
        assert!(advice(&many, "borg").ends_with("remove the lock with: borg break-lock"));
        assert!(!advice(&[], "borg").contains("break-lock"));
    }

    #[test]
    fn a_process_of_this_machine_is_known_by_its_command() {
        let me = LockHolder {
            is_local: true,
            pid: std::process::id().into(),
            ..reader(0)
        };
        let text = holder(&me);
        assert!(text.contains(" on this machine (/"), "{text}");
        let gone = LockHolder {
            pid: u64::MAX,
            ..me
        };
        assert_eq!(
            holder(&gone),
            format!("process {} on this machine reads", u64::MAX)
        );
    }
}
