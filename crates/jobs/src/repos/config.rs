//! TOML → repositories. Every mistake is found at once, with file, line, column and key.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::public_key::PublicKey;
use super::{Quota, Repo, Rights};
use crate::config::document::{Node, Place, Reading, TableNode, shorten};
use crate::config::setting::{Definitions, Setting};
use crate::config::values::AbsolutePath;
use crate::config::{ConfigErrors, NAME_RULE, is_name};
use crate::settings;

/// Who repositories belong to unless it is said.
pub const USER: &str = "borg";
/// The key of the only table there is.
const REPOS: &str = "repos";
/// Smallest quota a server takes.
const QUOTA_MIN: u64 = 10_000_000;
/// Longest name of a user.
const USER_LEN_MAX: usize = 32;

settings! {
    /// A repository that clients have.
    pub struct RepoSettings as "repo" {
        /// Its directory.
        replace path: AbsolutePath,
        /// Who it belongs to, and who clients log in as. Default: borg.
        replace user: UserName,
        /// Its group. Default: the user's.
        replace group: UserName,
        /// How many bytes it may hold, such as 100G. Default: no limit.
        replace quota: Quota,
        /// Public keys of clients that may do everything with it.
        replace authorized_keys: Vec<KeySetting>,
        /// Public keys of clients that may add to it, and remove nothing for good.
        replace authorized_keys_append_only: Vec<KeySetting>,
        /// Whether clients may have repositories below the path. Default: false.
        replace allow_sub_repos: bool,
    }
}

/// The name of a user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(pub String);

impl Setting for UserName {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with a name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !begins_well || !text.chars().all(plain) || text.len() > USER_LEN_MAX {
            return node.refuse(format!(
                "not a name of a user or group: \"{}\"",
                shorten(text)
            ));
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "maxLength": USER_LEN_MAX })
    }
}

/// A key, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetting {
    key: PublicKey,
    place: Place,
}

impl Setting for KeySetting {
    fn read(node: &Node<'_>) -> Option<Self> {
        match PublicKey::parse(node.text("a string with a public key")?) {
            Ok(key) => Some(Self {
                key,
                place: node.place(),
            }),
            Err(error) => node.refuse(error.to_string()),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl Setting for Quota {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string such as \"100G\"")?;
        match quota_bytes(text) {
            None => node.refuse(format!("not a size such as 100G: \"{}\"", shorten(text))),
            Some(bytes) if bytes < QUOTA_MIN => {
                node.refuse("a quota is at least 10M: a server takes no smaller one")
            }
            Some(bytes) => Some(Self {
                text: text.to_owned(),
                bytes,
            }),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[KMGTPkmgtp]?$" })
    }
}

/// The bytes of a size as servers read it: a number, perhaps with a fraction, and a decimal unit.
fn quota_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than bytes can be told by are no better.
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 15 {
        return None;
    }
    let factor = 1000_u128.pow(power);
    let whole = whole
        .parse::<u64>()
        .ok()
        .map(u128::from)?
        .checked_mul(factor)?;
    let below =
        fraction.parse::<u128>().ok()? * factor / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from(whole.checked_add(below)?).ok()
}

/// Reads a configuration file: its path and its content.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(file: &(PathBuf, String)) -> Result<Vec<Repo>, ConfigErrors> {
    let files = std::slice::from_ref(file);
    let reading = Reading::new(files, None);
    let tables = reading.parse();
    let mut found: Vec<(Repo, Place)> = Vec::new();
    let mut known: BTreeMap<(String, String), String> = BTreeMap::new();
    for (number, table) in tables.iter().enumerate() {
        let table = TableNode::of_file(&reading, number, table.get_ref());
        table.for_each(|key, place, node| match key {
            REPOS => {
                let Some(repos) = node.table("a table of repositories: [repos.NAME]") else {
                    return;
                };
                repos.for_each(|name, place, node| {
                    if !is_name(name) {
                        reading.error(place, NAME_RULE);
                    }
                    let Some(settings) = RepoSettings::read(node) else {
                        return;
                    };
                    if let Some(repo) = settle(&reading, name, place, &settings, &mut known) {
                        found.push((repo, place.clone()));
                    }
                });
            }
            _ if RepoSettings::KEYS.contains(&key) => {
                reading.error(place, "this belongs into a repository: [repos.NAME]");
            }
            _ => table.unknown(key, place, &[REPOS]),
        });
    }
    refuse_nested(&reading, &found);
    reading.finish()?;
    Ok(found.into_iter().map(|(repo, _)| repo).collect())
}

