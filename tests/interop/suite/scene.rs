//! The usual setting of a test: a scratch directory, a machine, a repository, and short words for using them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ironborg_testkit::{Compare, Home, Program, Run, Scratch, Server, Wire, assert_same_tree};

/// Every key mode `init --encryption` knows.
pub(crate) const KEY_MODES: [&str; 7] = [
    "none",
    "authenticated",
    "authenticated-blake2",
    "repokey",
    "keyfile",
    "repokey-blake2",
    "keyfile-blake2",
];

/// Every compressor, `auto` and `obfuscate` included.
pub(crate) const COMPRESSIONS: [&str; 8] = [
    "none",
    "lz4",
    "zstd,3",
    "zlib",
    "lzma",
    "auto,zstd,10",
    "obfuscate,110,lz4",
    "obfuscate,1,auto,zstd,3",
];

/// Every key an item can be listed with, archive names aside; one line an item.
pub(crate) const ALL_ITEM_KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {bpath} {source} \
    {linktarget} {flags} {size} {csize} {dsize} {dcsize} {num_chunks} {unique_chunks} {mtime} {ctime} {atime} \
    {isomtime} {isoctime} {isoatime} {md5} {sha1} {sha224} {sha256} {sha384} {sha512} {sha3_224} {sha3_256} \
    {sha3_384} {sha3_512} {blake2b} {blake2s} {xxh64} {archiveid} {archivename} {extra} {health}{NL}";

/// The same without content hashes other than two cheap ones, for large files.
pub(crate) const CHEAP_ITEM_KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {bpath} {source} \
    {linktarget} {flags} {size} {csize} {dsize} {dcsize} {num_chunks} {unique_chunks} {mtime} {ctime} {atime} \
    {isomtime} {isoctime} {isoatime} {sha256} {xxh64} {archiveid} {archivename} {extra} {health}{NL}";

/// Every key an archive can be listed with.
pub(crate) const ALL_ARCHIVE_KEYS: &str = "{archive} {name} {barchive} {comment} {bcomment} {id} {tam} {start} \
    {time} {end} {command_line} {hostname} {username}{NL}";

