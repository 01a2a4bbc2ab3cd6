//! Units as they are written, and what of the facts changes them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::job::{
    ArchiveNaming, Arguments, Checks, Conditions, Drill, Hooks, IoPriority, Notify, Retry, Schedule,
};

fn job(name: &str) -> Job {
    Job {
        name: name.to_owned(),
        source: Source::Paths {
            paths: vec!["/home".into()],
            exclude: Vec::new(),
            patterns: Vec::new(),
        },
        targets: Vec::new(),
        archive: ArchiveNaming {
            base: "x".to_owned(),
            date_format: None,
            utc: false,
            failed_suffix: true,
        },
        compression: None,
        arguments: Arguments::default(),
        environment: BTreeMap::new(),
        schedule: Schedule::default(),
        conditions: Conditions {
            reachable: true,
            online: false,
            metered: true,
            ac_power: false,
            paths: Vec::new(),
            wait: Duration::ZERO,
        },
        retry: Retry {
            attempts: 1,
            first: Duration::ZERO,
            longest: Duration::ZERO,
        },
        prune: None,
        compact: true,
        checks: Checks::default(),
        hooks: Hooks::default(),
        user: None,
        group: None,
        read_write_paths: Vec::new(),
        private_tmp: true,
        removable_device: false,
        inhibits_sleep: false,
        fail_on_warnings: true,
        init: true,
        nice: None,
        io: None,
        notify: Notify::default(),
    }
}

fn facts(job: &Job) -> Facts<'_> {
    Facts {
        job,
        notifiers: Vec::new(),
        on_calendar: vec!["*-*-* 00:00:00".to_owned()],
        writes: vec!["/root/.config/borg".into()],
        is_remote: false,
        credentials: Vec::new(),
    }
}

fn setting(manager: Manager) -> Setting<'static> {
    Setting {
        manager,
        program: Path::new("/usr/bin/ironborg"),
        config: Some(Path::new("/etc/ironborg/jobs.toml")),
        state: (manager == Manager::System).then(|| Path::new(STATE)),
        environment: &[],
    }
}

/// The values of a setting.
fn values<'a>(unit: &'a Unit, name: &str) -> Vec<&'a str> {
    let lines = unit.content.lines();
    let pairs = lines.filter_map(|line| line.split_once('='));
    let named = pairs.filter(|(known, _)| *known == name);
    named.map(|(_, value)| value).collect()
}

fn service_of(job: &Job) -> Unit {
    service(&setting(Manager::System), &facts(job))
}

#[test]
fn a_job_of_root_has_a_service_and_a_timer() {
    let mut job = job("home");
    job.schedule.persistent = true;
    job.schedule.random_delay = Duration::from_mins(30);
    let units = of_job(&setting(Manager::System), &facts(&job));
    let [service, timer] = units.as_slice() else {
        panic!("{units:?}");
    };
    assert_eq!(service.name, "ironborg-job-home.service");
    assert_eq!(service.wanted_by, None);
    assert_eq!(
        service.content,
        "\
# Made by `ironborg jobs enable`; `ironborg jobs disable` removes it.
[Unit]
Description=Backup home (ironborg)

[Service]
Type=oneshot
ExecStart=\"/usr/bin/ironborg\" \"jobs\" \"run\" \"--config\" \"/etc/ironborg/jobs.toml\" \"--state\" \
\"/var/lib/ironborg\" \"--scheduled\" \"--\" \"home\"
TimeoutStartSec=infinity
TimeoutStopSec=180
KillMode=mixed
UMask=0077
LimitCORE=0
StateDirectory=ironborg/home
StateDirectoryMode=0700
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
ReadWritePaths=\"-/root/.config/borg\"
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_ADMIN CAP_SETUID CAP_SETGID
NoNewPrivileges=true
LockPersonality=true
RestrictRealtime=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
ProtectHostname=true
ProtectKernelTunables=true
ProtectControlGroups=true
RestrictSUIDSGID=true
RestrictNamespaces=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"
    );
    assert_eq!(timer.name, "ironborg-job-home.timer");
    assert_eq!(timer.wanted_by, Some("timers.target"));
    assert_eq!(
        timer.content,
        "\
# Made by `ironborg jobs enable`; `ironborg jobs disable` removes it.
[Unit]
Description=When the backup home is made (ironborg)

[Timer]
OnCalendar=*-*-* 00:00:00
Persistent=true
RandomizedDelaySec=1800
FixedRandomDelay=true

[Install]
WantedBy=timers.target
"
    );
}

