//! Digests of index, hints and cache files, and the file that holds them.
//!
//! The digests guard against damage, not against attackers. Layout: docs/format.md, "Integrity data".

use std::fmt::Write as _;

use sha2::{Digest, Sha512};
use xxhash_rust::xxh64::Xxh64;

use crate::msgpack::{self, MsgpackError, Reader};

/// Version of the integrity file.
const VERSION: i64 = 2;
/// Name of the digest over a whole file.
pub const FINAL: &str = "final";
/// Name of the digest over the first bytes of an index.
pub const HASH_HEADER: &str = "HashHeader";

/// Why a file is not taken for what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// The integrity data themselves cannot be understood.
    #[error("Could not parse integrity data: {0}")]
    Unparsable(String),
    /// A digest differs.
    #[error("digest {0:?} differs")]
    Mismatch(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Xxh64,
    Sha512,
}

enum Hasher {
    Xxh64(Box<Xxh64>),
    Sha512(Box<Sha512>),
}

impl Hasher {
    fn new(algorithm: Algorithm, filename: &str) -> Self {
        let mut hasher = match algorithm {
            Algorithm::Xxh64 => Self::Xxh64(Box::new(Xxh64::new(0))),
            Algorithm::Sha512 => Self::Sha512(Box::default()),
        };
        hasher.update(format!("{:10}", filename.len()).as_bytes());
        hasher.update(filename.as_bytes());
        hasher
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Xxh64(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
        }
    }

    /// Mixes in the end of a part and returns the digest of everything so far.
    fn end_part(&mut self, name: &str, position: u64) -> String {
        self.update(format!("{:10}{name}{position}", name.len()).as_bytes());
        match self {
            Self::Xxh64(state) => format!("{:016x}", state.digest()),
            Self::Sha512(state) => {
                let mut digest = String::with_capacity(128);
                for byte in state.clone().finalize() {
                    write!(digest, "{byte:02x}").expect("a String takes all that is written");
                }
                digest
            }
        }
    }
}

/// The integrity data of a file, as Borg keeps them: a JSON text.
///
/// `filename` is the name without directories, such as `index.17`; `content` the pieces of the file.
/// With `has_header` the first piece is the header of an index and gets its own digest, [`HASH_HEADER`].
pub fn integrity_data(filename: &str, content: &[&[u8]], has_header: bool) -> String {
    let mut writer = IntegrityWriter::new(filename);
    for (i, piece) in content.iter().enumerate() {
        writer.update(piece);
        if has_header && i == 0 {
            writer.end_header();
        }
    }
    writer.finish()
}

/// Makes the integrity data of a file that is handed in piece by piece.
pub struct IntegrityWriter {
    hasher: Hasher,
    position: u64,
    /// Digests of the parts so far, as they will be in the text.
    digests: String,
}

impl IntegrityWriter {
    /// For the file of this name, without directories.
    pub fn new(filename: &str) -> Self {
        Self {
            hasher: Hasher::new(Algorithm::Xxh64, filename),
            position: 0,
            digests: String::new(),
        }
    }

    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.position += bytes.len() as u64;
    }

    /// What came so far is the header of an index, and gets its own digest, [`HASH_HEADER`].
    pub fn end_header(&mut self) {
        let digest = self.hasher.end_part(HASH_HEADER, self.position);
        self.digests = format!("\"{HASH_HEADER}\": \"{digest}\", ");
    }

    /// The end of the file; gives the JSON text.
    pub fn finish(mut self) -> String {
        let digest = self.hasher.end_part(FINAL, self.position);
        let digests = self.digests;
        format!("{{\"algorithm\": \"XXH64\", \"digests\": {{{digests}\"{FINAL}\": \"{digest}\"}}}}")
    }
}

/// Checks a file against its integrity data.
///
/// `header_len` is the length of the part [`HASH_HEADER`], for files that have it.
/// `Ok(Some(algorithm))` means that nothing could be checked because nobody knows the algorithm.
pub fn verify(
    filename: &str,
    content: &[u8],
    header_len: Option<usize>,
    data: &str,
) -> Result<Option<String>, IntegrityError> {
    let mut verifier = match Known::of(filename, header_len, data)? {
        Known::Algorithm(verifier) => verifier,
        Known::Nobody(algorithm) => return Ok(Some(algorithm)),
    };
    verifier.update(content)?;
    verifier.finish()?;
    Ok(None)
}

