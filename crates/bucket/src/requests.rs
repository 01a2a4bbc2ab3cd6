//! The few requests there are, each waited for: the runtime they run in belongs to one connection.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use ironborg_storage::{Spool, StorageError, Version};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinError, JoinSet};

use crate::known::{Listing, Object};
use crate::upload::{PART_LEN, PARTS_IN_FLIGHT};
use crate::{BucketUrl, Scheme};

/// Tells what one process has written from what another one has, where the answer to a request was lost.
const MARK: &str = "writer";

/// A store, where the objects are in it, and what runs its requests.
#[derive(Clone)]
pub(crate) struct Requests {
    store: Arc<dyn ObjectStore>,
    url: Arc<BucketUrl>,
    runtime: Arc<Runtime>,
    /// The store knows no conditions: they are looked after here, as well as that can be done.
    is_unprotected: Arc<AtomicBool>,
}

/// What is known of an object.
pub(crate) struct Known {
    pub(crate) size: u64,
    pub(crate) version: Version,
    pub(crate) modified: SystemTime,
}

/// Under which condition an object is written.
pub(crate) enum Condition<'a> {
    /// In any case.
    Always,
    /// There is none.
    New,
    /// It is still this one.
    Same(&'a Version),
}

impl Requests {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, url: BucketUrl, runtime: Arc<Runtime>) -> Self {
        Self {
            store,
            url: Arc::new(url),
            runtime,
            is_unprotected: Arc::default(),
        }
    }

    /// Looks after conditions here from now on, between two requests and so without any certainty.
    pub(crate) fn do_without_conditions(&self) {
        self.is_unprotected.store(true, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }

    /// What messages call an object.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.url.below(name).to_string())
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn key(&self, name: &str) -> Path {
        let parts = self.url.prefix.split('/').chain(name.split('/'));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// An error of the store as one of an operation on a file.
    pub(crate) fn failed(&self, op: &'static str, name: &str, error: Error) -> StorageError {
        let source = match error {
            Error::NotFound { .. } => io::Error::from_raw_os_error(libc::ENOENT),
            Error::AlreadyExists { .. } | Error::Precondition { .. } => {
                io::Error::from_raw_os_error(libc::EEXIST)
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                io::Error::new(io::ErrorKind::PermissionDenied, one_line(&error))
            }
            error => io::Error::other(format!("{op}: {}", one_line(&error))),
        };
        StorageError::io(op, self.path(name), source)
    }

    pub(crate) fn head(&self, name: &str) -> Result<Option<Known>, StorageError> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.wait(self.store.get_opts(&self.key(name), options)) {
            Ok(result) => Ok(Some(Known {
                size: result.meta.size,
                version: self.version_of(&result.meta),
                modified: result.meta.last_modified.into(),
            })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("head", name, error)),
        }
    }

    /// A whole object and its version.
    pub(crate) fn get(&self, name: &str) -> Result<(Bytes, Version), StorageError> {
        let key = self.key(name);
        let got = self.wait(async {
            let result = self.store.get_opts(&key, GetOptions::default()).await?;
            let version = self.version_of(&result.meta);
            let size = result.meta.size;
            let bytes = result.bytes().await?;
            Ok((bytes, size, version))
        });
        let (bytes, size, version) = got.map_err(|error| self.failed("get", name, error))?;
        if bytes.len() as u64 != size {
            return Err(self.cut_off(name, bytes.len() as u64, size));
        }
        Ok((bytes, version))
    }

    /// The bytes of a range, fewer at the end of the object.
    pub(crate) async fn range(
        &self,
        name: String,
        offset: u64,
        len: u64,
    ) -> Result<Bytes, StorageError> {
        let key = self.key(&name);
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset..offset + len)),
            ..GetOptions::default()
        };
        let got = async {
            let result = self.store.get_opts(&key, options).await?;
            let expected = result.range.end - result.range.start;
            let start = result.range.start;
            let bytes = result.bytes().await?;
            Ok((start, expected, bytes))
        };
        match got.await {
            Ok((start, expected, bytes)) if start == offset && bytes.len() as u64 == expected => {
                Ok(bytes)
            }
            Ok((start, _, bytes)) => {
                let text = format!(
                    "get: {} bytes from {start} on came, asked for were {len} from {offset} on",
                    bytes.len()
                );
                Err(StorageError::io(
                    "get",
                    self.path(&name),
                    io::Error::other(text),
                ))
            }
            Err(error) => match self.size_of(&key).await {
                // To ask for what is behind the end is no error of a file.
                Some(size) if size <= offset => Ok(Bytes::new()),
                _ => Err(self.failed("get", &name, error)),
            },
        }
    }

    async fn size_of(&self, key: &Path) -> Option<u64> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let result = self.store.get_opts(key, options).await.ok()?;
        Some(result.meta.size)
    }

    /// Hands over a whole object piece by piece, and gives its version.
    pub(crate) fn stream(
        &self,
        name: &str,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Object, StorageError> {
        let key = self.key(name);
        let got = self.wait(async {
            let result = self.store.get_opts(&key, GetOptions::default()).await?;
            let object = self.object(&result.meta);
            let mut pieces = result.into_stream();
            let mut len = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                len += piece.len() as u64;
                take(&piece);
            }
            Ok((object, len))
        });
        let (object, len) = got.map_err(|error| self.failed("get", name, error))?;
        if len != object.size {
            return Err(self.cut_off(name, len, object.size));
        }
        Ok(object)
    }

    fn cut_off(&self, name: &str, len: u64, size: u64) -> StorageError {
        let text = format!("get: {len} bytes came of {size}");
        StorageError::io("get", self.path(name), io::Error::other(text))
    }

    /// What is in a directory, one level deep.
    pub(crate) fn list(&self, dir: &str) -> Result<Listing, StorageError> {
        let key = self.key(dir);
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let listed = self.wait(self.store.list_with_delimiter(prefix));
        let listed = listed.map_err(|error| self.failed("list", dir, error))?;
        // Some stores list a directory that was emptied, or was made by hand, as an object in itself.
        let dirs = listed.common_prefixes.iter().filter(|path| **path != key);
        let dirs = dirs.filter_map(|path| Some((path.filename()?.to_owned(), None)));
        let files = listed.objects.iter().filter(|meta| meta.location != key);
        let files = files.filter_map(|meta| {
            Some((
                meta.location.filename()?.to_owned(),
                Some(self.object(meta)),
            ))
        });
        Ok(dirs.chain(files).collect())
    }

    /// Whether anything is below a directory.
    pub(crate) fn has_any(&self, dir: &str) -> Result<bool, StorageError> {
        let key = self.key(dir);
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let first = self.wait(async { self.store.list(prefix).next().await });
        match first {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(self.failed("list", dir, error)),
        }
    }

    /// Writes a small object; the new version, or `None` if the condition does not hold.
    ///
    /// Where an answer is lost and the request made again, the object that is in the way may be our own: a mark tells.
    pub(crate) fn put(
        &self,
        name: &str,
        content: Bytes,
        condition: &Condition<'_>,
    ) -> Result<Option<Version>, StorageError> {
        self.wait(self.put_marked(name, content, condition))
    }

    pub(crate) async fn put_marked(
        &self,
        name: &str,
        content: Bytes,
        condition: &Condition<'_>,
    ) -> Result<Option<Version>, StorageError> {
        let key = self.key(name);
        let mark = random_word()?;
        let mut condition = condition;
        if self.is_unprotected.load(Ordering::Relaxed) {
            let holds = self.holds(&key, condition).await;
            if !holds.map_err(|error| self.failed("head", name, error))? {
                return Ok(None);
            }
            condition = &Condition::Always;
        }
        let mode = match condition {
            Condition::Always => PutMode::Overwrite,
            Condition::New => PutMode::Create,
            Condition::Same(version) => PutMode::Update(self.update(version)),
        };
        let options = PutOptions {
            mode,
            attributes: marked(&mark),
            ..PutOptions::default()
        };
        let error = match self
            .store
            .put_opts(&key, PutPayload::from(content), options)
            .await
        {
            Ok(result) => return Ok(Some(self.version(result.e_tag, result.version))),
            Err(error) => error,
        };
        let is_refused = matches!(
            error,
            Error::AlreadyExists { .. } | Error::Precondition { .. }
        );
        if matches!(condition, Condition::Always) {
            return Err(self.failed("put", name, error));
        }
        match self.version_marked(&key, &mark).await {
            Ok(Some(version)) => Ok(Some(version)),
            Ok(None) if is_refused => Ok(None),
            _ => Err(self.failed("put", name, error)),
        }
    }

    /// Whether a condition holds right now.
    async fn holds(&self, key: &Path, condition: &Condition<'_>) -> Result<bool, Error> {
        if matches!(condition, Condition::Always) {
            return Ok(true);
        }
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let there = match self.store.get_opts(key, options).await {
            Ok(result) => Some(self.version_of(&result.meta)),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(match condition {
            Condition::Same(version) => there.as_ref() == Some(version),
            _ => there.is_none(),
        })
    }

    /// Versions as the store counts them: Google's by numbers, the others' by tags.
    fn version(&self, e_tag: Option<String>, number: Option<String>) -> Version {
        let version = match self.url.scheme {
            Scheme::Gs => number,
            Scheme::S3 | Scheme::Az => e_tag,
        };
        Version(version.unwrap_or_default())
    }

    fn version_of(&self, meta: &ObjectMeta) -> Version {
        self.version(meta.e_tag.clone(), meta.version.clone())
    }

    fn object(&self, meta: &ObjectMeta) -> Object {
        Object {
            size: meta.size,
            version: self.version_of(meta),
        }
    }

    fn update(&self, Version(version): &Version) -> UpdateVersion {
        let version = Some(version.clone());
        match self.url.scheme {
            Scheme::Gs => UpdateVersion {
                e_tag: None,
                version,
            },
            Scheme::S3 | Scheme::Az => UpdateVersion {
                e_tag: version,
                version: None,
            },
        }
    }

    async fn version_marked(&self, key: &Path, mark: &str) -> Result<Option<Version>, Error> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let result = match self.store.get_opts(key, options).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            result => result?,
        };
        let there = result.attributes.get(&Attribute::Metadata(MARK.into()));
        let is_ours = there.is_some_and(|there| there.as_ref() == mark);
        Ok(is_ours.then(|| self.version_of(&result.meta)))
    }

    /// Begins an object that is sent in parts; also the mark it will bear.
    pub(crate) async fn begin_parts(
        &self,
        name: &str,
    ) -> Result<(String, Box<dyn MultipartUpload>), StorageError> {
        let key = self.key(name);
        let mark = random_word()?;
        let options = PutMultipartOptions {
            attributes: marked(&mark),
            ..PutMultipartOptions::default()
        };
        let begun = self.store.put_multipart_opts(&key, options).await;
        let upload = begun.map_err(|error| self.failed("upload", name, error))?;
        Ok((mark, upload))
    }

    /// Makes an object of the parts that have arrived. Where an answer is lost there is nothing left to complete when it
    /// is asked for again: the mark tells.
    pub(crate) async fn complete(
        &self,
        name: &str,
        mark: &str,
        upload: &mut dyn MultipartUpload,
    ) -> Result<Version, Error> {
        match upload.complete().await {
            Ok(result) => Ok(self.version(result.e_tag, result.version)),
            Err(error) => match self.version_marked(&self.key(name), mark).await {
                Ok(Some(version)) => Ok(version),
                _ => Err(error),
            },
        }
    }

    /// Writes a large object from a file, in parts, in place of whatever there is.
    pub(crate) fn put_spooled(&self, name: &str, spool: &Spool) -> Result<Version, StorageError> {
        let (mark, mut upload) = self.wait(self.begin_parts(name))?;
        let sent = self.send_parts_of(name, spool, &mut *upload);
        let done = sent.and_then(|()| {
            let completed = self.wait(self.complete(name, &mark, &mut *upload));
            completed.map_err(|error| self.failed("upload", name, error))
        });
        match done {
            Ok(version) => Ok(version),
            Err(error) => {
                // What is left of it costs until the store's own rules remove it.
                let _ = self.wait(upload.abort());
                Err(error)
            }
        }
    }

    fn send_parts_of(
        &self,
        name: &str,
        spool: &Spool,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), StorageError> {
        let broken =
            |error: JoinError| StorageError::io("upload", self.path(name), io::Error::other(error));
        let mut sending: JoinSet<Result<(), Error>> = JoinSet::new();
        let mut offset = 0;
        loop {
            let len = (spool.len() - offset).min(PART_LEN as u64);
            if sending.len() >= PARTS_IN_FLIGHT || len == 0 {
                match self.wait(sending.join_next()) {
                    Some(sent) => sent
                        .map_err(broken)?
                        .map_err(|error| self.failed("upload", name, error))?,
                    None => return Ok(()),
                }
            }
            if len > 0 {
                let mut part = vec![0; usize::try_from(len).unwrap_or(PART_LEN)];
                spool.read_exact_at(offset, &mut part)?;
                offset += len;
                sending.spawn_on(upload.put_part(PutPayload::from(part)), self.handle());
            }
        }
    }

    /// Removes an object; it is an error if there is none where the store says so.
    pub(crate) fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        let keys: Vec<_> = names.iter().map(|name| Ok(self.key(name))).collect();
        self.wait(async {
            let mut deleted = self
                .store
                .delete_stream(futures_util::stream::iter(keys).boxed());
            while let Some(one) = deleted.next().await {
                match one {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .map_err(|error| self.failed("delete", names.first().map_or("", String::as_str), error))
    }

    /// The names of all objects below a directory, relative to the root.
    pub(crate) fn all_below(&self, dir: &str) -> Result<Vec<String>, StorageError> {
        let (key, root) = (self.key(dir), self.key(""));
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let found: Vec<_> = self.wait(self.store.list(prefix).collect());
        let mut names = Vec::with_capacity(found.len());
        for object in found {
            let object = object.map_err(|error| self.failed("list", dir, error))?;
            if let Some(parts) = object.location.prefix_match(&root) {
                let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
                names.push(parts.join("/"));
            }
        }
        Ok(names)
    }

    /// Copies an object within the store; `false` if there is one of the new name.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<bool, StorageError> {
        let options = CopyOptions::new().with_mode(CopyMode::Overwrite);
        if self.head(to)?.is_some() {
            return Ok(false);
        }
        let copied = self.wait(
            self.store
                .copy_opts(&self.key(from), &self.key(to), options),
        );
        copied
            .map(|()| true)
            .map_err(|error| self.failed("copy", from, error))
    }
}

fn marked(mark: &str) -> Attributes {
    Attributes::from_iter([(Attribute::Metadata(MARK.into()), mark.to_owned())])
}

/// 32 hexadecimal digits nobody else has.
pub(crate) fn random_word() -> Result<String, StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| StorageError::io("read", "/dev/urandom", io::Error::other(e)))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// What an error says, and what is behind it, without line breaks.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
