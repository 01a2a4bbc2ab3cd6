//! Configurations of jobs, ours and those of another program.

use std::path::PathBuf;

use ironborg_jobs::config;
use ironborg_jobs::import::borgmatic;

/// The file; whatever follows a NUL byte is one of `jobs.d`.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (main, more) = text.split_once('\0').unwrap_or((text, ""));
    let files = [
        (PathBuf::from("jobs.toml"), main.to_owned()),
        (PathBuf::from("jobs.d/more.toml"), more.to_owned()),
    ];
    match config::load(&files) {
        Ok(jobs) => assert!(jobs.jobs.iter().all(|job| !job.targets.is_empty())),
        Err(errors) => assert!(!errors.0.is_empty() && errors.0.len() <= 200),
    }
}

/// A configuration of borgmatic; what is made of it is TOML.
pub(crate) fn import(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(imported) = borgmatic::translate(text, "job") {
        let loaded = config::load(&[(PathBuf::from("jobs.toml"), imported.toml)]);
        if let Err(errors) = loaded {
            let unknown = errors.to_string().contains("unknown key");
            assert!(!unknown, "{errors}");
        }
    }
}

pub(crate) fn configuration_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "[defaults]\nexclude = [\"{path}/.cache\"]\nrepo = \"ssh://u@h/{job}\"\n[jobs.a]\npaths = [\"/a\"]\nprune.keep = { daily = 7, within = \"1d\" }\n",
        "metrics = \"/m\"\n[jobs.a]\ndump_command = \"x\"\nrepos = [\"/r\", { url = \"h:r\", label = \"l\", encryption = { mode = \"none\" } }]\nstart_at = [\"Mon..Fri 12:30\", \"0 4 * * *\"]\nchecks.drill = { every = \"1 week\", budget = \"5min\" }\n[notify.m]\ntype = \"mail\"\nfrom = \"a\"\nto = [\"b\"]\nsmtp = { host = \"h\", port = 25 }\n",
        "[jobs.a]\npaths = \"/a\"\nrepo = \"/r\"\n\0[defaults]\nnice = 5\n[jobs.b]\npaths = \"/b\"\nrepo = \"/s\"\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(crate) fn import_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "constants: {user: me}\nsource_directories: [\"/home/{user}\"]\nrepositories:\n  - path: ssh://u@h/./r\n    label: l\nkeep_daily: 7\nchecks:\n  - name: data\n    frequency: 2 weeks\ncommands:\n  - before: action\n    when: [create]\n    run: [echo]\nntfy: {topic: t}\n",
        "location:\n  source_directories: &x [/a]\n  repositories: [r:b]\nretention: {prefix: 'p-'}\nhooks:\n  <<: {healthchecks: https://x/y}\n  before_backup: *x\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
