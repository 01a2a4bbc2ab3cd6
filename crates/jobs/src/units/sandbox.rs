//! What services of jobs may not do.
//!
//! Nothing that would change what a backup sees is used: `ProtectKernelModules=` hides `/usr/lib/modules`,
//! `PrivateUsers=` (and with it everything about the file system in a manager that is not root's) shows the files of
//! others as nobody's, a private `/tmp` is not the one to be backed up, `ProtectClock=` comes with a list of devices that
//! no disk is on: neither could one be read nor a snapshot mounted. `RemoveIPC=` would take shared memory away from
//! other programs of the user's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Facts, Manager};
use crate::job::Source;

/// Where temporary files are.
const TMP: [&str; 2] = ["/tmp", "/var/tmp"];

/// What root needs for a backup: to read everything, without changing times of access, with all attributes; to write
/// to repositories of others; to reach the desktop of who is logged in.
const ROOT: &str =
    "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_ADMIN CAP_SETUID CAP_SETGID";
/// What restoring files takes, as a drill does: owners, special bits, device nodes, flags.
const ROOT_RESTORES: &str = "CAP_CHOWN CAP_FSETID CAP_SETFCAP CAP_MKNOD CAP_LINUX_IMMUTABLE";
/// What commands of the user's do not need either, or only those that would be better off elsewhere.
const NEVER: &str = "~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_SYS_PTRACE CAP_SYSLOG CAP_BPF \
                     CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_NET_ADMIN CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM \
                     CAP_BLOCK_SUSPEND CAP_SYS_PACCT CAP_LEASE CAP_IPC_LOCK";

/// What a service is given to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    pub(super) manager: Manager,
    pub(super) is_root: bool,
    pub(super) runs_commands: bool,
    /// Whether it restores files, with whatever permissions they have.
    pub(super) restores: bool,
}

impl Profile {
    /// The one of a job.
    pub(super) fn of(manager: Manager, facts: &Facts<'_>) -> Self {
        Self {
            manager,
            is_root: facts.is_root(manager),
            runs_commands: facts.runs_commands(),
            restores: facts.job.checks.drill.is_some(),
        }
    }

    fn capabilities(self) -> Option<String> {
        match self.manager {
            // It has none, and no right to give up more.
            Manager::User => None,
            Manager::System if !self.is_root => Some(String::new()),
            Manager::System if self.runs_commands => Some(NEVER.to_owned()),
            Manager::System if self.restores => Some(format!("{ROOT} {ROOT_RESTORES}")),
            Manager::System => Some(ROOT.to_owned()),
        }
    }
}

/// The settings of a service, a line each.
pub(super) fn settings(profile: Profile) -> String {
    let mut out = String::new();
    if let Some(capabilities) = profile.capabilities() {
        let _ = writeln!(out, "CapabilityBoundingSet={capabilities}");
    }
    let mut push = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    push("NoNewPrivileges=true");
    push("LockPersonality=true");
    push("RestrictRealtime=true");
    push("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK");
    if profile.manager == Manager::System {
        push("ProtectHostname=true");
        push("ProtectKernelTunables=true");
        push("ProtectControlGroups=true");
    }
    if !profile.restores {
        push("RestrictSUIDSGID=true");
    }
    let mounts = profile.runs_commands && profile.is_root;
    if mounts {
        // Snapshots are mounted; nobody else sees them.
        push("PrivateMounts=true");
        push("ProtectProc=invisible");
        push("RestrictNamespaces=mnt");
    } else {
        push("RestrictNamespaces=true");
    }
    if !profile.runs_commands {
        push("MemoryDenyWriteExecute=true");
    }
    push("SystemCallArchitectures=native");
    push(if mounts {
        "SystemCallFilter=@system-service @mount"
    } else {
        "SystemCallFilter=@system-service"
    });
    push("SystemCallErrorNumber=EPERM");
    out
}

/// Whether what is backed up includes temporary files: another `/tmp` would be another backup.
pub(super) fn backs_up_tmp(source: &Source) -> bool {
    let Source::Paths {
        paths, patterns, ..
    } = source
    else {
        return false;
    };
    // A pattern may name more roots.
    let roots = patterns.iter().filter_map(|pattern| {
        let root = pattern.trim_start().strip_prefix(['R', 'r'])?;
        Some(PathBuf::from(root.trim_start()))
    });
    let meets = |path: &Path| {
        TMP.iter()
            .any(|tmp| path.starts_with(tmp) || Path::new(tmp).starts_with(path))
    };
    paths.iter().any(|path| meets(path)) || roots.into_iter().any(|root| meets(&root))
}
