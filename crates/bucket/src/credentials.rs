//! Credentials and settings as the stores' own tools keep them: variables of the environment first, then the profile files
//! of `~/.aws`.

use ini::Ini;

/// Where a profile's lines are, and which variable of the environment says the same.
const CREDENTIALS: [(&str, &str); 3] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
];
const CONFIG: [(&str, &str); 2] = [
    ("region", "AWS_REGION"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
];

/// What the files say that the environment does not, as variables of it. `credentials` and `config` are the texts of
/// `~/.aws/credentials` and `~/.aws/config`; what is not there says nothing.
///
/// Keys are taken together or not at all: the half of one pair and the half of another open nothing.
pub fn profile(
    environment: &[(String, String)],
    credentials: Option<&str>,
    config: Option<&str>,
) -> Vec<(String, String)> {
    let get = |name: &str| {
        let found = environment.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let name = get("AWS_PROFILE")
        .or_else(|| get("AWS_DEFAULT_PROFILE"))
        .unwrap_or("default");
    let credentials = credentials.and_then(|text| Ini::load_from_str_noescape(text).ok());
    let config = config.and_then(|text| Ini::load_from_str_noescape(text).ok());
    let in_config = match name {
        "default" => name.to_owned(),
        _ => format!("profile {name}"),
    };
    let lookup = |ini: &Option<Ini>, section: &str, key: &str| {
        let value = ini.as_ref()?.section(Some(section))?.get(key)?;
        Some(value.to_owned())
    };
    let mut found = Vec::new();
    if get("AWS_ACCESS_KEY_ID").is_none() && get("AWS_WEB_IDENTITY_TOKEN_FILE").is_none() {
        for (key, variable) in CREDENTIALS {
            let value =
                lookup(&credentials, name, key).or_else(|| lookup(&config, &in_config, key));
            found.extend(value.map(|value| (variable.to_owned(), value)));
        }
    }
    for (key, variable) in CONFIG {
        let default = variable.replace("AWS_", "AWS_DEFAULT_");
        if get(variable).is_none() && get(&default).is_none() {
            let value = lookup(&config, &in_config, key);
            found.extend(value.map(|value| (variable.to_owned(), value)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key = a+/=#\n[other]\naws_access_key_id=B\naws_secret_access_key=b\n";
    const CONFIG: &str = "[default]\nregion = eu-central-1\n[profile other]\nregion = us-west-2\nendpoint_url = http://127.0.0.1:9000\n";

    fn pairs(environment: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned: Vec<_> = environment
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        profile(&owned, Some(CREDENTIALS), Some(CONFIG))
    }

    fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_default_profile_is_used_where_nothing_is_said() {
        let found = pairs(&[]);
        assert_eq!(value(&found, "AWS_ACCESS_KEY_ID"), Some("A"));
        assert_eq!(value(&found, "AWS_SECRET_ACCESS_KEY"), Some("a+/=#"));
        assert_eq!(value(&found, "AWS_REGION"), Some("eu-central-1"));
    }

    #[test]
    fn another_profile_is_chosen_by_its_variable() {
        let found = pairs(&[("AWS_PROFILE", "other")]);
        assert_eq!(value(&found, "AWS_ACCESS_KEY_ID"), Some("B"));
        assert_eq!(
            value(&found, "AWS_ENDPOINT_URL"),
            Some("http://127.0.0.1:9000")
        );
    }

    #[test]
    fn the_environment_wins_and_pairs_are_not_mixed() {
        let found = pairs(&[("AWS_ACCESS_KEY_ID", "C"), ("AWS_DEFAULT_REGION", "r")]);
        assert_eq!(found, []);
    }
}
