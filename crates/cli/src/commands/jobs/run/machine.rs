//! What this machine is like: networks, power, hosts.

use std::ffi::{OsStr, OsString};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use ironborg_jobs::job::{Job, Target};
use ironborg_jobs::run::{Machine, Reach};
use ironborg_source::named_file;
use ironborg_types::text;

use super::environment::Variables;
use crate::context::Context;
use crate::location::{Location, Protocol};
use crate::placeholders::Placeholders;
use crate::shell_words;

/// How long a host may take to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The same with finding its address.
const REACH_LIMIT: Duration = Duration::from_secs(15);
/// Where ssh servers are.
const SSH_PORT: u16 = 22;
/// What the network manager is asked through.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
/// Flag of a route that is in use.
const ROUTE_UP: u32 = 1;

/// The machine this runs on.
pub(super) struct RealMachine<'a> {
    pub(super) job: &'a Job,
    pub(super) context: &'a Context,
    /// Where `/proc` and `/sys` are.
    pub(super) root: PathBuf,
}

impl Machine for RealMachine<'_> {
    fn online(&self) -> bool {
        let table = |name: &str| self.read(&format!("proc/net/{name}"));
        has_default_route_4(&table("route")) || has_default_route_6(&table("ipv6_route"))
    }

    fn metered(&self) -> bool {
        if !named_file::exists(Path::new(SYSTEM_BUS)) {
            return false;
        }
        let manager = "org.freedesktop.NetworkManager";
        let object = "/org/freedesktop/NetworkManager";
        let asked = Command::new("busctl")
            .args(["--timeout=2", "get-property"])
            .args([manager, object, manager, "Metered"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        asked.is_ok_and(|answer| is_metered(&answer.stdout))
    }

    fn ac_power(&self) -> bool {
        is_on_mains(&supplies(&self.root.join("sys/class/power_supply")))
    }

    fn exists(&self, path: &Path) -> bool {
        named_file::exists(path)
    }

    fn reach(&self, target: &Target) -> Reach {
        let Some((user, host, port)) = self.host_of(target) else {
            return Reach::Yes;
        };
        let Some(rsh) = self.rsh(target) else {
            return Reach::Yes;
        };
        match self.address(&rsh, user.as_deref(), &host, port) {
            Some((host, port)) => connect(host, port),
            None => Reach::Yes,
        }
    }

    fn is_present(&self, target: &Target) -> bool {
        match self.location(target) {
            Some(location) if location.is_local() => {
                let path = PathBuf::from(OsString::from_vec(location.path));
                // An empty directory is where the device would be mounted.
                let is_empty = named_file::is_empty_directory(&path);
                named_file::exists(&path) && !matches!(is_empty, Ok(Some(true)))
            }
            _ => true,
        }
    }
}

impl RealMachine<'_> {
    fn read(&self, path: &str) -> String {
        let path = self.root.join(path);
        let content = named_file::read(path.as_os_str()).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    fn location(&self, target: &Target) -> Option<Location> {
        let placeholders = Placeholders::new(&self.context.identity);
        let expanded = placeholders.expand(target.repository.as_bytes()).ok()?;
        Location::parse(&expanded)
    }

    fn host_of(&self, target: &Target) -> Option<(Option<String>, String, Option<u32>)> {
        let Protocol::Ssh { user, host, port } = self.location(target)?.protocol else {
            return None;
        };
        let shown = |bytes: &[u8]| text::display(bytes).into_owned();
        let host = shown(Location::host_name(&host));
        Some((user.as_deref().map(shown), host, port))
    }

    /// The words of the remote shell, as the commands of the job will take them; `None` if only they can tell.
    fn rsh(&self, target: &Target) -> Option<Vec<OsString>> {
        let variables = Variables::of_target(self.job, target, None)
            .unwrap_or_else(|_| Variables::of_job(self.job));
        let arguments = &self.job.arguments;
        let words = arguments.all.iter().chain(&arguments.create);
        if words.clone().any(|word| word.starts_with("--rsh")) {
            return None;
        }
        let rsh = variables
            .value("BORG_RSH", None)
            .unwrap_or_else(|| "ssh".into());
        let words = shell_words::split(rsh.as_bytes()).ok()?;
        Some(words.into_iter().map(OsString::from_vec).collect())
    }

    /// Where ssh would connect to; `None` if it does so through something else.
    fn address(
        &self,
        rsh: &[OsString],
        user: Option<&str>,
        host: &str,
        port: Option<u32>,
    ) -> Option<(String, u16)> {
        let (program, words) = rsh.split_first()?;
        if Path::new(program).file_name() != Some(OsStr::new("ssh")) {
            return None;
        }
        let mut command = Command::new(program);
        command.args(words).arg("-G");
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = user {
            command.args(["-l", user]);
        }
        command.args(["--", host]);
        Variables::of_job(self.job).apply(&mut command);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        match command.output() {
            Ok(answer) if answer.status.success() => {
                address_in(&String::from_utf8_lossy(&answer.stdout))
            }
            // It will say itself what is wrong.
            _ => None,
        }
    }
}

/// Host and port in what `ssh -G` prints.
fn address_in(settings: &str) -> Option<(String, u16)> {
    let value = |name: &str| {
        settings.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then(|| value.trim())
        })
    };
    let through = |name| value(name).is_some_and(|value| value != "none");
    if through("proxycommand") || through("proxyjump") {
        return None;
    }
    let port = value("port").map_or(Some(SSH_PORT), |port| port.parse().ok())?;
    Some((value("hostname")?.to_owned(), port))
}

