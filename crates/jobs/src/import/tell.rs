//! Who is told, and what only borgmatic can do.

use super::job::Draft;
use super::yaml::Yaml;
use crate::config::written::text;

/// Where ntfy is unless told otherwise.
const NTFY_SERVER: &str = "https://ntfy.sh";

/// Whether the value was of use; nothing if it is another key.
pub(super) fn translate(draft: &mut Draft, key: &str, value: &Yaml) -> Option<bool> {
    Some(match key {
        "healthchecks" | "watchgoose" => ping(draft, key, value),
        "ntfy" => ntfy(draft, value),
        "pushover" | "zabbix" | "apprise" | "uptime_kuma" | "cronitor" | "cronhub"
        | "pagerduty" | "loki" | "sentry" => {
            draft.leave(
                key,
                "it is told by a notifier of type \"webhook\" or \"command\": see [notify.NAME]",
            );
            true
        }
        "postgresql_databases"
        | "mariadb_databases"
        | "mysql_databases"
        | "sqlite_databases"
        | "mongodb_databases"
        | "influxdb_databases"
        | "openldap_databases" => {
            draft.leave(key, "THE DATABASES ARE NOT BACKED UP: dump them in `pre_hook`, or make a job with `dump_command`");
            true
        }
        "zfs" | "btrfs" | "lvm" => {
            draft.leave(
                key,
                "no snapshots are made: make and remove them in `pre_hook` and `post_hook`",
            );
            true
        }
        "systemd" | "container" | "keepassxc" | "onepassword" => {
            draft.leave(key, "where passphrases come from is said by `encryption`");
            true
        }
        _ => return None,
    })
}

/// Healthchecks, and what speaks like it.
fn ping(draft: &mut Draft, key: &str, value: &Yaml) -> bool {
    let url = match value {
        Yaml::Map(_) => value.get("ping_url").and_then(Yaml::text),
        other => other.text(),
    };
    let Some(url) = url else {
        return false;
    };
    let name = if key == "watchgoose" {
        "watchgoose"
    } else {
        "healthchecks"
    };
    draft.notifiers.push((
        name,
        vec![("type", text("healthchecks")), ("url", text(&url))],
    ));
    leave_others(draft, key, value, &["ping_url", "send_logs"]);
    true
}

fn ntfy(draft: &mut Draft, value: &Yaml) -> bool {
    let get = |key: &str| value.get(key).and_then(Yaml::text);
    let Some(topic) = get("topic") else {
        return false;
    };
    let server = get("server").unwrap_or_else(|| NTFY_SERVER.to_owned());
    let url = format!("{}/{topic}", server.trim_end_matches('/'));
    let mut keys = vec![("type", text("ntfy")), ("url", text(&url))];
    keys.extend(get("access_token").map(|token| ("token", text(&token))));
    let priority = value
        .get("fail")
        .and_then(|fail| fail.get("priority"))
        .and_then(Yaml::text);
    keys.extend(priority.map(|priority| {
        let priority = if priority == "max" {
            "urgent"
        } else {
            &priority
        };
        ("priority", text(priority))
    }));
    draft.notifiers.push(("ntfy", keys));
    if let Some(states) = value.get("states").and_then(Yaml::texts) {
        draft.tells_success = states.iter().any(|state| state == "finish");
    }
    leave_others(
        draft,
        "ntfy",
        value,
        &["topic", "server", "access_token", "states"],
    );
    true
}

/// Names the keys that have no counterpart.
fn leave_others(draft: &mut Draft, name: &str, value: &Yaml, known: &[&str]) {
    let Yaml::Map(entries) = value else {
        return;
    };
    for (key, _) in entries
        .iter()
        .filter(|(key, _)| !known.contains(&key.as_str()))
    {
        draft.leave(
            format!("{name}.{key}"),
            "a notifier has no such setting; see [notify.NAME]",
        );
    }
}
