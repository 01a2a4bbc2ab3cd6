//! An S3 store on this machine: SeaweedFS with one bucket and one key, gone when it is dropped.

use std::env;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ironborg_bucket::{BucketStorage, BucketUrl, Connection, connect};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::program::target;
use crate::{FaultProxy, Home, Scratch};

const KEY: &str = "testkey";
const SECRET: &str = "testsecret";
/// The bucket there is.
const BUCKET: &str = "backups";
/// How long it may take to start; a few seconds as a rule.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server.
pub struct ObjectServer {
    process: Child,
    dir: PathBuf,
    ports: [u16; 4],
    endpoint: String,
    volumes: u32,
    /// Where its own shell finds it.
    shell: [String; 2],
    connection: Connection,
}

impl ObjectServer {
    /// Starts one that keeps its files in a scratch directory.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start(scratch: &Scratch) -> Self {
        Self::start_with_room(scratch, 20)
    }

    /// The same with room for so many volumes of 128 MB.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start_with_room(scratch: &Scratch, volumes: u32) -> Self {
        let dir = scratch.dir("object-server");
        let identities = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        fs::write(dir.join("identities.json"), identities).expect("room");
        let ports = free_ports();
        let process = spawn(&dir, ports, volumes);
        let variables =
            variables(&endpoint_of(ports)).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = BucketUrl::parse(&format!("s3://{BUCKET}")).expect("a location");
        let server = Self {
            process,
            dir,
            ports,
            endpoint: endpoint_of(ports),
            volumes,
            shell: [
                format!("-master=127.0.0.1:{}", ports[0]),
                format!("-filer=127.0.0.1:{}", ports[2]),
            ],
            connection: connect(&url, &variables).expect("settings that are whole"),
        };
        server.wait_until_it_answers();
        server
    }

    /// Ends it without warning, as a power cut does.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child");
        self.process.wait().expect("our own child");
    }

    /// Starts it again on the same files, at the same place.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.ports, self.volumes);
        self.wait_until_it_answers();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let [.., port] = self.ports;
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn wait_until_it_answers(&self) {
        let end = Instant::now() + PATIENCE;
        let store = self.connection.store();
        loop {
            // The first object makes the bucket; it is there when it can be read.
            let answers = TcpStream::connect(self.address()).is_ok() && {
                let probe = Key::from("probe");
                let put = async {
                    store.put(&probe, "probe".into()).await?;
                    store.delete(&probe).await
                };
                self.connection.wait(put).is_ok()
            };
            if answers {
                return;
            }
            assert!(
                Instant::now() < end,
                "the object server does not answer:\n{}",
                fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// What the environment has to say of it to whoever reaches it at another endpoint.
    pub fn environment(endpoint: &str) -> [(&'static str, &str); 4] {
        variables(endpoint)
    }

    /// The location of a repository in it.
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// Makes another bucket, with Object Lock.
    ///
    /// # Panics
    /// When that fails.
    pub fn make_locked_bucket(&self, name: &str) {
        let mut shell = Command::new(program())
            .arg("shell")
            .args(&self.shell)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("its shell starts");
        let command = format!("s3.bucket.create -name {name} -withLock\n");
        let mut words = shell.stdin.take().expect("a pipe");
        words.write_all(command.as_bytes()).expect("it listens");
        drop(words);
        let said = shell.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.contains("Object Lock: enabled"), "{said}");
    }

    /// Begins an object of the bucket there is, in parts, and never ends it.
    pub fn begin_upload(&self, name: &str) {
        let store = self.connection.store();
        let begun = self.connection.wait(store.put_multipart(&Key::from(name)));
        begun.expect("it is begun");
    }

    /// The bucket there is, as a repository's files.
    pub fn storage(&self) -> BucketStorage {
        BucketStorage::new(&self.connection, &env::temp_dir())
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A machine that knows how to reach it.
    #[must_use]
    pub fn known_to(&self, home: &Home) -> Home {
        set(home, &self.endpoint)
    }

    /// The same, through a proxy. What does not answer is given up soon.
    #[must_use]
    pub fn known_through(&self, proxy: &FaultProxy, home: &Home) -> Home {
        set(home, &proxy.endpoint()).with("IRONBORG_STORE_PATIENCE", "2")
    }

    /// The names of all objects below a prefix, without it, in order.
    pub fn objects(&self, prefix: &str) -> Vec<String> {
        let prefix = Key::from(prefix);
        let store = self.connection.store();
        let mut names = self.connection.wait(async {
            let mut listed = store.list(Some(&prefix));
            let mut names = Vec::new();
            while let Some(object) = listed.next().await {
                let object = object.expect("a list");
                let parts = object.location.prefix_match(&prefix).expect("below it");
                let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
                names.push(parts.join("/"));
            }
            names
        });
        names.sort();
        names
    }

    /// The content of an object, if there is one.
    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        let store = self.connection.store();
        self.connection.wait(async {
            let got = store.get(&Key::from(name)).await.ok()?;
            Some(got.bytes().await.expect("its content").into())
        })
    }

    /// What the environment says of it, as lines for a shell.
    pub fn exports(&self) -> String {
        let variables = variables(&self.endpoint);
        let lines = variables.map(|(name, value)| format!("export {name}='{value}'\n"));
        lines.concat()
    }

    /// Copies all objects below a prefix into a directory, as any tool that copies buckets does.
    pub fn download(&self, prefix: &str, to: &Path) {
        let prefix = Key::from(prefix);
        let store = self.connection.store();
        self.connection.wait(async {
            let mut listed = store.list(Some(&prefix));
            while let Some(object) = listed.next().await {
                let object = object.expect("a list");
                let parts = object.location.prefix_match(&prefix).expect("below it");
                let path = parts.fold(to.to_owned(), |path, part| path.join(part.as_ref()));
                let content = store.get(&object.location).await.expect("an object");
                let content = content.bytes().await.expect("its content");
                fs::create_dir_all(path.parent().expect("below a directory")).expect("room");
                fs::write(path, content).expect("room");
            }
        });
    }

    /// Copies a directory to objects below a prefix.
    pub fn upload(&self, from: &Path, prefix: &str) {
        let store = self.connection.store();
        let mut open = vec![from.to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let below = path.strip_prefix(from).expect("below it");
                let key = Key::from(format!("{prefix}/{}", below.display()));
                let content = fs::read(&path).expect("a file");
                let put = self.connection.wait(store.put(&key, content.into()));
                put.expect("room");
            }
        }
    }
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(dir: &Path, [master, volume, filer, s3]: [u16; 4], volumes: u32) -> Child {
    let log = fs::File::create(dir.join("log")).expect("room");
    Command::new(program())
        .arg("server")
        .arg(format!("-dir={}", dir.display()))
        .args([
            "-ip=127.0.0.1",
            "-s3",
            // These have ports that do not depend on the others.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=128",
        ])
        .arg(format!("-volume.max={volumes}"))
        .arg(format!("-master.port={master}"))
        .arg(format!("-volume.port={volume}"))
        .arg(format!("-filer.port={filer}"))
        .arg(format!("-s3.port={s3}"))
        .arg(format!(
            "-s3.config={}",
            dir.join("identities.json").display()
        ))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn()
        .expect("the server starts")
}

fn endpoint_of([.., s3]: [u16; 4]) -> String {
    format!("http://127.0.0.1:{s3}")
}

fn set(home: &Home, endpoint: &str) -> Home {
    let variables = variables(endpoint);
    variables
        .iter()
        .fold(home.clone(), |home, (name, value)| home.with(name, value))
}

/// What the environment says of it.
fn variables(endpoint: &str) -> [(&'static str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
    ]
}

/// SeaweedFS, as `cargo xtask test` installed it or `IRONBORG_WEED` names it.
fn program() -> PathBuf {
    let path = env::var_os("IRONBORG_WEED")
        .map_or_else(|| target().join("seaweedfs/bin/weed"), PathBuf::from);
    assert!(
        path.is_file(),
        "SeaweedFS is missing: {} (`cargo xtask test` installs it; IRONBORG_WEED overrides)",
        path.display()
    );
    path
}

/// Ports nobody has, and none that is 10000 above: those are used as well, where there is room for them.
fn free_ports() -> [u16; 4] {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < 4 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        held.push(listener);
        let Some(second) = port.checked_add(10_000) else {
            continue;
        };
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", second)) {
            held.push(listener);
            ports.push(port);
        }
    }
    ports.try_into().expect("four")
}