/// Whether the algorithm of integrity data is known.
pub enum Known {
    /// It is.
    Algorithm(Verifier),
    /// It is not: nothing can be checked. Its name.
    Nobody(String),
}

/// Checks a file, which is handed in piece by piece, against its integrity data.
pub struct Verifier {
    hasher: Hasher,
    digests: serde_json::Map<String, serde_json::Value>,
    position: u64,
    /// Bytes of the header that are still to come.
    header_left: Option<usize>,
}

impl Known {
    /// Takes the integrity data; the rest is as with [`verify`].
    ///
    /// # Errors
    /// They cannot be understood.
    pub fn of(
        filename: &str,
        header_len: Option<usize>,
        data: &str,
    ) -> Result<Self, IntegrityError> {
        let json: serde_json::Value =
            serde_json::from_str(data).map_err(|e| IntegrityError::Unparsable(e.to_string()))?;
        let missing = |key: &str| IntegrityError::Unparsable(format!("'{key}'"));
        let name = json["algorithm"]
            .as_str()
            .ok_or_else(|| missing("algorithm"))?;
        let algorithm = match name {
            "XXH64" => Algorithm::Xxh64,
            "SHA512" => Algorithm::Sha512,
            other => return Ok(Self::Nobody(other.to_owned())),
        };
        let digests = json["digests"]
            .as_object()
            .ok_or_else(|| missing("digests"))?;
        if !digests.contains_key(FINAL) {
            return Err(missing(FINAL));
        }
        Ok(Self::Algorithm(Verifier {
            hasher: Hasher::new(algorithm, filename),
            digests: digests.clone(),
            position: 0,
            header_left: header_len,
        }))
    }
}

impl Verifier {
    /// The next bytes of the file.
    ///
    /// # Errors
    /// The header differs.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), IntegrityError> {
        if let Some(left) = self.header_left {
            let (header, tail) = bytes.split_at(left.min(bytes.len()));
            self.take(header);
            if header.len() < left {
                self.header_left = Some(left - header.len());
                return Ok(());
            }
            self.header_left = None;
            let digest = self.hasher.end_part(HASH_HEADER, self.position);
            self.check(HASH_HEADER, &digest)?;
            bytes = tail;
        }
        self.take(bytes);
        Ok(())
    }

    /// The end of the file.
    ///
    /// # Errors
    /// The file differs.
    pub fn finish(mut self) -> Result<(), IntegrityError> {
        if self.header_left.is_some() {
            // A file shorter than its header cannot have been written like this.
            return Err(IntegrityError::Mismatch(HASH_HEADER.to_owned()));
        }
        let digest = self.hasher.end_part(FINAL, self.position);
        self.check(FINAL, &digest)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.position += bytes.len() as u64;
    }

    fn check(&self, part: &str, found: &str) -> Result<(), IntegrityError> {
        if self.digests.get(part).and_then(|digest| digest.as_str()) == Some(found) {
            Ok(())
        } else {
            Err(IntegrityError::Mismatch(part.to_owned()))
        }
    }
}

/// What a repository's `integrity.N` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrityFile {
    /// Integrity data of `hints.N`.
    pub hints: String,
    /// Integrity data of `index.N`.
    pub index: String,
}

