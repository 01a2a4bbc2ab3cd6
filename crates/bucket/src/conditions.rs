//! Whether a store keeps the conditions under which it is asked to write: what the lock of a repository rests on.
//!
//! Some stores do not know such requests and say so; others do as if there were no condition. So it is tried.

use object_store::{Error, PutMode, PutPayload, UpdateVersion};

use ironborg_storage::StorageError;

use crate::requests::{Requests, random_word};

/// A version no object has.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

/// What a store does with conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditions {
    /// It keeps them.
    Kept,
    /// It does not; how that was seen.
    Ignored(&'static str),
}

/// Tries it with an object that is removed again: four requests.
pub(crate) fn prove(requests: &Requests) -> Result<Conditions, StorageError> {
    let name = format!("lock.proof-{}", random_word()?);
    let proven = requests.wait(try_all(requests, &name));
    // Who may not remove leaves a few bytes behind.
    let _ = requests.delete(&[name]);
    proven
}

async fn try_all(requests: &Requests, name: &str) -> Result<Conditions, StorageError> {
    match put(requests, name, PutMode::Create).await {
        // An answer may have been lost: nobody else has this name.
        Ok(()) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
        Err(error) => {
            let is_possible =
                may_not_know(&error) && put(requests, name, PutMode::Overwrite).await.is_ok();
            if !is_possible {
                return Err(requests.failed("put", name, error));
            }
            return Ok(Conditions::Ignored("it refuses If-None-Match"));
        }
    }
    match put(requests, name, PutMode::Create).await {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
        Ok(()) => return Ok(Conditions::Ignored("it ignores If-None-Match")),
        Err(error) => return Err(requests.failed("put", name, error)),
    }
    let other = UpdateVersion {
        e_tag: Some(NO_VERSION.to_owned()),
        version: Some("1".to_owned()),
    };
    match put(requests, name, PutMode::Update(other)).await {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Conditions::Kept),
        Ok(()) => Ok(Conditions::Ignored("it ignores If-Match")),
        Err(error) if may_not_know(&error) => Ok(Conditions::Ignored("it refuses If-Match")),
        Err(error) => Err(requests.failed("put", name, error)),
    }
}

async fn put(requests: &Requests, name: &str, mode: PutMode) -> Result<(), Error> {
    let (store, key) = (requests.store(), requests.key(name));
    let content = PutPayload::from_static(b"Whether this store keeps conditions.\n");
    store.put_opts(&key, content, mode.into()).await.map(drop)
}

/// Whether this is what a store says to requests it does not know. It may say so for other reasons.
fn may_not_know(error: &Error) -> bool {
    if matches!(
        error,
        Error::NotImplemented { .. } | Error::NotSupported { .. }
    ) {
        return true;
    }
    let text = error.to_string();
    ["400", "405", "501"]
        .iter()
        .any(|status| text.contains(&format!("status code: {status}")))
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMultipartOptions, PutOptions, PutResult, Result,
    };
    use tokio::runtime::Builder;

    use super::*;
    use crate::BucketUrl;
    use crate::requests::Condition;

    /// What a store does with conditional requests.
    #[derive(Debug, Clone, Copy)]
    enum Habit {
        Keeps,
        Ignores,
        IgnoresVersions,
        DoesNotKnow,
        Fails,
    }

    #[derive(Debug)]
    struct Odd(InMemory, Habit);

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("odd")
        }
    }

    #[async_trait]
    impl ObjectStore for Odd {
        async fn put_opts(
            &self,
            at: &Path,
            payload: PutPayload,
            mut options: PutOptions,
        ) -> Result<PutResult> {
            let fails = |text: &str| Error::Generic {
                store: "odd",
                source: text.into(),
            };
            match (self.1, &options.mode) {
                (Habit::Fails, _) => return Err(fails("status code: 500 Internal")),
                (Habit::DoesNotKnow, PutMode::Create | PutMode::Update(_)) => {
                    return Err(fails("non-2xx status code: 405 Not Implemented"));
                }
                (Habit::Ignores, _) | (Habit::IgnoresVersions, PutMode::Update(_)) => {
                    options.mode = PutMode::Overwrite;
                }
                _ => {}
            }
            self.0.put_opts(at, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(at, options).await
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(at, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, Result<Path>>,
        ) -> BoxStream<'static, Result<Path>> {
            self.0.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    fn on(habit: Habit) -> Requests {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let url = BucketUrl::parse("s3://bucket/a").unwrap();
        Requests::new(
            Arc::new(Odd(InMemory::new(), habit)),
            url,
            Arc::new(runtime),
        )
    }

    #[test]
    fn what_a_store_does_with_conditions_is_seen() {
        for (habit, expected) in [
            (Habit::Keeps, Conditions::Kept),
            (
                Habit::Ignores,
                Conditions::Ignored("it ignores If-None-Match"),
            ),
            (
                Habit::IgnoresVersions,
                Conditions::Ignored("it ignores If-Match"),
            ),
            (
                Habit::DoesNotKnow,
                Conditions::Ignored("it refuses If-None-Match"),
            ),
        ] {
            let requests = on(habit);
            assert_eq!(prove(&requests).unwrap(), expected, "{habit:?}");
            assert!(!requests.has_any("").unwrap(), "{habit:?} leaves something");
        }
        assert!(prove(&on(Habit::Fails)).is_err());
    }

    #[test]
    fn conditions_are_looked_after_where_the_store_does_not() {
        let requests = on(Habit::DoesNotKnow);
        let put =
            |condition: &Condition<'_>| requests.put("x", Bytes::from_static(b"x"), condition);
        assert!(put(&Condition::New).is_err());
        requests.do_without_conditions();
        let first = put(&Condition::New).unwrap().unwrap();
        assert_eq!(put(&Condition::New).unwrap(), None);
        let second = put(&Condition::Same(&first)).unwrap().unwrap();
        assert_eq!(put(&Condition::Same(&first)).unwrap(), None);
        assert!(put(&Condition::Same(&second)).unwrap().is_some());
    }
}
