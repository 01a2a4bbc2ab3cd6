//! Writing under conditions, and for how long a store keeps what was written.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ironborg_storage::{Conditional, Retention, RetentionMode, StorageError, Version};

use super::BucketStorage;
use crate::known::Object;
use crate::requests::Condition;
use crate::retention::Amazon;

/// Size of segments in new repositories: a request more costs little then, and compaction rewrites no more than this for
/// what is left of one.
const SEGMENT_LEN: u64 = 64 << 20;

impl BucketStorage {
    /// What only one of the protocols has.
    fn amazon(&self) -> Result<&Amazon, StorageError> {
        self.amazon.as_deref().ok_or_else(|| {
            let reason = "objects are kept from being removed on S3 only";
            self.failed("retain", io::Error::new(io::ErrorKind::Unsupported, reason))
        })
    }
}

impl Conditional for BucketStorage {
    fn read_versioned(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, StorageError> {
        match self.requests.get(name) {
            Ok((content, version)) => Ok(Some((content.into(), version))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace_if(
        &self,
        name: &str,
        expected: Option<&Version>,
        content: &[u8],
    ) -> Result<Option<Version>, StorageError> {
        let condition = expected.map_or(Condition::New, Condition::Same);
        let size = content.len() as u64;
        let content = Bytes::copy_from_slice(content);
        let written = self.sure(self.requests.put(name, content, &condition))?;
        if let Some(version) = written.clone() {
            self.known.written(name, Object { size, version });
        }
        Ok(written)
    }

    fn segment_size(&self) -> Option<u64> {
        Some(SEGMENT_LEN)
    }

    fn term(&self) -> Option<Duration> {
        self.term
    }

    fn give_up_leftovers(&self, age: Duration) -> Result<usize, StorageError> {
        let (Some(amazon), Some(before)) = (&self.amazon, SystemTime::now().checked_sub(age))
        else {
            return Ok(0);
        };
        let root = self.requests.key("");
        let given_up = self.requests.wait(amazon.give_up_uploads(&root, before));
        given_up.map_err(|error| self.failed("abort", io::Error::other(error)))
    }

    fn can_retain(&self) -> Result<(), StorageError> {
        let able = self.requests.wait(self.amazon()?.can_retain());
        able.map_err(|error| self.failed("retain", io::Error::other(error)))
    }

    fn retain(&self, dir: &str, retention: Retention) -> Result<(), StorageError> {
        let key = self.requests.key(dir);
        let known = self.requests.wait(self.amazon()?.retain(retention, &key));
        known.map_err(|error| self.failed("retain", io::Error::other(error)))
    }

    fn prolong(
        &self,
        names: &[String],
        mode: RetentionMode,
        until: SystemTime,
    ) -> Result<(), StorageError> {
        let keys: Vec<_> = names.iter().map(|name| self.requests.key(name)).collect();
        let prolonged = self
            .requests
            .wait(self.amazon()?.prolong(&keys, mode, until));
        prolonged.map_err(|error| self.failed("retain", io::Error::other(error)))
    }
}
