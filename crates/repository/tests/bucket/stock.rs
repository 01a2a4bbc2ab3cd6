//! A copy on a disk of what is in a store while its index is behind: stock Borg opens it.

use ironborg_repository::{CheckMode, CheckOptions, LocalRepository, Repository};
use ironborg_testkit::{Home, Program, Scratch};

use crate::{World, has, put, support, writing};

#[test]
fn stock_borg_replays_what_is_behind_the_index() {
    let world = World::of_large_indexes();
    world.create();
    let indexed = world.indexed();
    let mut repository = world.open(writing("a")).unwrap();
    for name in ["a", "b", "c"] {
        put(&mut repository, name);
        repository.commit().unwrap();
    }
    repository.delete(&support::id("b")).unwrap();
    repository.commit().unwrap();
    repository.close().unwrap();
    assert_eq!(
        (world.indexed(), indexed),
        (vec!["1".into()], vec!["1".into()])
    );
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    let copy = scratch.join("copy");
    world.download(&copy);
    let path = copy.to_str().unwrap();
    home.run(Program::Stock, ["check", "--repository-only", path])
        .ok();
    // It has written the index of the last commit, and ours agrees with it.
    assert!(copy.join("index.9").exists() && !copy.join("index.1").exists());
    let mut repository = LocalRepository::open(&copy, support::writing()).unwrap();
    assert!(has(&repository, "a") && !has(&repository, "b") && has(&repository, "c"));
    let options = CheckOptions {
        mode: CheckMode::Look,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    assert!(repository.check(&options).unwrap());
}
