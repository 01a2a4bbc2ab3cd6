//! One repository reached in several ways by one machine: locally, over ssh, under several names; and by two at once.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ironborg_testkit::{Program, Run, Server, tree};

use super::{assert_like_the_last, scene};
use crate::locks::Holder;
use crate::same_output::assert_same_run;
use crate::scene::{Scene, text};

/// Cache and security records do not care by which way a repository is reached, once the question was answered.
#[test]
fn local_and_remote_access_share_what_the_machine_knows() {
    let scene = scene("repokey");
    tree::rich(&scene.scratch.join("tree"));
    scene.create(Program::Stock, "remote", &[], "tree");
    let here = text(&scene.repo).to_owned();
    // The question, unanswered and answered, both ways.
    for answer in [None, Some("no"), Some("yes")] {
        let home = match answer {
            Some(answer) => scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", answer),
            None => scene.home.clone(),
        };
        for location in [here.as_str(), scene.repo()] {
            let [ours, stock] = scene.each_from_same_state(|program| {
                scene.run_on(&home, program, &["list", "--short", location])
            });
            assert_same_run(&ours, &stock);
        }
    }
    let agreed = scene.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let turns = [
        (Program::Ours, here.as_str()),
        (Program::Stock, scene.repo()),
        (Program::Ours, scene.repo()),
        (Program::Stock, here.as_str()),
        (Program::Ours, here.as_str()),
    ];
    for (number, (program, location)) in turns.into_iter().enumerate() {
        let server = if number % 2 == 0 {
            Program::Ours
        } else {
            Program::Stock
        };
        let served = agreed.served_by(Server::Current(server));
        let archive = format!("{location}::turn{number}");
        let run = served
            .run(program, &["create", "--json", &archive, "tree"])
            .ok();
        let stats = &run.json()["archive"]["stats"];
        assert_eq!(stats["deduplicated_size"], 0, "stored twice\n{run}");
    }
    scene.assert_checks();
}

/// The same repository by URL, by short location, with a user, from the home directory: the same words.
#[test]
fn names_of_one_repository() {
    let mut scene = scene("none");
    let wire = scene.wire().expect("it is served");
    let (port, base) = (wire.sshd().port(), wire.base());
    scene.moved_to(base.join("home repo"));
    let lists = [
        // The directory's name has a blank in it, which no part of the way may split.
        format!("ssh://127.0.0.1:{port}/~/home repo"),
        format!("ssh://localhost:{port}{}", text(&scene.repo)),
        "127.0.0.1:~/home repo".to_owned(),
        format!("127.0.0.1:{}", text(&scene.repo)),
        format!("ssh://127.0.0.1:{port}/~/nothing"),
        format!("ssh://127.0.0.1:{port}/./nothing/at/all"),
    ];
    let first = lists[0].as_str();
    let mut list: Vec<[&str; 4]> = vec![["init", "-e", "none", first]];
    list.extend(
        lists
            .iter()
            .map(|location| ["list", "--short", "--", location.as_str()]),
    );
    list.extend(
        lists
            .iter()
            .map(|location| ["config", "--list", "--", location.as_str()]),
    );
    let list: Vec<&[&str]> = list.iter().map(<[&str; 4]>::as_slice).collect();
    let agreed = scene.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let runs = agreed.assert_same_every_way(&list);
    let codes: Vec<i32> = runs.iter().take(7).map(Run::code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 2, 2]);
}

/// While one client writes, others wait, give up with the same words, and get their turn.
#[test]
fn the_lock_is_held_on_the_server() {
    let scene = scene("repokey");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), "content").expect("room on the disk");
    let ways = scene.each_way(|client, served| {
        let holder = Holder::start(served, client.other());
        let repo = served.repo();
        let mut runs = served.run_list(
            client,
            &[
                &["list", "--lock-wait", "0", repo],
                &["create", "--lock-wait", "0", &served.archive("two"), "tree"],
                &["with-lock", "--lock-wait", "0", repo, "true"],
            ],
        );
        holder.finish();
        runs.extend(served.run_list(client, &[&["list", "--short", repo]]));
        assert_eq!(locks(served), Vec::<PathBuf>::new(), "left behind");
        runs
    });
    assert_like_the_last(ways);
}

/// A client that is killed, or whose line is cut, leaves a repository nobody has to unlock.
#[test]
fn a_client_that_vanishes() {
    let scene = scene("repokey");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), "content").expect("room on the disk");
    scene.create(Program::Stock, "before", &[], "tree");
    scene.each_way(|client, served| {
        Holder::start(served, client).kill();
        await_unlocked(served);
        let mut input = served
            .home
            .invocation(client, ["create", &served.archive("cut"), "-"]);
        let mut child = input.start_silent(Stdio::piped());
        let deadline = Instant::now() + Duration::from_secs(30);
        while locks(served).is_empty() {
            assert!(Instant::now() < deadline, "no lock was taken");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        served
            .wire()
            .expect("it is served")
            .sshd()
            .cut_connections();
        await_unlocked(served);
        let run = served.run(client, &["create", &served.archive("after"), "tree"]);
        assert!(run.ok().err().is_empty(), "something to say");
        served.assert_checks();
    });
}

/// Who holds the repository's exclusive lock.
fn locks(scene: &Scene) -> Vec<PathBuf> {
    let entries = fs::read_dir(scene.repo.join("lock.exclusive"));
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| entry.expect("our own directory").path())
        .collect()
}

#[track_caller]
fn await_unlocked(scene: &Scene) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !locks(scene).is_empty() {
        assert!(
            Instant::now() < deadline,
            "still locked: {:?}",
            locks(scene)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