#[test]
fn a_job_that_does_not_run_by_itself_has_no_timer() {
    let job = job("home");
    let facts = Facts {
        on_calendar: Vec::new(),
        ..facts(&job)
    };
    assert_eq!(of_job(&setting(Manager::System), &facts).len(), 1);
}

#[test]
fn what_the_job_says_is_in_its_service() {
    let mut job = job("home");
    job.user = Some("danbst".to_owned());
    job.group = Some("users".to_owned());
    job.fail_on_warnings = false;
    job.nice = Some(10);
    job.io = Some(IoPriority::BestEffort(7));
    job.read_write_paths = vec!["/var/dump 100%".into(), "/bad\npath".into()];
    job.notify.by = vec!["me".to_owned()];
    let mut facts = facts(&job);
    facts.is_remote = true;
    let credential = |name: &str, encrypted| Credential {
        name: name.to_owned(),
        encrypted,
    };
    facts.credentials = vec![credential("pass", false), credential("token", true)];
    let unit = service(&setting(Manager::System), &facts);
    let check = |name: &str, expected: &[&str]| assert_eq!(values(&unit, name), expected, "{name}");
    check("User", &["danbst"]);
    check("Group", &["users"]);
    check("SuccessExitStatus", &["1"]);
    check("Nice", &["10"]);
    check("IOSchedulingClass", &["best-effort"]);
    check("IOSchedulingPriority", &["7"]);
    check(
        "ReadWritePaths",
        &["\"-/root/.config/borg\"", "\"-/var/dump 100%%\""],
    );
    check("OnFailure", &["ironborg-job-failed@home.service"]);
    check("After", &["network-online.target"]);
    check("LoadCredential", &["pass"]);
    check("LoadCredentialEncrypted", &["token"]);
    check("CapabilityBoundingSet", &[""]);
    job.io = Some(IoPriority::Idle);
    assert_eq!(values(&service_of(&job), "IOSchedulingClass"), ["idle"]);
}

/// Each of these settings would make another backup than the same job makes by hand.
#[test]
fn no_service_sees_other_files_than_there_are() {
    let mut jobs = vec![job("plain"), job("hooks"), job("drill"), job("user")];
    jobs[1].hooks.pre = Some("x".to_owned());
    jobs[2].checks.drill = Some(Drill {
        every: Duration::from_secs(1),
        budget: Duration::from_secs(1),
    });
    jobs[3].user = Some("me".to_owned());
    for manager in [Manager::System, Manager::User] {
        for job in &jobs {
            let unit = service(&setting(manager), &facts(job));
            for name in [
                "ProtectKernelModules",
                "PrivateUsers",
                "RemoveIPC",
                "ProtectClock",
                "PrivateDevices",
                "DeviceAllow",
                "DynamicUser",
                "RootDirectory",
            ] {
                assert!(values(&unit, name).is_empty(), "{name}: {}", job.name);
            }
            assert!(!unit.content.contains("ProtectHome=true"));
            if manager == Manager::User {
                // Any of these implies PrivateUsers there.
                for name in [
                    "ProtectSystem",
                    "ProtectHome",
                    "PrivateTmp",
                    "ReadWritePaths",
                    "PrivateMounts",
                ] {
                    assert!(values(&unit, name).is_empty(), "{name}: {}", job.name);
                }
                assert!(values(&unit, "CapabilityBoundingSet").is_empty());
                assert!(values(&unit, "User").is_empty());
            }
        }
    }
}

#[test]
fn temporary_files_that_are_backed_up_are_the_real_ones() {
    let check = |paths: &[&str], patterns: &[&str], expected: &str| {
        let mut job = job("x");
        job.source = Source::Paths {
            paths: paths.iter().map(PathBuf::from).collect(),
            exclude: Vec::new(),
            patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        };
        assert_eq!(
            values(&service_of(&job), "PrivateTmp"),
            [expected],
            "{paths:?} {patterns:?}"
        );
    };
    check(&["/home", "/var/lib"], &["R /srv", "- /tmp"], "true");
    check(&["/home", "/"], &[], "false");
    check(&["/var"], &[], "false");
    check(&["/tmp/build"], &[], "false");
    check(&["/home"], &["R /var/tmp"], "false");
    let mut job = job("x");
    job.private_tmp = false;
    assert_eq!(values(&service_of(&job), "PrivateTmp"), ["false"]);
}

