//! Where repositories are, as far as a configuration has to know.

use super::document::shorten;
use super::keys::NAME_LEN_MAX;

/// A location in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location<'a> {
    /// In the file system: an absolute path.
    Local(&'a str),
    /// On another host.
    Remote {
        /// The host.
        host: &'a str,
        /// The path there.
        path: &'a str,
    },
    /// On an object store.
    Store {
        /// The bucket.
        bucket: &'a str,
        /// What is below it, without a slash before; may be empty.
        prefix: &'a str,
    },
}

/// What locations on object stores begin with.
const STORES: [&str; 3] = ["s3://", "gs://", "az://"];

impl<'a> Location<'a> {
    /// Takes a location apart: `ssh://user@host:port/path`, `user@host:path`, `file:///path`, `/path`, `s3://bucket/prefix`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let invalid = |why: &str| Err(format!("\"{}\": {why}", shorten(text)));
        if text.contains("::") && !text.contains('[') {
            return invalid("a repository is wanted, not an archive of it");
        }
        if text.contains(char::is_control) {
            return invalid("a location must be one line");
        }
        let location = if let Some(rest) = text.strip_prefix("ssh://") {
            let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Self::Remote {
                host: host_of(server),
                path,
            }
        } else if let Some(rest) = STORES.iter().find_map(|store| text.strip_prefix(store)) {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.contains([':', '@']) {
                return invalid("keys are no part of a location, they are in the environment");
            }
            Self::Store { bucket, prefix }
        } else if let Some(path) = text.strip_prefix("file://") {
            Self::Local(path)
        } else if text.starts_with('/') {
            Self::Local(text)
        } else if let Some((server, path)) = split_scp(text) {
            if path.starts_with("//") {
                return invalid("repositories are in a directory, or reached by ssh://");
            }
            Self::Remote {
                host: host_of(server),
                path,
            }
        } else {
            Self::Local(text)
        };
        match location {
            Self::Local(path) if !path.starts_with('/') => {
                invalid("the path of a repository has to be absolute")
            }
            Self::Remote { host: "", .. } => invalid("the host is missing"),
            Self::Remote { path: "", .. } => invalid("the path on the host is missing"),
            Self::Store { bucket: "", .. } => invalid("the bucket is missing"),
            location => Ok(location),
        }
    }

    /// Whether it is reached through a network.
    pub fn is_remote(self) -> bool {
        !matches!(self, Self::Local(_))
    }

    /// A short name: the last part of the path, or else the host.
    pub fn label(self) -> String {
        let (path, host) = match self {
            Self::Local(path) => (path, "local"),
            Self::Remote { host, path } => (path, host),
            Self::Store { bucket, prefix } => (prefix, bucket),
        };
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        let label = plain(last).or_else(|| plain(host));
        label.unwrap_or_else(|| UNNAMED.to_owned())
    }

    /// The name of the host, fit for a label.
    pub fn host_label(self) -> String {
        match self {
            Self::Local(_) => "local".to_owned(),
            Self::Remote { host, .. } | Self::Store { bucket: host, .. } => {
                plain(host).unwrap_or_else(|| UNNAMED.to_owned())
            }
        }
    }
}

/// `host:path`, with the host possibly an address in brackets.
fn split_scp(text: &str) -> Option<(&str, &str)> {
    let after = text.find(']').map_or(0, |end| end + 1);
    let (head, tail) = text.split_at_checked(after)?;
    let colon = tail.find(':')?;
    if head.contains('/') || tail.get(..colon)?.contains('/') {
        return None;
    }
    let colon = after + colon;
    Some((text.get(..colon)?, text.get(colon + 1..)?))
}

/// The host in `user@host:port`.
fn host_of(server: &str) -> &str {
    let host = server.rsplit_once('@').map_or(server, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
        None => host.split_once(':').map_or(host, |(host, _)| host),
    }
}

/// What is called so has no letter or digit in its name.
const UNNAMED: &str = "repository";

/// A text with only what names have; nothing if nothing is left.
fn plain(text: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let replaced = text.chars().map(|c| if good(c) { c } else { '-' });
    let replaced: String = replaced.collect();
    let trimmed = replaced.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let cut: String = trimmed.chars().take(NAME_LEN_MAX / 2).collect();
    (!cut.is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_taken_apart() {
        let remote = |host, path| Ok(Location::Remote { host, path });
        let check = |text, expected| assert_eq!(Location::parse(text), expected, "{text}");
        check(
            "ssh://user@example.com:23/path/to/home",
            remote("example.com", "/path/to/home"),
        );
        check(
            "ssh://user@example.com//media/backup",
            remote("example.com", "//media/backup"),
        );
        check("ssh://[::1]:22/x", remote("::1", "/x"));
        check(
            "user3@arep.repo.example.com:repo",
            remote("arep.repo.example.com", "repo"),
        );
        check("[::1]:repo", remote("::1", "repo"));
        check("host:/a:b", remote("host", "/a:b"));
        check("/srv/a:b", Ok(Location::Local("/srv/a:b")));
        check("file:///srv/a", Ok(Location::Local("/srv/a")));
        let store = |bucket, prefix| Ok(Location::Store { bucket, prefix });
        check("s3://bucket/host/a", store("bucket", "host/a"));
        check("gs://bucket", store("bucket", ""));
        for bad in [
            "",
            "s3://",
            "s3://key:secret@bucket/a",
            "relative/path",
            "ssh://host",
            "ssh:///path",
            "sftp://host/path",
            "/srv/repo::archive",
            "host:",
            "a\nb:c",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_names() {
        let check =
            |text, label: &str| assert_eq!(Location::parse(text).unwrap().label(), label, "{text}");
        check("ssh://u@h/backups/home-danbst/", "home-danbst");
        check("s3://bucket/host/a", "a");
        check("az://container", "container");
        check("h:~", "h");
        check("/", "local");
        check("/srv/Backup von mir", "Backup-von-mir");
        check("/srv/{hostname}", "hostname");
    }
}
