//! Where a repository on an object store is: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`.

use std::fmt;

/// Which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Amazon's, which most other stores speak too.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
}

impl Scheme {
    /// As it is written before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// A bucket (Azure: a container) and what the names of a repository's objects begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    /// The protocol.
    pub scheme: Scheme,
    /// Its name.
    pub bucket: String,
    /// Without a slash at either end; empty for the whole bucket.
    pub prefix: String,
}

impl BucketUrl {
    /// Reads `SCHEME://BUCKET[/PREFIX]`; `None` if it is not such a location. Slashes too many do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "s3" => Scheme::S3,
            "gs" => Scheme::Gs,
            "az" => Scheme::Az,
            _ => return None,
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        let is_odd = |part: &&str| matches!(*part, "." | "..");
        if bucket.is_empty() || bucket.contains([':', '@']) || parts.iter().any(is_odd) {
            return None;
        }
        Some(Self {
            scheme,
            bucket: bucket.to_owned(),
            prefix: parts.join("/"),
        })
    }

    /// What this is in, from the next on up to the whole bucket.
    pub fn above(&self) -> impl Iterator<Item = Self> + use<> {
        let up = |prefix: &str| {
            let end = prefix.rfind('/').unwrap_or(0);
            (!prefix.is_empty()).then(|| prefix[..end].to_owned())
        };
        let prefixes = std::iter::successors(up(&self.prefix), move |prefix| up(prefix));
        let url = self.clone();
        prefixes.map(move |prefix| Self {
            prefix,
            ..url.clone()
        })
    }

    /// The same bucket, further down.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let parts = [self.prefix.as_str(), path.trim_matches('/')];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self {
            prefix: parts.join("/"),
            ..self.clone()
        }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_shown() {
        let shown = |text: &str| BucketUrl::parse(text).map(|url| url.to_string());
        for (text, expected) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("gs://bucket//a/b/", "gs://bucket/a/b"),
            ("az://container/host one", "az://container/host one"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "s3:/bucket",
            "s3://",
            "s3:///a",
            "ssh://host/path",
            "/s3://b",
            "s3://b/../a",
            "s3://key:secret@b/a",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
        let root = BucketUrl::parse("s3://bucket").unwrap();
        assert_eq!(root.below("/a/").below("b").to_string(), "s3://bucket/a/b");
        let above = root.below("a/b/c").above().map(|url| url.to_string());
        let above: Vec<String> = above.collect();
        assert_eq!(above, ["s3://bucket/a/b", "s3://bucket/a", "s3://bucket"]);
        assert_eq!(root.above().count(), 0);
    }
}
