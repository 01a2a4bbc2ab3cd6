//! Where a repository or an archive is: `[proto][user@]host...path[::archive]`.
//!
//! Source: Borg 1.4, `Location`; `docs/compat.md`, "Locations".

use ironborg_bucket::BucketUrl;
use ironborg_types::text;

use crate::context::Access;
use crate::placeholders::{ExpandError, Placeholders};

/// A parsed location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Local, through ssh, or on an object store.
    pub protocol: Protocol,
    /// Path of the repository, normalised.
    pub path: Vec<u8>,
    /// Archive, if one is named.
    pub archive: Option<Vec<u8>>,
    /// The whole location with its placeholders expanded.
    pub processed: Vec<u8>,
}

/// How the repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// In the file system.
    File,
    /// On another host.
    Ssh {
        /// User on that host.
        user: Option<Vec<u8>>,
        /// The host as written; IPv6 addresses in brackets.
        host: Vec<u8>,
        /// Port, if given and not 0.
        port: Option<u32>,
    },
    /// On an object store.
    Bucket(BucketUrl),
}

/// Longest name of a key file, in characters.
const KEY_FILE_STEM_LEN_MAX: usize = 100;

impl Location {
    /// Parses a location whose placeholders are expanded already; never panics.
    pub fn parse(processed: &[u8]) -> Option<Self> {
        let location = |protocol, rest: PathAndArchive<'_>| Self {
            protocol,
            path: normalise(rest.path),
            archive: rest.archive.map(<[u8]>::to_vec),
            processed: processed.to_vec(),
        };
        if let Some((url, rest)) = parse_bucket(processed) {
            return Some(Self {
                path: url.to_string().into_bytes(),
                ..location(Protocol::Bucket(url), rest)
            });
        }
        if let Some(rest) = processed.strip_prefix(b"ssh://")
            && let Some((protocol, rest)) = parse_ssh(rest)
        {
            return Some(location(protocol, rest));
        }
        if let Some(rest) = processed.strip_prefix(b"file://")
            && let Some(rest) = parse_file(rest)
        {
            return Some(location(Protocol::File, rest));
        }
        if let Some((protocol, rest)) = parse_scp(processed) {
            return Some(location(protocol, rest));
        }
        parse_plain(processed).map(|rest| location(Protocol::File, rest))
    }

    /// Expands and parses what the user typed; without a repository in it, that of `BORG_REPO` is used.
    pub(crate) fn from_argument(
        argument: &[u8],
        default_repository: Option<&[u8]>,
        placeholders: &Placeholders<'_>,
    ) -> Result<Self, ExpandError> {
        let mut processed = placeholders.expand(argument)?;
        if let Some(location) = Self::parse(&processed) {
            return Ok(location);
        }
        let archive = match processed.as_slice() {
            b"" | b"::" => Some(None),
            text => text
                .strip_prefix(b"::")
                .filter(|archive| !archive.contains(&b'/'))
                .map(|archive| Some(archive.to_vec())),
        };
        if let (Some(archive), Some(repository)) = (archive, default_repository) {
            let repository = placeholders.expand(repository)?;
            let parsed = Self::parse(&repository);
            processed = repository;
            if let Some(archive) = &archive {
                processed.extend_from_slice(b"::");
                processed.extend_from_slice(archive);
            }
            if let Some(parsed) = parsed {
                return Ok(Self {
                    archive,
                    processed,
                    ..parsed
                });
            }
        }
        let message = format!("Invalid location format: \"{}\"", text::display(&processed));
        Err(ExpandError::Value(message))
    }

    /// Whether the repository is on another host.
    pub fn is_remote(&self) -> bool {
        matches!(self.protocol, Protocol::Ssh { .. })
    }

    /// Whether the repository is a directory of this machine.
    pub fn is_local(&self) -> bool {
        self.protocol == Protocol::File
    }

    /// What is needed to replace a key that is in the repository: stock Borg shares the lock for that, but a reader of an
    /// object store has none.
    pub(crate) fn access_to_key(&self) -> Access {
        match self.protocol {
            Protocol::Bucket(_) => Access::Write,
            _ => Access::Read,
        }
    }

    /// The form used in messages and security records; a local path should be absolute already.
    pub fn canonical(&self) -> Vec<u8> {
        let Protocol::Ssh { user, host, port } = &self.protocol else {
            return self.path.clone();
        };
        let mut out = b"ssh://".to_vec();
        if let Some(user) = user {
            out.extend_from_slice(user);
            out.push(b'@');
        }
        out.extend_from_slice(host);
        if let Some(port) = port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        if self.path.starts_with(b"~") {
            out.push(b'/');
        } else if !self.path.starts_with(b"/") {
            out.extend_from_slice(b"/./");
        }
        out.extend_from_slice(&self.path);
        out
    }

    /// The name of a host without the brackets of an IPv6 address, as `ssh` wants it.
    pub(crate) fn host_name(host: &[u8]) -> &[u8] {
        strip_brackets(host)
    }

    /// The name a new key file gets: everything but word characters replaced by `_`.
    pub fn key_file_stem(&self) -> String {
        let path = words_only(&self.path);
        let mut stem = path.trim_matches('_').to_owned();
        if let Protocol::Ssh { host, .. } = &self.protocol {
            let host = words_only(strip_brackets(host));
            stem = format!("{host}__{stem}");
        }
        stem.chars().take(KEY_FILE_STEM_LEN_MAX).collect()
    }

    /// The same location with a local path made absolute below `cwd`.
    #[must_use]
    pub fn absolute(mut self, cwd: &[u8]) -> Self {
        if self.protocol == Protocol::File && !self.path.starts_with(b"/") {
            let mut path = cwd.to_vec();
            path.push(b'/');
            path.extend_from_slice(&self.path);
            self.path = path;
        }
        if self.protocol == Protocol::File {
            self.path = normalise_path(&self.path);
        }
        self
    }

    /// The expanded location without its archive, for messages.
    pub fn repository_text(&self) -> String {
        let end = self.processed.windows(2).position(|pair| pair == b"::");
        text::display(&self.processed[..end.unwrap_or(self.processed.len())]).into_owned()
    }
}