/// Why an integrity file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityFileError {
    /// Not the MessagePack it should be.
    #[error(transparent)]
    Msgpack(#[from] MsgpackError),
    /// A version from the future (as Python prints it): nothing is checked.
    #[error("Unknown integrity data version {0}")]
    Version(String),
    /// An entry every such file has is not there, or is not text.
    #[error("integrity data of {0} missing")]
    Missing(&'static str),
}

impl IntegrityFile {
    /// The file's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.hints.len() + self.index.len());
        msgpack::push_map_len(&mut out, 3);
        msgpack::push_raw(&mut out, b"version");
        msgpack::push_int(&mut out, VERSION);
        msgpack::push_raw(&mut out, b"hints");
        msgpack::push_raw(&mut out, self.hints.as_bytes());
        msgpack::push_raw(&mut out, b"index");
        msgpack::push_raw(&mut out, self.index.as_bytes());
        out
    }

    /// Decodes the whole file. Keys nobody knows are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, IntegrityFileError> {
        let mut reader = Reader::new(bytes);
        let (mut version, mut hints, mut index) = (None, None, None);
        for _ in 0..reader.read_map_len()? {
            match reader.read_raw()? {
                b"version" => version = Some(reader.read_i64()?),
                b"hints" => hints = Some(reader.read_raw()?),
                b"index" => index = Some(reader.read_raw()?),
                _ => {
                    reader.skip_value()?;
                }
            }
        }
        reader.finish()?;
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(IntegrityFileError::Version(other.to_string())),
            None => return Err(IntegrityFileError::Version("None".to_owned())),
        }
        let text = |data: Option<&[u8]>, name| {
            data.and_then(|bytes| std::str::from_utf8(bytes).ok())
                .map(str::to_owned)
                .ok_or(IntegrityFileError::Missing(name))
        };
        Ok(Self {
            hints: text(hints, "hints")?,
            index: text(index, "index")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashindex::{self, HashIndex};
    use proptest::prelude::*;
    use sha2::Sha256;

    fn vector(filename: &str) -> String {
        let text = include_str!("../../../testdata/vectors/integrity.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["filename"] == filename);
        case.unwrap()["integrity_data"].as_str().unwrap().to_owned()
    }

    /// The generator of the vectors: SHA-256 of label and counter.
    fn generate(label: &str, len: usize) -> Vec<u8> {
        (0_u64..)
            .flat_map(|i| Sha256::digest([label.as_bytes(), &i.to_be_bytes()].concat()))
            .take(len)
            .collect()
    }

    #[test]
    fn digests_are_the_ones_stock_borg_writes() {
        for (filename, content) in [
            ("hints.7", b"abc".to_vec()),
            ("files", Vec::new()),
            ("config", generate("ic", 1000)),
        ] {
            let expected = vector(filename);
            assert_eq!(integrity_data(filename, &[&content], false), expected);
            assert_eq!(verify(filename, &content, None, &expected), Ok(None));
            assert_eq!(
                verify("other", &content, None, &expected),
                Err(IntegrityError::Mismatch("final".into()))
            );
        }
    }

    #[test]
    fn an_index_has_a_digest_of_its_header_too() {
        let mut index = HashIndex::<8>::new();
        index.insert(&Sha256::digest("a").into(), &[1, 0, 0, 0, 2, 0, 0, 0]);
        let bytes = index.as_bytes();
        let (header, buckets) = bytes.split_at(hashindex::HEADER_LEN);
        let data = integrity_data("index.3", &[header, buckets], true);
        assert_eq!(data, vector("index.3"));
        assert_eq!(verify("index.3", bytes, Some(18), &data), Ok(None));
        let mut damaged = bytes.to_vec();
        damaged[9] ^= 1;
        assert_eq!(
            verify("index.3", &damaged, Some(18), &data),
            Err(IntegrityError::Mismatch("HashHeader".into()))
        );
        assert!(verify("index.3", &bytes[..10], Some(18), &data).is_err());
    }

    #[test]
    fn other_algorithms_are_known_or_reported() {
        let mut hasher = Hasher::new(Algorithm::Sha512, "f");
        hasher.update(b"content");
        let digest = hasher.end_part(FINAL, 7);
        let data = format!(r#"{{"algorithm": "SHA512", "digests": {{"final": "{digest}"}}}}"#);
        assert_eq!(verify("f", b"content", None, &data), Ok(None));
        assert!(verify("f", b"contenT", None, &data).is_err());
        let data = r#"{"algorithm": "MD5", "digests": {}}"#;
        assert_eq!(verify("f", b"", None, data), Ok(Some("MD5".into())));
        for data in ["", "[]", "{}", r#"{"algorithm": "XXH64", "digests": {}}"#] {
            assert!(matches!(
                verify("f", b"", None, data),
                Err(IntegrityError::Unparsable(_))
            ));
        }
    }

    #[test]
    fn an_integrity_file_survives_a_round_trip() {
        let file = IntegrityFile {
            hints: "h".repeat(40),
            index: "i".repeat(100),
        };
        assert_eq!(IntegrityFile::decode(&file.encode()), Ok(file));
        assert_eq!(
            IntegrityFile::decode(b"\x81\xa7version\x07"),
            Err(IntegrityFileError::Version("7".into()))
        );
        assert_eq!(
            IntegrityFile::decode(b"\x80"),
            Err(IntegrityFileError::Version("None".into()))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = IntegrityFile::decode(&bytes);
            let _ = verify("f", &bytes, Some(18), &String::from_utf8_lossy(&bytes));
        }
    }
}
