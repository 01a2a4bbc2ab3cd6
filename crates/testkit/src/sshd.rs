//! A real ssh server for one test: throw-away keys, loopback only, nothing of it left when the test ends.
//!
//! The test process itself listens and hands every connection to an `sshd -i` of its own, as inetd does. So there is no
//! port to lose to somebody else between choosing and binding it, nothing to wait for, and no daemon that could stay.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// What the host is called in the list of known hosts, whatever address and port it is reached by.
const HOST_ALIAS: &str = "ironborg-test";

/// Options every client of ours gets: only what the test says counts, nothing from the user's own configuration.
const CLIENT_OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    "HostKeyAlias=ironborg-test",
    "LogLevel=ERROR",
    // The usual exchange takes a tenth of a second of computing on both sides of each connection.
    "KexAlgorithms=curve25519-sha256",
    "Ciphers=aes128-gcm@openssh.com",
    "ControlMaster=no",
];

/// A server on loopback; it and all its connections end when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    dir: PathBuf,
    port: u16,
    shared: Arc<Shared>,
    /// The port's own, as long as nobody listens.
    closed: Option<OwnedFd>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    connections: Mutex<Vec<Child>>,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<Child>> {
        // Each change is one push or one removal: whole, whoever panicked.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sshd {
    /// Starts listening; `dir` gets keys, configuration and log. Commands run with `variables` in their environment.
    ///
    /// # Panics
    /// When there is no `sshd` or it could not work here.
    pub fn start(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut sshd = Self::closed(dir, variables);
        sshd.open();
        sshd
    }

    /// The same, but nobody listens yet: who connects is refused, as by a machine that is just starting.
    ///
    /// # Panics
    /// As those of [`Sshd::start`].
    pub fn closed(dir: &Path, variables: &[(&str, &str)]) -> Self {
        fs::create_dir_all(dir).expect("room on the disk");
        new_key(&dir.join("host"));
        fs::write(dir.join("authorized_keys"), "").expect("room on the disk");
        let host = fs::read_to_string(dir.join("host.pub")).expect("just made");
        let known = format!("{HOST_ALIAS} {host}");
        fs::write(dir.join("known_hosts"), known).expect("room on the disk");
        fs::write(dir.join("config"), configuration(dir, variables)).expect("room on the disk");
        allow_separation();
        let socket = reserved_port().expect("a free port");
        let address = rustix::net::getsockname(&socket).expect("it is bound");
        let address = std::net::SocketAddr::try_from(address).expect("it is one of IPv4");
        Self {
            dir: dir.to_path_buf(),
            port: address.port(),
            shared: Arc::new(Shared::default()),
            closed: Some(socket),
        }
    }

    /// Starts listening, if nobody does.
    ///
    /// # Panics
    /// When the port does not take it.
    pub fn open(&mut self) {
        let Some(socket) = self.closed.take() else {
            return;
        };
        rustix::net::listen(&socket, 128).expect("the port is ours");
        let listener = TcpListener::from(socket);
        let program = find();
        let (dir, shared) = (self.dir.clone(), Arc::clone(&self.shared));
        // Not joined when dropped: it holds nothing but its share of what is closed there, and ends by itself.
        thread::spawn(move || serve(&listener, &program, &dir, &shared));
    }

    /// A new key that may log in, with options as in `authorized_keys` (`command="…",restrict`; empty for none), and
    /// the words for `BORG_RSH` that log in with it.
    ///
    /// # Panics
    /// When there is no `ssh-keygen`, or a key of this name exists.
    #[track_caller]
    pub fn key(&self, name: &str, options: &str) -> String {
        let path = self.dir.join(format!("key-{name}"));
        assert!(!path.exists(), "there is a key called {name}");
        new_key(&path);
        let public = fs::read_to_string(path.with_extension("pub")).expect("just made");
        let separator = if options.is_empty() { "" } else { " " };
        let mut allowed = OpenOptions::new()
            .append(true)
            .open(self.dir.join("authorized_keys"))
            .expect("made at the start");
        write!(allowed, "{options}{separator}{public}").expect("room on the disk");
        let mut words = format!("ssh -F none -i {}", path.display());
        for option in CLIENT_OPTIONS {
            write!(words, " -o {option}").expect("writing to a string");
        }
        let known = self.dir.join("known_hosts");
        // The port is given here too: short locations (`host:path`) have no place for it.
        let (known, port) = (known.display(), self.port);
        write!(words, " -o UserKnownHostsFile={known} -o Port={port}")
            .expect("writing to a string");
        words
    }

    /// The options of a key that can only run `command`.
    ///
    /// # Panics
    /// When the command has quotes, which these tests need not.
    #[track_caller]
    pub fn forced(command: &str) -> String {
        assert!(!command.contains('"'), "quotes in {command}");
        format!("command=\"{command}\",restrict")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The location of a repository here, given its path.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://127.0.0.1:{}{}", self.port, path.display())
    }

    /// Cuts every connection there is: clients see their ssh end, servers the end of their input.
    ///
    /// # Panics
    /// When our own children cannot be waited for.
    pub fn cut_connections(&self) {
        let ended: Vec<Child> = self.shared.connections().drain(..).collect();
        for mut child in ended {
            end(&child);
            child.wait().expect("our own child can be waited for");
        }
    }

    /// What the servers logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the listening thread, which then sees that it is over.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        self.cut_connections();
    }
}

