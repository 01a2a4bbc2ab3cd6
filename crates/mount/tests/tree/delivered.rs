//! Content of small files that is handed over before it is asked for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ironborg_mount::tree::inode::Inode;
use ironborg_mount::tree::{Pages, Tree};

use crate::stage::{archive_tree, list, machine, read, view, walk};

/// After this something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

struct Taken(Sender<(Inode, Vec<u8>)>);

impl Pages for Taken {
    fn store(&self, inode: Inode, content: &[u8]) -> bool {
        self.0.send((inode, content.to_vec())).is_ok()
    }
}

fn taken(tree: &Tree) -> Receiver<(Inode, Vec<u8>)> {
    let (send, receive) = channel();
    tree.deliver_to(Arc::new(Taken(send)));
    receive
}

/// Who reads all files of a directory asks for few of them.
#[test]
fn files_read_in_order_come_by_themselves() {
    let tree = archive_tree(&machine(), "kinds", &view(""));
    let taken = taken(&tree);
    let many = walk(&tree, "many").unwrap();
    let listed = list(&tree, many.inode, 1000).unwrap();
    let files: Vec<Inode> = listed[2..].iter().map(|(_, it)| it.inode).collect();
    assert_eq!(files.len(), 200);
    let content = |at: usize| format!("content {at}").into_bytes();
    // One is no order yet, two are.
    for (asked_for, last) in [(0, 0), (1, 65), (66, 66), (67, 131), (132, 132), (133, 197)] {
        assert_eq!(read(&tree, files[asked_for]).unwrap(), content(asked_for));
        let coming = files.iter().enumerate().skip(asked_for + 1);
        for (at, inode) in coming.take(last - asked_for) {
            let came = taken.recv_timeout(PATIENCE).unwrap();
            assert_eq!(came, (*inode, content(at)), "behind {asked_for}");
        }
    }
    drop(tree);
    assert!(taken.recv_timeout(PATIENCE).is_err(), "nothing else came");
}

/// What a repair has put zeros into is for who asks for it by name, and may be refused.
#[test]
fn damaged_files_have_to_be_asked_for() {
    let tree = archive_tree(&machine(), "kinds", &view("allow_damaged_files"));
    let taken = taken(&tree);
    for path in ["many/1", "many/0"] {
        read(&tree, walk(&tree, path).unwrap().inode).unwrap();
    }
    let file = walk(&tree, "top/file").unwrap().inode;
    let came = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(came, (file, b"first second".to_vec()), "{came:?}");
    drop(tree);
    assert!(taken.recv_timeout(PATIENCE).is_err(), "nothing else came");
}