/// Makes a repository of its settings. `known` has the keys of each user so far, and whose they are.
fn settle(
    reading: &Reading<'_>,
    name: &str,
    place: &Place,
    settings: &RepoSettings,
    known: &mut BTreeMap<(String, String), String>,
) -> Option<Repo> {
    let user = settings
        .user
        .cloned()
        .map_or_else(|| USER.to_owned(), |user| user.0);
    let mut keys = Vec::new();
    let listed = [
        (&settings.authorized_keys, Rights::All),
        (&settings.authorized_keys_append_only, Rights::AppendOnly),
    ];
    for (field, rights) in listed {
        for setting in field.get().into_iter().flatten() {
            let id = (user.clone(), setting.key.blob().to_owned());
            if let Some(other) = known.insert(id, name.to_owned()) {
                let message = format!(
                    "this key is let in for {other} already: sshd takes the first line of a key, so each repository of \
                     {user} needs a key of its own"
                );
                reading.error(&setting.place, message);
            }
            keys.push((setting.key.clone(), rights));
        }
    }
    let lists = [
        &settings.authorized_keys,
        &settings.authorized_keys_append_only,
    ];
    let is_empty = lists
        .iter()
        .all(|field| field.get().map_or(!field.is_given(), Vec::is_empty));
    if is_empty {
        let message = "no key is let in: authorized_keys or authorized_keys_append_only is needed";
        reading.error(place, message);
    }
    let Some((path, path_place)) = settings.path.located() else {
        if !settings.path.is_given() {
            reading.error(place, "path is needed");
        }
        return None;
    };
    let path = plain(&path.0);
    let text = path.as_ref().and_then(|path| path.to_str());
    if text.is_none_or(|text| text == "/" || text.contains(char::is_control)) {
        let message = "not a path for a repository: it has no \"..\", no control characters, and is not \"/\"";
        reading.error(path_place, message);
    }
    Some(Repo {
        name: name.to_owned(),
        path: path?,
        user,
        group: settings.group.cloned().map(|group| group.0),
        quota: settings.quota.cloned(),
        keys,
        allow_sub_repos: settings.allow_sub_repos.cloned().unwrap_or(false),
    })
}

/// The path without what means nothing; `None` for one that leads back up.
fn plain(path: &Path) -> Option<PathBuf> {
    let leads_up = path.components().any(|part| part == Component::ParentDir);
    (!leads_up).then(|| path.components().collect())
}

