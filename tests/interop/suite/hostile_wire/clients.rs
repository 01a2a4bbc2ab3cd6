//! Clients that send rubbish, too much, too little or nothing: the server's memory stays bounded, and no lock stays.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_rpc::message::{Call, Form, Version};
use ironborg_testkit::{Program, Random};
use ironborg_types::ChunkId;

use super::peer::{Peer, is_locked, open};
use crate::scene::Scene;

const MIB: u64 = 1024 * 1024;

/// More memory than this no server takes that has done nothing yet (a debug build, its code included).
const IDLE_MAX: u64 = 64 * MIB;

/// The beginning of a call that brings an object of `len` bytes.
fn head_of_put(len: u32) -> Vec<u8> {
    let mut head = b"\x83\xa1i\x09\xa1m\xa3put\xa1a\x82\xa2id\xda\x00\x20".to_vec();
    head.extend_from_slice(&[7; 32]);
    head.extend_from_slice(b"\xa4data\xdb");
    head.extend_from_slice(&len.to_be_bytes());
    head
}

#[test]
fn rubbish_ends_the_session_and_gives_the_lock_back() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let nested = vec![0x91; 200_000];
    let rubbish: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: backup\r\n\r\n",
        b"\xc1",
        b"\xc0",
        // Four thousand million bytes, elements, pairs.
        b"\xdb\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x83\xa1i\xdf\xff\xff\xff\xff",
        // A call without a method, a call of three parts.
        b"\x82\xa1i\x01\xa1a\x80",
        b"\x93\x01\x01\xa3get",
        &[&nested[..], b"\xc0"].concat(),
    ];
    for bytes in rubbish {
        let mut peer = Peer::with_repository(&scene, &[]);
        peer.send(bytes);
        let run = peer.ends_by_itself().exits(2);
        assert!(
            run.err()
                .contains("Borg 1.4.5: Got unexpected RPC data format from client."),
            "{}\n{run}",
            bytes[..bytes.len().min(40)].escape_ascii()
        );
        assert!(!is_locked(&scene.repo));
    }
}

#[test]
fn half_a_message_takes_as_much_memory_as_arrived_and_ends_with_the_pipe() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let mut peer = Peer::with_repository(&scene, &[]);
    let before = peer.peak();
    // 59 MiB are announced, one comes.
    assert!(peer.send(&head_of_put(59 * 1024 * 1024)));
    assert!(peer.send(&vec![0; 1024 * 1024]));
    let run = peer_after_reading_all(peer, before, 8 * MIB).end().exits(0);
    assert_eq!(run.err(), "");
    assert!(!is_locked(&scene.repo));
    // What was whole before the cut, but never committed, is as if it had never been.
    scene
        .run(
            Program::Stock,
            &["check", "--repository-only", scene.repo()],
        )
        .ok();
}

/// Waits until the server has taken in what was sent, which it shows by doing nothing, and looks at its memory.
fn peer_after_reading_all(peer: Peer, before: u64, growth_max: u64) -> Peer {
    wait_until_quiet(&peer);
    let growth = peer.peak().saturating_sub(before);
    assert!(growth <= growth_max, "{} KiB more", growth / 1024);
    peer
}

fn wait_until_quiet(peer: &Peer) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut work, mut quiet) = (peer.work(), 0);
    while quiet < 10 {
        assert!(Instant::now() < deadline, "the server never rests");
        thread::sleep(Duration::from_millis(20));
        let now = peer.work();
        quiet = if now == work { quiet + 1 } else { 0 };
        work = now;
    }
}

#[test]
fn messages_that_mean_nothing_take_no_more_memory_than_they_are_long() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let mut peer = Peer::with_repository(&scene, &[]);
    let before = peer.peak();
    // A list of ten million nils where a number belongs.
    let len = 10_000_000_u32;
    let mut call = b"\x83\xa1i\x08\xa1m\xa4list\xa1a\x81\xa5limit\xdd".to_vec();
    call.extend_from_slice(&len.to_be_bytes());
    call.resize(call.len() + len as usize, 0xc0);
    assert!(peer.send(&call));
    peer.answer();
    let growth = peer.peak() - before;
    assert!(growth <= 30 * MIB, "{} KiB more", growth / 1024);
    peer.end().exits(0).ok();
}

#[test]
fn a_client_that_says_nothing_holds_nothing() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let mut peer = Peer::new(&scene, &[]);
    peer.greet();
    assert!(!is_locked(&scene.repo), "nothing was opened");
    assert!(peer.peak() < IDLE_MAX, "{} KiB", peer.peak() / 1024);
    let run = peer.end().exits(0);
    assert_eq!(
        run.out(),
        "Borg 1.4.5: Got connection close before repository was opened.\n"
    );
}