#[test]
fn a_drill_may_restore_what_was_backed_up() {
    let mut job = job("x");
    job.checks.drill = Some(Drill {
        every: Duration::from_secs(1),
        budget: Duration::from_secs(1),
    });
    let unit = service_of(&job);
    assert!(values(&unit, "RestrictSUIDSGID").is_empty());
    let capabilities = values(&unit, "CapabilityBoundingSet")[0];
    for capability in ["CAP_CHOWN", "CAP_SETFCAP", "CAP_MKNOD"] {
        assert!(
            capabilities.split(' ').any(|known| known == capability),
            "{capabilities}"
        );
    }
}

#[test]
fn commands_of_the_users_may_mount_for_root_and_are_compiled_while_they_run() {
    let mut job = job("x");
    job.hooks.pre = Some("mount /dev/vg/snapshot /mnt".to_owned());
    let unit = service_of(&job);
    assert_eq!(
        values(&unit, "SystemCallFilter"),
        ["@system-service @mount"]
    );
    assert!(values(&unit, "MemoryDenyWriteExecute").is_empty());
    job.user = Some("me".to_owned());
    let unit = service_of(&job);
    assert_eq!(values(&unit, "SystemCallFilter"), ["@system-service"]);
    assert_eq!(values(&unit, "CapabilityBoundingSet"), [""]);
    assert!(values(&unit, "MemoryDenyWriteExecute").is_empty());
}

#[test]
fn words_stay_words() {
    let environment = [("PATH".to_owned(), OsString::from("/a b:%h"))];
    let setting = Setting {
        program: Path::new("/opt/100% mine/$iron\"borg"),
        config: None,
        state: Some(Path::new("/srv/state")),
        environment: &environment,
        ..setting(Manager::User)
    };
    let job = job("a.b_c-d");
    let unit = service(&setting, &facts(&job));
    assert_eq!(unit.name, "ironborg-job-a.b_c-d.service");
    assert_eq!(
        values(&unit, "ExecStart"),
        [
            "\"/opt/100%% mine/$$iron\\\"borg\" \"jobs\" \"run\" \"--state\" \"/srv/state\" \"--scheduled\" \"--\" \"a.b_c-d\""
        ]
    );
    assert_eq!(values(&unit, "Environment"), ["\"PATH=/a b:%%h\""]);
}

#[test]
fn overdue_backups_are_looked_for_every_hour_and_after_a_failure() {
    let units = watch(&setting(Manager::System), &[]);
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ironborg-jobs-silence.service",
            "ironborg-jobs-silence.timer",
            "ironborg-job-failed@.service"
        ]
    );
    let check = |unit: &Unit, end: &str| {
        let [command] = values(unit, "ExecStart")[..] else {
            panic!("{unit:?}");
        };
        assert!(command.ends_with(end), "{command}");
    };
    check(
        &units[0],
        "\"status\" \"--config\" \"/etc/ironborg/jobs.toml\" \"--state\" \"/var/lib/ironborg\" \"--notify\"",
    );
    check(&units[2], "\"--notify\" \"--\" %i");
}

#[test]
fn a_crontab_has_lines_for_what_cron_can_say() {
    let line = |job: &str, times: Option<&[&str]>| crontab::Line {
        job: job.to_owned(),
        times: times.map(|times| times.iter().map(|&time| time.to_owned()).collect()),
    };
    let jobs = [
        line("home", Some(&["0 0 * * *", "0 12 * * *"])),
        line("never", Some(&[])),
        line("often", None),
    ];
    let setting = Setting {
        program: Path::new("/opt/it's 100%/ironborg"),
        config: None,
        state: None,
        ..setting(Manager::System)
    };
    assert_eq!(
        crontab::lines(&setting, &jobs, true),
        "\
# BEGIN ironborg jobs
0 0 * * * '/opt/it'\\''s 100\\%/ironborg' jobs run --scheduled -- home
0 12 * * * '/opt/it'\\''s 100\\%/ironborg' jobs run --scheduled -- home
*/10 * * * * '/opt/it'\\''s 100\\%/ironborg' jobs run --due -- often
7 * * * * '/opt/it'\\''s 100\\%/ironborg' jobs status --notify
# END ironborg jobs
"
    );
}
