//! Starting workers: one for each core, and more while files have to be waited for.

use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam_channel::Receiver;
use ironborg_chunker::Chunker;
use ironborg_source::{AttributeReader, Names};
use ironborg_types::Reporter;

use super::PanicGuard;
use super::pace::is_long;
use super::shared::Shared;
use super::work::{Batch, Worker};

/// What every worker is made of.
pub(super) struct Crew<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) reporter: &'a dyn Reporter,
    pub(super) names: &'a Arc<Names>,
    pub(super) chunker: &'a Chunker,
}

/// Whether a worker stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// To the end.
    Regular,
    /// As long as files have to be waited for.
    Extra,
}

impl<'a> Crew<'a> {
    /// Starts the workers there are always.
    pub(super) fn start<'scope, 'env>(
        &'a self,
        scope: &'scope Scope<'scope, 'env>,
        threads: usize,
        batches: &Receiver<Batch>,
    ) where
        'a: 'scope,
    {
        for _ in 0..threads {
            let batches = batches.clone();
            scope.spawn(move || self.work(scope, Rank::Regular, &batches));
        }
    }

    /// Starts workers as long as more are wanted. What they were to do is done by others if there is no thread for them.
    fn start_more<'scope, 'env>(
        &'a self,
        scope: &'scope Scope<'scope, 'env>,
        batches: &Receiver<Batch>,
    ) where
        'a: 'scope,
    {
        while self.shared.pace.wants_more(batches.len()) {
            let batches = batches.clone();
            let work = move || self.work(scope, Rank::Extra, &batches);
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                self.shared.pace.ended();
                return;
            }
        }
    }

    fn work<'scope, 'env>(
        &'a self,
        scope: &'scope Scope<'scope, 'env>,
        rank: Rank,
        batches: &Receiver<Batch>,
    ) where
        'a: 'scope,
    {
        let shared = self.shared;
        let _guard = PanicGuard(shared);
        let options = shared.options.metadata.attributes();
        let attributes = AttributeReader::new(options, Arc::clone(self.names));
        let mut worker = Worker::new(shared, self.reporter, attributes, self.chunker.clone());
        let is_extra = rank == Rank::Extra;
        while worker.next(batches, |worker, batch| {
            // Additional workers do not all read large files: each takes a large buffer for that.
            let is_bounded = is_extra && is_long(&batch.steps);
            if is_bounded && shared.pace.long.take(1).is_err() {
                return false;
            }
            let result = worker.batch(batch);
            if is_bounded {
                shared.pace.long.give_back(1);
            }
            self.start_more(scope, batches);
            result.is_ok()
        }) {
            if is_extra && shared.pace.wants_fewer() {
                break;
            }
        }
        if is_extra {
            shared.pace.ended();
        }
    }
}