/// One machine, one repository (not yet made) and a directory to work in.
///
/// Usually the repository is local. Behind a server it is reached over a real ssh on loopback, from either program;
/// so one server makes two of the ways in which clients and servers meet.
pub(crate) struct Scene {
    pub(crate) scratch: Rc<Scratch>,
    pub(crate) home: Home,
    /// Where the repository is on this disk, for a look at it. Change it through [`Scene::moved_to`].
    pub(crate) repo: PathBuf,
    /// How programs are told to reach it: the same, or a URL.
    location: String,
    wire: Option<Rc<Wire>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(Scratch::new(), None)
    }

    /// A scene whose repository is behind a server.
    pub(crate) fn behind(server: Server) -> Self {
        Self::on(Scratch::new(), Some(Rc::new(Wire::new(server))))
    }

    fn on(scratch: Scratch, wire: Option<Rc<Wire>>) -> Self {
        let scratch = Rc::new(scratch);
        let mut home = Home::new(&scratch, "home");
        if let Some(wire) = &wire {
            wire.lead(&mut home);
        }
        let mut scene = Self {
            repo: PathBuf::new(),
            location: String::new(),
            home,
            wire,
            scratch,
        };
        scene.moved_to(scene.scratch.join("repo"));
        scene
    }

    /// The same scratch directory and machine with another repository.
    pub(crate) fn beside(&self, repo: &str) -> Self {
        let mut scene = Self {
            repo: PathBuf::new(),
            location: String::new(),
            home: self.home.clone(),
            wire: self.wire.clone(),
            scratch: Rc::clone(&self.scratch),
        };
        scene.moved_to(self.scratch.join(repo));
        scene
    }

    /// Uses the repository at another place from now on.
    pub(crate) fn moved_to(&mut self, repo: PathBuf) {
        self.location = match self.wire() {
            Some(wire) => wire.url(&repo),
            None => text(&repo).to_owned(),
        };
        self.repo = repo;
    }

    /// The same repository and machine with one more environment variable.
    pub(crate) fn with(&self, name: &str, value: impl AsRef<OsStr>) -> Self {
        Self {
            scratch: Rc::clone(&self.scratch),
            home: self.home.with(name, value),
            repo: self.repo.clone(),
            location: self.location.clone(),
            wire: self.wire.clone(),
        }
    }

    /// The same repository and machine with another program on the other side of the wire.
    pub(crate) fn served_by(&self, server: Server) -> Self {
        self.with("BORG_REMOTE_PATH", server.path())
    }

    /// What the repository is reached by, if it is not local.
    pub(crate) fn wire(&self) -> Option<&Wire> {
        self.wire.as_deref().or_else(|| self.scratch.wire())
    }

    /// A scene whose repository was made by `program`.
    #[track_caller]
    pub(crate) fn with_repository(program: Program, mode: &str) -> Self {
        let scene = Self::new();
        scene.init(program, mode);
        scene
    }

    #[track_caller]
    pub(crate) fn init(&self, program: Program, mode: &str) {
        let run = self.run(program, &["init", "--encryption", mode, self.repo()]);
        run.ok();
    }

    /// The repository's location, as programs are told it: its path, or a URL that ends with it.
    pub(crate) fn repo(&self) -> &str {
        &self.location
    }

    /// `REPOSITORY::NAME`
    pub(crate) fn archive(&self, name: &str) -> String {
        format!("{}::{name}", self.repo())
    }

    /// Runs in the scratch directory on the scene's machine.
    #[track_caller]
    pub(crate) fn run(&self, program: Program, args: &[&str]) -> Run {
        self.run_on(&self.home, program, args)
    }

    /// Runs in the scratch directory on another machine.
    #[track_caller]
    pub(crate) fn run_on(&self, home: &Home, program: Program, args: &[&str]) -> Run {
        home.invocation(program, args)
            .dir(self.scratch.path())
            .run()
    }

    /// Creates an archive of `tree` (relative to the scratch directory).
    #[track_caller]
    pub(crate) fn create(&self, program: Program, name: &str, options: &[&str], tree: &str) -> Run {
        let archive = self.archive(name);
        let args = [&["create"], options, &[archive.as_str(), tree]].concat();
        self.run(program, &args).ok()
    }

    /// Extracts a whole archive into a new directory, which is returned.
    #[track_caller]
    pub(crate) fn extract(&self, program: Program, name: &str, options: &[&str]) -> PathBuf {
        let dir = self.empty_dir(&format!("out-{}-{name}", program.name()));
        let archive = self.archive(name);
        let args = [&["extract"], options, &[archive.as_str()]].concat();
        self.home.invocation(program, args).dir(&dir).run().ok();
        dir
    }

    /// A new directory that no other call returned.
    pub(crate) fn empty_dir(&self, name: &str) -> PathBuf {
        let free = (0..).map(|count| self.scratch.join(format!("{name}-{count}")));
        let path = free
            .into_iter()
            .find(|path| !path.exists())
            .expect("numbers do not end");
        self.scratch.dir(path)
    }

    /// Extracts with `program` and compares with the tree the archive was made of.
    #[track_caller]
    pub(crate) fn assert_restores(&self, program: Program, name: &str, tree: &str) {
        let dir = self.extract(program, name, &[]);
        assert_same_tree(
            &self.scratch.join(tree),
            &dir.join(tree),
            Compare::Everything,
        );
    }

    /// Stock Borg finds nothing to complain about, down to every byte of data.
    ///
    /// Where the repository is served, it looks at the local directory, from a machine that knows nothing of it yet:
    /// neither server nor client could hide anything, and the scene's machine is not asked why the repository moved.
    #[track_caller]
    pub(crate) fn assert_checks(&self) {
        let run = if self.wire().is_some() {
            let base = self.empty_dir("auditor");
            let mut home = self.home.with("BORG_BASE_DIR", base);
            home.set("BORG_KEYS_DIR", self.home.config().join("keys"));
            home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            let repo = text(&self.repo);
            self.run_on(&home, Program::Stock, &["check", "--verify-data", repo])
        } else {
            self.run(Program::Stock, &["check", "--verify-data", self.repo()])
        };
        assert_eq!(
            run.code(),
            0,
            "stock Borg does not accept the repository\n{run}"
        );
        assert!(
            run.err().is_empty(),
            "stock Borg has something to say\n{run}"
        );
    }

    /// Both programs list the archive the same way: as text with every key, and as JSON lines.
    #[track_caller]
    pub(crate) fn assert_same_listing(&self, name: &str, keys: &str) {
        let archive = self.archive(name);
        let text: &[&str] = &["list", "--format", keys, &archive];
        let plain: &[&str] = &["list", &archive];
        let short: &[&str] = &["list", "--short", &archive];
        self.assert_same_output(text);
        self.assert_same_output(plain);
        self.assert_same_output(short);
        self.assert_same_json_lines(name, keys);
    }

    /// Both programs give the same JSON line for every item, in the same order.
    #[track_caller]
    pub(crate) fn assert_same_json_lines(&self, name: &str, keys: &str) {
        let archive = self.archive(name);
        let json: &[&str] = &["list", "--json-lines", "--format", keys, &archive];
        let [ours, stock] = Program::BOTH.map(|program| self.run(program, json).ok());
        let (ours, stock) = (ours.json_lines(), stock.json_lines());
        for (line, (ours, stock)) in ours.iter().zip(&stock).enumerate() {
            assert_eq!(ours, stock, "line {line} of list --json-lines, ours first");
        }
        assert_eq!(ours.len(), stock.len(), "lines of list --json-lines");
    }
}

/// A path of a scratch directory as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("scratch directories have plain names")
}