fn strip_brackets(host: &[u8]) -> &[u8] {
    let host = match host.iter().position(|&byte| byte != b'[') {
        Some(start) => &host[start..],
        None => &[],
    };
    match host.iter().rposition(|&byte| byte != b']') {
        Some(end) => &host[..=end],
        None => &[],
    }
}

fn words_only(bytes: &[u8]) -> String {
    let text = text::decode(bytes, |_, out| out.push('?'));
    text.chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[derive(Debug, Clone, Copy)]
struct PathAndArchive<'a> {
    path: &'a [u8],
    archive: Option<&'a [u8]>,
}

/// Splits at the first `::` at or after `from`; a path holds at least one byte before it.
fn split_archive(text: &[u8], from: usize) -> Option<PathAndArchive<'_>> {
    let tail = text.get(from..)?;
    let Some(at) = tail.windows(2).position(|pair| pair == b"::") else {
        return (!tail.is_empty()).then_some(PathAndArchive {
            path: text,
            archive: None,
        });
    };
    let archive = &tail[at + 2..];
    let valid = at > 0 && !archive.is_empty() && !archive.contains(&b'/');
    valid.then_some(PathAndArchive {
        path: &text[..from + at],
        archive: Some(archive),
    })
}

/// `[user@]host[:port]/path[::archive]`
fn parse_ssh(text: &[u8]) -> Option<(Protocol, PathAndArchive<'_>)> {
    let candidates = [split_user(text), Some((None, text))];
    candidates.into_iter().flatten().find_map(|(user, rest)| {
        let (host, mut rest) = split_host(rest)?;
        let mut port = None;
        if let Some(after) = rest.strip_prefix(b":") {
            let digits = after
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let number = std::str::from_utf8(&after[..digits])
                .ok()?
                .parse::<u32>()
                .ok()?;
            port = (number != 0).then_some(number);
            rest = &after[digits..];
        }
        if !rest.starts_with(b"/") {
            return None;
        }
        let protocol = Protocol::Ssh {
            user: user.map(<[u8]>::to_vec),
            host: host.to_vec(),
            port,
        };
        Some((protocol, split_archive(rest, 1)?))
    })
}

/// `s3://bucket[/prefix][::archive]`
fn parse_bucket(text: &[u8]) -> Option<(BucketUrl, PathAndArchive<'_>)> {
    let scheme = text.windows(3).position(|three| three == b"://")?;
    let rest = split_archive(text, scheme + 3)?;
    let url = BucketUrl::parse(std::str::from_utf8(rest.path).ok()?)?;
    Some((url, rest))
}

/// `[server]/path[::archive]`; the server's name counts as part of the path.
fn parse_file(text: &[u8]) -> Option<PathAndArchive<'_>> {
    let slash = text.iter().position(|&byte| byte == b'/')?;
    split_archive(text, slash + 1)
}

/// `[user@]host:path[::archive]`
fn parse_scp(text: &[u8]) -> Option<(Protocol, PathAndArchive<'_>)> {
    let candidates = [split_user(text), Some((None, text))];
    candidates.into_iter().flatten().find_map(|(user, rest)| {
        let (host, rest) = split_host(rest)?;
        let path = parse_plain(rest.strip_prefix(b":")?)?;
        let protocol = Protocol::Ssh {
            user: user.map(<[u8]>::to_vec),
            host: host.to_vec(),
            port: None,
        };
        Some((protocol, path))
    })
}

/// `path[::archive]`
fn parse_plain(text: &[u8]) -> Option<PathAndArchive<'_>> {
    let refused = [&b":"[..], b"//", b"ssh://"]
        .iter()
        .any(|start| text.starts_with(start));
    if refused {
        None
    } else {
        split_archive(text, 0)
    }
}