#[test]
fn a_client_that_does_not_read_stops_the_server_and_fills_no_memory() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let mut peer = Peer::with_repository(&scene, &[]);
    let object = Random::new(1).bytes(1024 * 1024);
    let id = ChunkId([3; 32]);
    peer.ask(&Call::Put { id, data: &object })
        .expect("room on the disk");
    let commit = Call::Commit {
        save_space: false,
        compact: false,
        threshold: 0.1,
        cleanup_commits: false,
    };
    peer.ask(&commit).expect("room on the disk");
    let before = peer.peak();

    // A thousand answers are a gigabyte; nobody takes them.
    let mut calls = Vec::new();
    for msgid in 100..1100 {
        Call::Get { id }.encode(Form::Named, msgid, &Version::own(), &mut calls);
    }
    let mut pipe = peer.to_server.take().expect("a pipe");
    let writer = thread::spawn(move || {
        // The server may stop taking calls before all are written; that is its right.
        let _ = pipe.write_all(&calls);
        pipe
    });
    let mut peer = peer_after_reading_all(peer, before, 24 * MIB);
    // Some answers are wanted after all: they are right.
    for _ in 0..3 {
        let answer = peer.answer();
        assert!(answer.ends_with(&object), "the object");
    }
    // Then the client is gone, both pipes with it.
    let mut rest = [0; 4096];
    peer.from_server
        .read_exact(&mut rest)
        .expect("there is more");
    drop(std::mem::replace(&mut peer.from_server, empty_pipe(&scene)));
    drop(writer.join().expect("the writer does not panic"));
    peer.ends_by_itself().in_control();
    assert!(!is_locked(&scene.repo));
}

/// The output of a program that says nothing and ends.
fn empty_pipe(scene: &Scene) -> std::process::ChildStdout {
    let mut invocation = scene.home.tool("/bin/true".as_ref(), [""; 0]);
    let mut child = invocation.start(std::process::Stdio::null());
    let pipe = child.stdout.take().expect("a pipe");
    child.wait().expect("our own child");
    pipe
}

#[test]
fn wrong_calls_are_answered_and_the_session_goes_on() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let mut peer = Peer::with_repository(&scene, &[]);
    let wrong: [&[u8]; 8] = [
        b"\x83\xa1i\x01\xa1m\xa3get\xa1a\x81\xa2id\xa3abc",
        b"\x83\xa1i\x01\xa1m\xa3get\xa1a\x81\xa2id\xc0",
        b"\x83\xa1i\x01\xa1m\xa3get\xa1a\x80",
        b"\x83\xa1i\x01\xa1m\xa6delete\xa1a\x81\xa2id\xda\x00\x21012345678901234567890123456789012",
        b"\x83\xa1i\x01\xa1m\xa3put\xa1a\x82\xa2id\xa0\xa4data\xa1x",
        b"\x83\xa1i\x01\xa1m\xa8__init__\xa1a\x80",
        b"\x83\xa1i\x01\xa1m\xa4list\xa1a\x82\xa5limit\xff\xa6marker\xa1x",
        b"\x94\x01\x01\xa4open\x91\xa1x",
    ];
    for bytes in wrong {
        assert!(peer.send(bytes));
        let answer = peer.answer();
        let reply = ironborg_rpc::message::Reply::decode(&answer).expect("a reply");
        reply.outcome.expect_err("nothing was done");
    }
    // An object larger than any is refused too, and costs nothing but its way here.
    let len = 21 * 1024 * 1024;
    assert!(peer.send(&head_of_put(len)) && peer.send(&vec![0; len as usize]));
    let answer = peer.answer();
    let reply = ironborg_rpc::message::Reply::decode(&answer).expect("a reply");
    reply.outcome.expect_err("no object is so large");
    assert_eq!(
        peer.ask(&Call::Len).map(|answer| answer.ends_with(&[1])),
        Ok(true)
    );
    peer.end().exits(0).ok();
}

#[test]
fn whoever_is_killed_in_the_middle_of_a_put_leaves_the_repository_as_it_was() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let lost = ChunkId([5; 32]);
    for is_server in [false, true] {
        let mut peer = Peer::with_repository(&scene, &[]);
        let data = Random::new(2).bytes(300_000);
        peer.ask(&Call::Put {
            id: lost,
            data: &data,
        })
        .expect("room on the disk");
        assert!(peer.send(&head_of_put(1_000_000)) && peer.send(&vec![1; 500_000]));
        if is_server {
            peer.kill();
            assert!(is_locked(&scene.repo), "nobody was left to give it back");
        } else {
            peer.end().exits(0).ok();
            assert!(!is_locked(&scene.repo));
        }
        // Whoever comes next sees that the holder of the lock is dead.
        let mut next = Peer::new(&scene, &[]);
        next.greet();
        next.ask(&open(&scene.repo, false))
            .expect("the lock is nobody's");
        let fault = next
            .ask(&Call::Get { id: lost })
            .expect_err("it was not committed");
        assert_eq!(fault.class, b"ObjectNotFound");
        assert_eq!(
            next.ask(&Call::Len).map(|answer| answer.ends_with(&[1])),
            Ok(true)
        );
        next.end().exits(0).ok();
        assert!(!is_locked(&scene.repo));
    }
    scene
        .run(
            Program::Stock,
            &["check", "--repository-only", scene.repo()],
        )
        .ok();
}
