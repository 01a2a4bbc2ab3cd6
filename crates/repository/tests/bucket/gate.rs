//! A store as one process sees it: its requests can be held up, lost before or after they are done, or counted.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What becomes of the requests from some number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// They do not reach the store.
    Requests,
    /// The first one is done, but its answer is lost; the others do not reach the store.
    Answer,
}

#[derive(Debug)]
pub(crate) struct Gate {
    store: Arc<InMemory>,
    is_closed: AtomicBool,
    /// How many wait before the closed gate.
    pub(crate) held_up: AtomicU64,
    /// Requests so far.
    pub(crate) requests: AtomicU64,
    lost_from: AtomicU64,
    loss: Loss,
    /// What was asked for.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Gate {
    pub(crate) fn new(store: Arc<InMemory>) -> Arc<Self> {
        Self::losing(store, u64::MAX, Loss::Requests)
    }

    /// From request `lost_from` on, counted from 0, nothing works any more.
    pub(crate) fn losing(store: Arc<InMemory>, lost_from: u64, loss: Loss) -> Arc<Self> {
        Arc::new(Self {
            store,
            is_closed: AtomicBool::new(false),
            held_up: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            lost_from: AtomicU64::new(lost_from),
            loss,
            asked: Mutex::default(),
        })
    }

    fn note(&self, what: &str, at: Option<&Path>) {
        let name = at.map_or("", Path::as_ref);
        let name = name.trim_start_matches("some/where/");
        self.asked.lock().unwrap().push(format!("{what} {name}"));
    }

    /// Holds up what is asked for from now on.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }

    /// Lets a request pass, or not; says whether its answer comes back.
    async fn pass(&self) -> Result<bool> {
        if self.is_closed.load(Ordering::SeqCst) {
            self.held_up.fetch_add(1, Ordering::SeqCst);
            while self.is_closed.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.held_up.fetch_sub(1, Ordering::SeqCst);
        }
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let first_lost = self.lost_from.load(Ordering::SeqCst);
        if number < first_lost {
            return Ok(true);
        }
        if number == first_lost && self.loss == Loss::Answer {
            return Ok(false);
        }
        Err(lost())
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "gate",
        source: "the line is dead".into(),
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gate")
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.note("put", Some(at));
        let answers = self.pass().await?;
        let done = self.store.put_opts(at, payload, options).await?;
        if answers { Ok(done) } else { Err(lost()) }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note("parts", Some(at));
        self.pass().await?;
        self.store.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(if options.head { "head" } else { "get" }, Some(at));
        if !self.pass().await? {
            return Err(lost());
        }
        self.store.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.pass().await?;
        self.store.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.note("delete", None);
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let first_lost = self.lost_from.load(Ordering::SeqCst);
        if number < first_lost {
            return self.store.delete_stream(paths);
        }
        if number == first_lost && self.loss == Loss::Answer {
            let store = Arc::clone(&self.store);
            return futures_util::stream::once(async move {
                store.delete_stream(paths).collect::<Vec<_>>().await;
                Err(lost())
            })
            .boxed();
        }
        futures_util::stream::once(async { Err(lost()) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note("list all", prefix);
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if number >= self.lost_from.load(Ordering::SeqCst) {
            return futures_util::stream::once(async { Err(lost()) }).boxed();
        }
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note("list", prefix);
        if !self.pass().await? {
            return Err(lost());
        }
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass().await?;
        self.store.copy_opts(from, to, options).await
    }
}