/// A port of loopback that is nobody else's, and that nobody listens on.
fn reserved_port() -> rustix::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, socket_with};
    let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket)
}

/// Starts an sshd for each connection until told to stop.
fn serve(listener: &TcpListener, program: &Path, dir: &Path, shared: &Shared) {
    for stream in listener.incoming() {
        let mut connections = shared.connections();
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        connections.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let Ok(stream) = stream else { continue };
        let output = stream.try_clone().expect("descriptors to spare");
        let child = Command::new(program)
            .arg("-i")
            .arg("-f")
            .arg(dir.join("config"))
            .arg("-E")
            .arg(dir.join("log"))
            .stdin(OwnedFd::from(stream))
            .stdout(OwnedFd::from(output))
            .stderr(Stdio::null())
            .env_clear()
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        connections.push(child);
    }
}

fn end(child: &Child) {
    // A process that has ended already, but was not waited for, takes the signal and is none the worse.
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Only keys, only the files in `dir`, and none of the checks that ask who owns a scratch directory.
fn configuration(dir: &Path, variables: &[(&str, &str)]) -> String {
    let dir = dir.display();
    let mut text = format!(
        "HostKey {dir}/host\n\
         AuthorizedKeysFile {dir}/authorized_keys\n\
         PidFile none\n\
         UsePAM no\n\
         StrictModes no\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         PermitRootLogin yes\n\
         UseDNS no\n\
         X11Forwarding no\n"
    );
    // Only the first such line counts. With SHLVL set bash leaves out ~/.bashrc, which it reads for ssh otherwise.
    text.push_str("SetEnv SHLVL=1");
    for (name, value) in variables {
        write!(text, " \"{name}={value}\"").expect("writing to a string");
    }
    text.push('\n');
    text
}

/// The directory sshd locks its unprivileged half into; packages make it when a service starts, which ours never does.
fn allow_separation() {
    if rustix::process::geteuid().is_root() {
        let made = fs::DirBuilder::new().mode(0o755).create("/run/sshd");
        if let Err(error) = made {
            // Where the directory is another one, sshd says so in its log.
            let there = error.kind() == std::io::ErrorKind::AlreadyExists;
            assert!(there, "/run/sshd: {error}");
        }
    }
}

#[track_caller]
fn new_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ssh-keygen does not work (`cargo xtask test` installs it)"
    );
}

/// sshd by its full name, which it needs to start itself again; `/usr/sbin` is not on every user's path.
fn find() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("sshd"))
        .find(|program| program.is_file())
        .expect("there is no sshd (`cargo xtask test` installs it)")
}
