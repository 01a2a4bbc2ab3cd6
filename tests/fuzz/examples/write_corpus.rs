//! Writes the seeds of all fuzz targets, for cargo-fuzz: `DIRECTORY/TARGET/seed-N`.

use std::path::PathBuf;

use ironborg_fuzz_targets::TARGETS;

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    let [_, directory] = &arguments[..] else {
        panic!("one argument is needed: the corpus directory");
    };
    for target in TARGETS {
        let directory = PathBuf::from(directory).join(target.name);
        std::fs::create_dir_all(&directory).expect("a writable directory");
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let path = directory.join(format!("seed-{number}"));
            std::fs::write(path, seed).expect("a writable directory");
        }
    }
}