/// `user@rest`; a user holds no `@`, `:` or `/`.
fn split_user(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let at = text
        .iter()
        .position(|byte| matches!(byte, b'@' | b':' | b'/'))?;
    (at > 0 && text[at] == b'@').then(|| (Some(&text[..at]), &text[at + 1..]))
}

/// A host: no `:` or `/`, or an IPv6 address in brackets.
fn split_host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(address) = text.strip_prefix(b"[") {
        let end = address
            .iter()
            .position(|byte| !(byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')))?;
        return (end > 0 && address[end] == b']').then(|| text.split_at(end + 2));
    }
    let end = text
        .iter()
        .position(|byte| matches!(byte, b':' | b'/'))
        .unwrap_or(text.len());
    (end > 0 && text[end - 1] != b']').then(|| text.split_at(end))
}

/// Normalises a path but keeps a leading `/./`, which means "below the home directory of the server".
fn normalise(path: &[u8]) -> Vec<u8> {
    let normal = normalise_path(path);
    if path.starts_with(b"/./") {
        [b"/.".as_slice(), &normal].concat()
    } else {
        normal
    }
}

/// A path without empty, `.` and (as far as they cancel out) `..` components.
///
/// Source: Python's `posixpath.normpath`: two leading slashes stay, three or more become one.
pub(crate) fn normalise_path(path: &[u8]) -> Vec<u8> {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    let root: &[u8] = match slashes {
        0 => b"",
        2 => b"//",
        _ => b"/",
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let joined = [root, &parts.join(&b'/')].concat();
    if joined.is_empty() {
        b".".to_vec()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::IdentityVariables;
    use crate::identity::HostIdentity;
    use proptest::prelude::*;

    #[test]
    fn locations_are_parsed_as_borg_parses_them() {
        let identity = HostIdentity::new(IdentityVariables::default());
        let placeholders = Placeholders::new(&identity);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for case in crate::test_vectors::strings()["locations"]
            .as_array()
            .unwrap()
        {
            let repo = case["BORG_REPO"].as_str().or(case["env"].as_str());
            let parsed = Location::from_argument(
                case["in"].as_str().unwrap().as_bytes(),
                repo.map(str::as_bytes),
                &placeholders,
            );
            let Some(path) = case["path"].as_str() else {
                assert!(parsed.is_err(), "{case}");
                continue;
            };
            let parsed = parsed.unwrap_or_else(|e| panic!("{e:?} for {case}"));
            assert_eq!(text(&parsed.path), path, "{case}");
            assert_eq!(
                parsed.archive.as_deref().map(text).as_deref(),
                case["archive"].as_str(),
                "{case}"
            );
            assert_eq!(
                text(&parsed.canonical()),
                case["canonical_path"].as_str().unwrap(),
                "{case}"
            );
            assert_eq!(
                parsed.key_file_stem(),
                case["keyfile_name"].as_str().unwrap(),
                "{case}"
            );
            match &parsed.protocol {
                Protocol::File => assert_eq!(case["proto"], "file", "{case}"),
                Protocol::Ssh { user, host, port } => {
                    assert_eq!(case["proto"], "ssh", "{case}");
                    assert_eq!(
                        user.as_deref().map(text).as_deref(),
                        case["user"].as_str(),
                        "{case}"
                    );
                    assert_eq!(
                        text(strip_brackets(host)),
                        case["host"].as_str().unwrap(),
                        "{case}"
                    );
                    assert_eq!(port.map(u64::from), case["port"].as_u64(), "{case}");
                }
                Protocol::Bucket(_) => panic!("stock Borg knows no buckets: {case}"),
            }
        }
    }

    #[test]
    fn buckets_are_named_by_their_scheme() {
        let location = Location::parse(b"s3://bucket/some//where::archive").unwrap();
        assert_eq!(location.canonical(), b"s3://bucket/some/where");
        assert_eq!(location.archive.as_deref(), Some(&b"archive"[..]));
        assert_eq!(location.key_file_stem(), "s3___bucket_some_where");
        assert!(matches!(location.protocol, Protocol::Bucket(_)));
        assert_eq!(location.clone().absolute(b"/home/me"), location);
        // No credentials in locations: they are shown everywhere.
        let location = Location::parse(b"s3://key:secret@bucket/a");
        assert!(location.is_none_or(|location| !matches!(location.protocol, Protocol::Bucket(_))));
    }

    #[test]
    fn a_local_path_becomes_absolute() {
        let location = Location::parse(b"../some/./path::a")
            .unwrap()
            .absolute(b"/home/me");
        assert_eq!(location.canonical(), b"/home/some/path");
        assert_eq!(location.archive.as_deref(), Some(&b"a"[..]));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Location::parse(&text).map(|l| (l.canonical(), l.key_file_stem(), l.repository_text()));
        }

        #[test]
        fn neither_do_colons_slashes_and_brackets(text in "(ssh://|file://)?[a@:/\\[\\].~:]{0,20}") {
            let _ = Location::parse(text.as_bytes()).map(|l| l.absolute(b"/").canonical());
        }
    }
}
