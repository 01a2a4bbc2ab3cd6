//! `serve --backend`: clients that know of no store, stock Borg's too, and their repositories on one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ironborg_testkit::{Compare, Home, Program, assert_same_tree};

use super::{Ground, fill};
use crate::scene::text;

/// A machine whose `ssh` is a server of ours with these options, and without a way to the store of its own.
fn client(ground: &Ground, name: &str, options: &str) -> Home {
    let scratch = &ground.scene.scratch;
    let script = scratch.join(format!("{name}-ssh"));
    let server_base = scratch.dir(format!("{name}-server"));
    let lines = format!(
        "#!/bin/sh\n{}export BORG_BASE_DIR='{}'\nexec '{}' serve --backend s3://backups/served/deep {options}\n",
        ground.server.exports(),
        server_base.display(),
        Program::Ours.path().display(),
    );
    fs::write(&script, lines).expect("room");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("ours");
    let mut home = ground.scene.home.based_at(&scratch.dir(name));
    home.set("BORG_RSH", &script);
    home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    home
}

#[test]
fn clients_of_a_server_need_not_know_where_it_keeps_what_they_send() {
    let ground = Ground::new("served/deep/clients/one");
    let scratch = &ground.scene.scratch;
    let tree = scratch.join("tree");
    fill(&tree, 1);
    let home = client(&ground, "client", "--restrict-to-path /clients");
    let run = |program: Program, args: &[&str]| {
        let run = home.invocation(program, args);
        run.dir(scratch.path()).run()
    };
    let one = "ssh://far.example/clients/one";
    run(Program::Stock, &["init", "-e", "repokey-blake2", one]).ok();
    for (program, name) in [(Program::Stock, "stock"), (Program::Ours, "ours")] {
        for number in 0..2 {
            run(
                program,
                &["create", &format!("{one}::{name}{number}"), "tree"],
            )
            .ok();
        }
        run(
            program,
            &[
                "prune",
                "--keep-last",
                "1",
                "--glob-archives",
                &format!("{name}*"),
                one,
            ],
        )
        .ok();
        run(program, &["compact", one]).ok();
        run(program, &["check", "--verify-data", one]).ok();
        let changed = home.with("BORG_NEW_PASSPHRASE", "correct horse battery staple");
        changed
            .invocation(program, ["key", "change-passphrase", one])
            .run()
            .ok();
    }
    for program in Program::BOTH {
        let listed = run(program, &["list", "--short", one]).ok();
        assert_eq!(listed.out(), "stock1\nours1\n");
        let dir = ground.scene.empty_dir("out");
        let archive = format!("{one}::{}1", program.other().name());
        home.invocation(program, ["extract", &archive])
            .dir(&dir)
            .run()
            .ok();
        assert_same_tree(&tree, &dir.join("tree"), Compare::Content);
    }
    // The same to who has the store at hand.
    ground.assert_sound();

    // Nothing else is reached, and no repository is made in another one.
    for path in ["/other", "/clients/../other", "/~/other", "/./other"] {
        let url = format!("ssh://far.example{path}");
        for program in Program::BOTH {
            let refused = run(program, &["init", "-e", "none", &url]);
            assert_eq!(refused.code(), 2, "{refused}");
            assert!(refused.err().contains("not allowed"), "{refused}");
        }
    }
    let inside = run(
        Program::Ours,
        &["init", "-e", "none", &format!("{one}/data/0")],
    );
    assert!(inside.exits(2).err().contains("already exists"));
    let relative = run(
        Program::Ours,
        &["list", "--short", "ssh://far.example/./clients//x/../one"],
    );
    assert_eq!(relative.ok().out(), "stock1\nours1\n");

    limits(&ground);
    lost_connection(&ground, &home, one);
}

/// What the administrator has decided holds here as well.
fn limits(ground: &Ground) {
    let two = "ssh://far.example/two";
    let home = client(
        ground,
        "limited",
        "--restrict-to-repository /two --append-only --storage-quota 10M",
    );
    let run = |args: &[&str]| {
        let run = home.invocation(Program::Ours, args);
        run.dir(ground.scene.scratch.path()).run()
    };
    run(&["init", "-e", "none", two]).ok();
    run(&["create", &format!("{two}::one"), "tree"]).ok();
    run(&["delete", &format!("{two}::one")]).ok();
    run(&["compact", "--threshold", "0", two]).ok();
    let refused = home
        .with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES")
        .invocation(Program::Ours, ["delete", two])
        .run();
    assert!(refused.exits(2).err().contains("append-only"));
    let large = ground.scene.scratch.join("large");
    fs::write(&large, ironborg_testkit::generated("quota", 12_000_000)).expect("room");
    let refused = run(&["create", "-C", "none", &format!("{two}::two"), text(&large)]);
    assert!(refused.exits(2).err().contains("quota"));
    let log = ground.server.object("served/deep/two/transactions");
    let log = String::from_utf8(log.expect("a log")).expect("text");
    assert!(log.lines().count() >= 3, "{log}");
}

/// A client that is gone leaves no lock.
fn lost_connection(ground: &Ground, home: &Home, one: &str) {
    let archive = format!("{one}::lost");
    let mut create = home.invocation(Program::Stock, ["create", &archive, "-"]);
    let mut child = create.start(Stdio::piped());
    let input = child.stdin.as_mut().expect("piped");
    input
        .write_all(b"the beginning")
        .expect("the program reads");
    thread::sleep(Duration::from_secs(2));
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    let args = [
        "--lock-wait",
        "20",
        "create",
        &ground.archive("direct"),
        "tree",
    ];
    ground.run(&args).ok();
    let listed = home.run(Program::Stock, ["list", "--short", one]).ok();
    assert_eq!(listed.out(), "stock1\nours1\ndirect\n");
}