/// Whether somebody answers there. A resolver that does not is left to itself.
fn connect(host: String, port: u16) -> Reach {
    let shown = format!("{host} port {port}");
    let (answer, answered) = channel();
    let try_all = move || {
        let addresses = match (host.as_str(), port).to_socket_addrs() {
            Ok(addresses) => addresses,
            Err(error) => return Err(error.to_string()),
        };
        let mut reason = "no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
                Ok(_) => return Ok(()),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    };
    let started = std::thread::Builder::new()
        .name("reach".to_owned())
        .spawn(move || answer.send(try_all()));
    if started.is_err() {
        return Reach::Yes;
    }
    match answered.recv_timeout(REACH_LIMIT) {
        Ok(Ok(())) => Reach::Yes,
        Ok(Err(reason)) => Reach::No(format!("{shown} does not answer: {reason}")),
        Err(_) => Reach::No(format!("{shown} does not answer")),
    }
}

/// Looks for a default route in `/proc/net/route`.
fn has_default_route_4(table: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, destination, _, flags, _, _, _, mask, ..] = fields[..] else {
            return false;
        };
        let is_up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & ROUTE_UP != 0);
        interface != "lo" && destination == "00000000" && mask == "00000000" && is_up
    })
}

/// Looks for a default route in `/proc/net/ipv6_route`.
fn has_default_route_6(table: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [destination, prefix, _, _, _, _, _, _, flags, interface] = fields[..] else {
            return false;
        };
        let is_all = prefix == "00" && destination.bytes().all(|byte| byte == b'0');
        let is_up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & ROUTE_UP != 0);
        is_all && is_up && interface != "lo"
    })
}

/// What the network manager says: yes (1), or that it guesses so (3).
fn is_metered(answer: &[u8]) -> bool {
    matches!(answer.trim_ascii(), b"u 1" | b"u 3")
}

/// A power supply as the kernel shows it.
struct Supply {
    kind: String,
    online: bool,
    discharging: bool,
    /// It is a mouse's or the like.
    of_device: bool,
}

fn supplies(directory: &Path) -> Vec<Supply> {
    // A machine without any has no such directory.
    let names = named_file::names_in(directory).unwrap_or_default();
    let supplies = names.iter().map(|name| {
        let read = |file: &str| {
            let path = directory.join(name).join(file);
            let content = named_file::read(path.as_os_str()).unwrap_or_default();
            String::from_utf8_lossy(&content).trim().to_owned()
        };
        Supply {
            kind: read("type"),
            online: read("online") == "1",
            discharging: read("status") == "Discharging",
            of_device: read("scope") == "Device",
        }
    });
    supplies.collect()
}

