//! What the path index of 200,000 files costs.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use ironborg_archive::Archive;
use ironborg_archive::items::PartFiles;
use ironborg_crypto::KeyMode;
use ironborg_mount::follow::Follower;
use ironborg_mount::index::{PathIndex, Shape};
use ironborg_mount::node::NodeId;
use ironborg_source::PatternMatcher;

// Tests have them too, and use more of them.
#[allow(dead_code)]
#[path = "../tests/content/repository.rs"]
mod repository;
#[allow(dead_code)]
#[path = "../tests/content/tree.rs"]
mod tree;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const FILES: u32 = 200_000;

fn main() {
    divan::main();
}

static SCENE: LazyLock<(repository::Repository, Archive, Arc<Follower>)> = LazyLock::new(|| {
    let repository = repository::Repository::new(KeyMode::RepokeyBlake2);
    let archive = repository.store_archive("many", tree::tree(FILES));
    let follower = repository.follower(2);
    (repository, archive, follower)
});

/// Not kept, but otherwise the same.
fn unkept() -> Shape {
    let matcher = PatternMatcher::new([], true);
    Shape::new(matcher, 0, PartFiles::Consider)
}

#[divan::bench(sample_count = 8, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>) {
    let (_, archive, follower) = &*SCENE;
    bencher
        .counter(ItemsCount::new(FILES))
        .bench(|| PathIndex::open_or_build(follower, archive, &unkept()).unwrap());
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn open_and_list(bencher: Bencher<'_, '_>) {
    let (_, archive, follower) = &*SCENE;
    PathIndex::open_or_build(follower, archive, &Shape::whole()).unwrap();
    bencher.bench(|| {
        let index = PathIndex::open_or_build(follower, archive, &Shape::whole()).unwrap();
        index.children(NodeId::ROOT, 0, 100).unwrap()
    });
}

#[divan::bench(sample_count = 8, sample_size = 1)]
fn walk_everything(bencher: Bencher<'_, '_>) {
    let (_, archive, follower) = &*SCENE;
    bencher.counter(ItemsCount::new(FILES)).bench(|| {
        let index = PathIndex::open_or_build(follower, archive, &Shape::whole()).unwrap();
        let mut left = vec![NodeId::ROOT];
        let mut seen = 0_u64;
        while let Some(directory) = left.pop() {
            for (child, _) in index.children(directory, 0, usize::MAX).unwrap() {
                let node = index.node(child).unwrap();
                if node.mode & 0o170_000 == 0o040_000 {
                    left.push(child);
                }
                seen += node.size;
            }
        }
        seen
    });
}
