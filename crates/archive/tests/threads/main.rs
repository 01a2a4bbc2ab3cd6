//! Threads: what is made does not depend on how many there are, and there are as many as help; and a
//! repository on a slow disk is not waited for object by object.

mod distant;
mod far_storage;
#[allow(dead_code)] // The rest of it is for those who look at crashes.
#[path = "../crash/harness/machine.rs"]
mod machine;
mod readers;
#[allow(dead_code)]
#[path = "../crash/harness/stage.rs"]
mod stage;