fn is_on_mains(supplies: &[Supply]) -> bool {
    let plugged = |supply: &Supply| supply.kind != "Battery" && supply.online;
    let draining =
        |supply: &Supply| supply.kind == "Battery" && supply.discharging && !supply.of_device;
    supplies.iter().any(plugged) || !supplies.iter().any(draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_is_a_network() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n";
        let check = |line: &str, expected: bool| {
            assert_eq!(
                has_default_route_4(&format!("{head}{line}")),
                expected,
                "{line}"
            );
        };
        check(
            "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\n",
            true,
        );
        check(
            "eth0\t00000000\t010011AC\t0002\t0\t0\t0\t00000000\t0\n",
            false,
        );
        check(
            "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n",
            false,
        );
        check(
            "lo\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\n",
            false,
        );
        check("garbage\n\n", false);
        assert!(!has_default_route_4(""));

        let zero = "0".repeat(32);
        let line = |prefix: &str, flags: &str, interface: &str| {
            format!(
                "{zero} {prefix} {zero} 00 {zero} 00000400 00000001 00000000 {flags} {interface}\n"
            )
        };
        assert!(has_default_route_6(&line("00", "00000003", "eth0")));
        // What there always is: unreachable, by the loopback.
        assert!(!has_default_route_6(&line("00", "00200200", "lo")));
        assert!(!has_default_route_6(&line("40", "00000001", "eth0")));
        assert!(!has_default_route_6("x\n"));
    }

    #[test]
    fn power_is_what_the_kernel_says() {
        let root = tempfile::tempdir().unwrap();
        let check = |supplies_there: &[(&str, &[(&str, &str)])], expected: bool| {
            let directory = root.path().join("power_supply");
            std::fs::create_dir(&directory).unwrap();
            for (name, files) in supplies_there {
                std::fs::create_dir(directory.join(name)).unwrap();
                for (file, content) in *files {
                    std::fs::write(directory.join(name).join(file), format!("{content}\n"))
                        .unwrap();
                }
            }
            let found = is_on_mains(&supplies(&directory));
            assert_eq!(found, expected, "{supplies_there:?}");
            std::fs::remove_dir_all(&directory).unwrap();
        };
        let off: &[_] = &[("type", "Mains"), ("online", "0")];
        let on: &[_] = &[("type", "Mains"), ("online", "1")];
        let usb: &[_] = &[("type", "USB"), ("online", "1")];
        let draining: &[_] = &[("type", "Battery"), ("status", "Discharging")];
        let full: &[_] = &[("type", "Battery"), ("status", "Full")];
        let mouse: &[_] = &[
            ("type", "Battery"),
            ("status", "Discharging"),
            ("scope", "Device"),
        ];
        check(&[], true);
        check(&[("AC", on), ("BAT0", draining)], true);
        check(&[("AC", off), ("BAT0", draining)], false);
        check(&[("AC", off), ("BAT0", draining), ("usb", usb)], true);
        check(&[("BAT0", full)], true);
        check(&[("mouse", mouse)], true);
        assert!(is_on_mains(&supplies(&root.path().join("missing"))));
    }

    #[test]
    fn a_network_is_metered_if_its_manager_says_or_guesses_so() {
        let answers = [(&b"u 1\n"[..], true), (b"u 3\n", true), (b"u 2\n", false)];
        for (answer, expected) in answers {
            assert_eq!(is_metered(answer), expected);
        }
        assert!(!is_metered(b"u 4\n") && !is_metered(b"u 0\n") && !is_metered(b""));
    }

    #[test]
    fn an_address_is_where_ssh_would_connect_to() {
        let check = |settings: &str, expected: Option<(&str, u16)>| {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(address_in(settings), expected, "{settings}");
        };
        let plain = "host nas\nuser me\nhostname nas.lan\nport 2222\n";
        check(plain, Some(("nas.lan", 2222)));
        check("hostname nas.lan\n", Some(("nas.lan", 22)));
        check(&format!("{plain}proxyjump gate\n"), None);
        check(&format!("{plain}proxycommand nc %h %p\n"), None);
        check(
            &format!("{plain}proxycommand none\n"),
            Some(("nas.lan", 2222)),
        );
        check("hostname nas\nport 70000\n", None);
        check("", None);
    }

    #[test]
    fn a_host_answers_or_does_not() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(connect("127.0.0.1".to_owned(), port), Reach::Yes);
        drop(listener);
        let Reach::No(reason) = connect("127.0.0.1".to_owned(), port) else {
            panic!("nobody is there");
        };
        assert!(reason.starts_with(&format!("127.0.0.1 port {port} does not answer: ")));
        assert!(matches!(
            connect("host.invalid".to_owned(), 22),
            Reach::No(_)
        ));
    }
}