/// Complains of repositories in each other: one would destroy the other.
fn refuse_nested(reading: &Reading<'_>, repos: &[(Repo, Place)]) {
    let by_path: BTreeMap<&Path, &Repo> = repos
        .iter()
        .rev()
        .map(|(repo, _)| (repo.path.as_path(), repo))
        .collect();
    for (repo, place) in repos {
        for above in repo.path.ancestors() {
            match by_path.get(above) {
                Some(other) if other.name == repo.name => {}
                Some(other) if above == repo.path => {
                    reading.error(place, format!("{} has the same path", other.name));
                }
                Some(other) if !other.allow_sub_repos => {
                    reading.error(place, format!("its path is in that of {}", other.name));
                }
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+u6Q/ycvxM1XG7JitWqla/nTKvT29rHS9IUjZMaPwH me@here";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOnZxTdSHinReC8qDH40sF6vTEmvNQei/OPfsxDtabLB";

    fn read(text: &str) -> Result<Vec<Repo>, Vec<String>> {
        let file = (PathBuf::from("repos.toml"), text.to_owned());
        load(&file).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_repository_has_defaults() {
        let repos = read(&format!(
            "[repos.my_borg_repo]\npath = \"/var/lib//my_borg_repo/\"\nauthorized_keys = [\"{KEY}\"]\n"
        ));
        let expected = Repo {
            name: "my_borg_repo".to_owned(),
            path: "/var/lib/my_borg_repo".into(),
            user: "borg".to_owned(),
            group: None,
            quota: None,
            keys: vec![(PublicKey::parse(KEY).unwrap(), Rights::All)],
            allow_sub_repos: false,
        };
        assert_eq!(repos, Ok(vec![expected]));
    }

    #[test]
    fn everything_can_be_said() {
        let repos = read(&format!(
            "[repos.a]\npath = \"/srv/a\"\nuser = \"u\"\ngroup = \"g\"\nquota = \"1.5T\"\n\
             authorized_keys = [\"{KEY}\"]\nauthorized_keys_append_only = [\"{OTHER}\"]\nallow_sub_repos = true\n"
        ))
        .unwrap();
        let repo = &repos[0];
        assert_eq!(
            (repo.user.as_str(), repo.group.as_deref()),
            ("u", Some("g"))
        );
        let quota = repo.quota.clone().unwrap();
        assert_eq!(
            (quota.text.as_str(), quota.bytes),
            ("1.5T", 1_500_000_000_000)
        );
        let rights: Vec<Rights> = repo.keys.iter().map(|(_, rights)| *rights).collect();
        assert_eq!(rights, [Rights::All, Rights::AppendOnly]);
        assert!(repo.allow_sub_repos);
    }

    #[test]
    fn mistakes_are_all_told_with_their_places() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        };
        check(
            &format!(
                "[repos.a]\npath = \"srv\"\nusr = \"x\"\nauthorized_keys = [\"{KEY}\", \"command=\\\"sh\\\" {OTHER}\"]\n"
            ),
            &[
                "repos.toml:2:8: repos.a.path: the path has to be absolute: \"srv\"",
                "repos.toml:3:1: repos.a.usr: unknown key; did you mean \"user\"?",
                "repos.toml:4:112: repos.a.authorized_keys[1]: a public key begins with its type, such as ssh-ed25519; \
                 options cannot be given here",
            ],
        );
        check(
            "[repos.a]\npath = \"/srv/a\"\n",
            &[
                "repos.toml:1:8: repos.a: no key is let in: authorized_keys or authorized_keys_append_only is needed",
            ],
        );
        check(
            &format!("[repos.a]\nauthorized_keys = [\"{KEY}\"]\n"),
            &["repos.toml:1:8: repos.a: path is needed"],
        );
        check(
            &format!(
                "[repos.a]\npath = \"/srv/../etc\"\nuser = \"a b\"\nquota = \"5M\"\nauthorized_keys = [\"{KEY}\"]\n"
            ),
            &[
                "repos.toml:2:8: repos.a.path: not a path for a repository: it has no \"..\", no control characters, and \
                 is not \"/\"",
                "repos.toml:3:8: repos.a.user: not a name of a user or group: \"a b\"",
                "repos.toml:4:9: repos.a.quota: a quota is at least 10M: a server takes no smaller one",
            ],
        );
    }

    #[test]
    fn a_key_lets_into_one_repository_of_a_user() {
        let repo = |name: &str, user: &str, list: &str| {
            format!(
                "[repos.{name}]\npath = \"/srv/{name}\"\nuser = \"{user}\"\n{list} = [\"{KEY}\"]\n"
            )
        };
        let twice =
            repo("a", "u", "authorized_keys") + &repo("b", "u", "authorized_keys_append_only");
        let errors = read(&twice).unwrap_err();
        assert!(
            errors[0].starts_with(
                "repos.toml:8:32: repos.b.authorized_keys_append_only[0]: this key is let in for a"
            ),
            "{errors:?}"
        );
        let other_user = repo("a", "u", "authorized_keys") + &repo("b", "v", "authorized_keys");
        assert!(read(&other_user).is_ok());
    }

    #[test]
    fn repositories_are_not_in_each_other() {
        let two = |outer: &str| {
            read(&format!(
                "[repos.a]\npath = \"/srv/a\"\n{outer}authorized_keys = [\"{KEY}\"]\n\
                 [repos.b]\npath = \"/srv/a/b\"\nauthorized_keys = [\"{OTHER}\"]\n"
            ))
        };
        assert_eq!(
            two("").unwrap_err(),
            ["repos.toml:4:8: repos.b: its path is in that of a"]
        );
        assert!(two("allow_sub_repos = true\n").is_ok());
    }

    #[test]
    fn sizes_are_those_of_a_server() {
        for (text, bytes) in [
            ("10M", 10_000_000),
            ("0.5g", 500_000_000),
            ("12345678", 12_345_678),
            ("1P", 1_000_000_000_000_000),
        ] {
            assert_eq!(quota_bytes(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "G",
            "1 G",
            "-1",
            "1GB",
            "1.G",
            ".5G",
            "1e3",
            "99999999P",
            "1.0000000000000000G",
            "ä",
        ] {
            assert_eq!(quota_bytes(text), None, "{text}");
        }
    }
}
