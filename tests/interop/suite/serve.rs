//! Both servers asked the same, by clients of every age and by ones that are none: same answers, same log, same exit
//! code, and no lock left.

use ironborg_testkit::Program;

use crate::scene::Scene;

const SCRIPT: &str = include_str!("serve.py");

/// What a server does, a line for each fact.
fn facts(scene: &Scene, server: Program) -> Vec<String> {
    let directory = scene.scratch.join("served");
    let stock = Program::Stock.path();
    let args = [
        directory.as_os_str(),
        stock.as_os_str(),
        server.path().as_os_str(),
    ];
    let run = scene.home.stock_library(SCRIPT, args).run().ok();
    run.out().lines().map(str::to_owned).collect()
}

#[test]
fn both_servers_answer_alike() {
    let scene = Scene::new();
    let expected = facts(&scene, Program::Stock);
    assert!(expected.len() > 100, "{expected:#?}");
    let found = facts(&scene, Program::Ours);
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
