//! What only the C library or the kernel can tell: names of this host and its users, hardware addresses.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use ironborg_jobs::job::IoPriority;

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserEntry {
    /// Login name.
    pub(crate) name: OsString,
    /// Home directory.
    pub(crate) home: PathBuf,
    /// Number.
    pub(crate) uid: u32,
    /// Number of its group.
    pub(crate) gid: u32,
}

/// Has a static program look names up in files and by DNS, whatever else the system is set up for.
///
/// Other services are libraries made for the system's own C library: loaded into a program that brings another one, they
/// can end it. To be called before there is a second thread.
pub(crate) fn keep_foreign_name_services_out() {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    {
        use std::ffi::{c_char, c_int};

        unsafe extern "C" {
            // Source: glibc, `nss.h`.
            fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
        }
        for (database, services) in [
            (c"passwd", c"files"),
            (c"group", c"files"),
            (c"initgroups", c"files"),
            (c"services", c"files"),
            (c"protocols", c"files"),
            (c"hosts", c"files dns"),
        ] {
            // SAFETY: both are strings that end, and are copied; nobody looks anything up meanwhile.
            let failed = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
            debug_assert_eq!(failed, 0, "{database:?} is a database");
        }
    }
}

/// Has all threads share as few heaps as do not hold them up: by default there are eight for each core, and each keeps what
/// was freed in it. To be called before there is a second thread.
pub(crate) fn share_heaps() {
    #[cfg(target_env = "gnu")]
    {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let heaps = libc::c_int::try_from((cores / 2).max(2)).unwrap_or(libc::c_int::MAX);
        // SAFETY: it only sets a parameter, under the allocator's own lock.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, heaps);
        }
    }
}

/// The user the process acts as.
pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user who started the process.
pub(crate) fn real_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Sets the permissions that new files of this process do not get.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: the call takes any value, cannot fail and touches no memory.
    unsafe { libc::umask(mask & 0o777) };
}

/// Runs `note` whenever the signal comes, at once, on whatever thread is running.
///
/// `note` may only store to atomics: nothing else is allowed inside a signal handler.
pub(crate) fn note_signal(signal: i32, note: fn()) -> std::io::Result<()> {
    // SAFETY: storing to an atomic is async-signal-safe, and that is all `note` does.
    unsafe { signal_hook::low_level::register(signal, note) }.map(drop)
}

/// Room for one entry of the user database; grown where it does not do.
const ENTRY_LEN: usize = 4096;
/// An entry larger than this is refused.
const ENTRY_LEN_MAX: usize = 1 << 20;

/// Looks a user up by number.
pub(crate) fn user_by_id(uid: u32) -> Option<UserEntry> {
    // SAFETY: all pointers stay valid for the call; `look_up` passes a buffer with its true length.
    look_up(|entry, buffer, found| unsafe {
        libc::getpwuid_r(uid, entry, buffer.as_mut_ptr().cast(), buffer.len(), found)
    })
}

/// Looks a user up by name.
pub(crate) fn user_by_name(name: &OsStr) -> Option<UserEntry> {
    let name = CString::new(name.as_bytes()).ok()?;
    // SAFETY: as above; `name` lives until the call has returned.
    look_up(|entry, buffer, found| unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            entry,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            found,
        )
    })
}

fn look_up(
    call: impl Fn(*mut libc::passwd, &mut [u8], *mut *mut libc::passwd) -> libc::c_int,
) -> Option<UserEntry> {
    let mut buffer = vec![0_u8; ENTRY_LEN];
    loop {
        // SAFETY: `passwd` is plain data for which all zeroes is a valid value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let result = call(&raw mut entry, &mut buffer, &raw mut found);
        if result == libc::ERANGE && buffer.len() < ENTRY_LEN_MAX {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        if result != 0 || found.is_null() || entry.pw_name.is_null() || entry.pw_dir.is_null() {
            return None;
        }
        // SAFETY: after success both point to NUL-terminated texts inside `buffer`, which is alive.
        let (name, home) = unsafe { (CStr::from_ptr(entry.pw_name), CStr::from_ptr(entry.pw_dir)) };
        return Some(UserEntry {
            name: OsString::from_vec(name.to_bytes().to_vec()),
            home: PathBuf::from(OsString::from_vec(home.to_bytes().to_vec())),
            uid: entry.pw_uid,
            gid: entry.pw_gid,
        });
    }
}

/// Takes a variable out of the environment. Only while there is one thread.
pub(crate) fn take_variable(name: &OsStr) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: nobody else reads the environment meanwhile: the caller says there are no other threads.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// The end of a pipe that whoever started this program has left open as `number`; `None` if there is none.
pub(crate) fn inherited_pipe(number: i32) -> Option<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return None;
    }
    // SAFETY: the call only looks; a number that is not open gives an error. It is borrowed for this one call.
    let open = unsafe { libc::fcntl(number, libc::F_GETFL) };
    if open < 0 || open & libc::O_ACCMODE != libc::O_WRONLY {
        return None;
    }
    // SAFETY: it is open, it was left to this program, and nothing here has opened or taken anything yet.
    let pipe = unsafe { OwnedFd::from_raw_fd(number) };
    let is_pipe = rustix::pipe::fcntl_getpipe_size(&pipe).is_ok();
    is_pipe.then_some(pipe)
}

/// Makes this process one of another user's, with all groups of that user, for good. If it is one already
/// nothing happens.
///
/// # Errors
/// The system does not allow it. Nothing more should be done then: some of it may have been.
pub(crate) fn become_user(user: &UserEntry) -> std::io::Result<()> {
    if effective_uid() == user.uid && real_uid() == user.uid {
        return Ok(());
    }
    let name = CString::new(user.name.as_bytes())?;
    let done = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: `name` lives through the call, which reads it only.
    done(unsafe { libc::initgroups(name.as_ptr(), user.gid) })?;
    // SAFETY: plain numbers; the C library changes all threads.
    done(unsafe { libc::setgid(user.gid) })?;
    // SAFETY: as above. The last: without root's rights the others could not be done.
    done(unsafe { libc::setuid(user.uid) })
}

/// How much a program takes from others.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Priority {
    /// Niceness.
    pub(crate) nice: Option<i32>,
    /// Class and priority of reading and writing.
    pub(crate) io: Option<IoPriority>,
}

/// `ioprio_set(2)`: it is about one process.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// Its classes, and where they are in the number.
const IOPRIO_CLASS_SHIFT: u32 = 13;
const IOPRIO_CLASS_BEST_EFFORT: libc::c_int = 2;
const IOPRIO_CLASS_IDLE: libc::c_int = 3;

/// Has a command, once it is started, take no more than it may, and be told to end when this thread ends, however that
/// happens. What the system does not allow is left as it is: a backup that is not as nice is better than none.
pub(crate) fn start_as_dependent(command: &mut Command, priority: Priority) {
    let io = priority.io.map(|io| match io {
        IoPriority::Idle => IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT,
        IoPriority::BestEffort(level) => {
            (IOPRIO_CLASS_BEST_EFFORT << IOPRIO_CLASS_SHIFT) | libc::c_int::from(level.min(7))
        }
    });
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let prepare = move || {
        // SAFETY: plain system calls with plain numbers, which touch no memory and can be made between fork and exec.
        unsafe {
            if let Some(nice) = priority.nice {
                libc::setpriority(libc::PRIO_PROCESS, 0, nice);
            }
            if let Some(io) = io {
                libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, io);
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            // It may have ended before that was said.
            if libc::getppid() != parent {
                libc::raise(libc::SIGTERM);
            }
        }
        Ok(())
    };
    // SAFETY: `prepare` makes system calls only: no memory is allocated and no lock taken.
    unsafe { command.pre_exec(prepare) };
}

/// All groups of a user, his own among them.
pub(crate) fn groups_of(user: &UserEntry) -> Vec<u32> {
    let Ok(name) = CString::new(user.name.as_bytes()) else {
        return vec![user.gid];
    };
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `name` lives through the call, and `groups` has room for `count` numbers.
        let result = unsafe {
            libc::getgrouplist(name.as_ptr(), user.gid, groups.as_mut_ptr(), &raw mut count)
        };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(count);
            return groups;
        }
        if groups.len() >= GROUP_COUNT_MAX {
            return vec![user.gid];
        }
        groups.resize((groups.len() * 2).max(count).min(GROUP_COUNT_MAX), 0);
    }
}

/// The kernel lets nobody be in more groups.
const GROUP_COUNT_MAX: usize = 65_536;

/// Has a command be started as another user, with these groups.
pub(crate) fn start_as_user(command: &mut Command, user: &UserEntry, groups: Vec<u32>) {
    let (uid, gid) = (user.uid, user.gid);
    let done = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    let switch = move || {
        // SAFETY: `groups` lives as long as this closure, and the length is its own.
        done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
        // SAFETY: plain numbers.
        done(unsafe { libc::setgid(gid) })?;
        // SAFETY: as above. The last: without root's rights the others could not be done.
        done(unsafe { libc::setuid(uid) })
    };
    // SAFETY: `switch` makes system calls only: no memory is allocated and no lock taken.
    unsafe { command.pre_exec(switch) };
}

/// The number of a group.
pub(crate) fn group_by_name(name: &OsStr) -> Option<u32> {
    let name = CString::new(name.as_bytes()).ok()?;
    let mut buffer = vec![0_u8; ENTRY_LEN];
    loop {
        // SAFETY: `group` is plain data for which all zeroes is a valid value.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers stay valid for the call, and the buffer has its true length.
        let result = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        if result == libc::ERANGE && buffer.len() < ENTRY_LEN_MAX {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        return (result == 0 && !found.is_null()).then_some(entry.gr_gid);
    }
}

/// Keeps what whoever started this program left open from the programs it starts: among it may be the
/// passphrase of `BORG_PASSPHRASE_FD`.
pub(crate) fn keep_descriptors_private() {
    // SAFETY: the call only marks descriptors, and touches no memory. A kernel without it leaves them as
    // they are.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}

/// A descriptor of our own for the open file the user names by number; `None` if there is none.
///
/// Opening `/proc/self/fd/N` instead would ask for permissions on the file again, and fail for sockets.
pub(crate) fn duplicate_descriptor(number: i32) -> Option<OwnedFd> {
    // SAFETY: the call only makes a new descriptor; a number that is not open gives an error.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    // SAFETY: the descriptor was made by the line above, and nobody else knows of it.
    (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The host's name as the kernel has it.
pub(crate) fn node_name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// The canonical name the resolver has for `name`. May ask a name server.
pub(crate) fn canonical_name(name: &[u8]) -> Option<Vec<u8>> {
    let name = CString::new(name).ok()?;
    // SAFETY: `addrinfo` is plain data for which all zeroes is a valid value.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_DGRAM;
    hints.ai_flags = libc::AI_CANONNAME;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: `name` and `hints` live through the call; `list` receives a list we free below.
    let result = unsafe {
        libc::getaddrinfo(
            name.as_ptr(),
            std::ptr::null(),
            &raw const hints,
            &raw mut list,
        )
    };
    if result != 0 || list.is_null() {
        return None;
    }
    let mut canonical = None;
    let mut next = list;
    while !next.is_null() && canonical.is_none() {
        // SAFETY: `next` is an element of the list returned above, not yet freed.
        let info = unsafe { &*next };
        if !info.ai_canonname.is_null() {
            // SAFETY: a canonical name is a NUL-terminated text owned by the list.
            let text = unsafe { CStr::from_ptr(info.ai_canonname) };
            canonical = Some(text.to_bytes().to_vec()).filter(|text| !text.is_empty());
        }
        next = info.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo and is freed exactly once.
    unsafe { libc::freeaddrinfo(list) };
    canonical
}

/// Most network interfaces that are looked at.
const INTERFACE_COUNT_MAX: usize = 512;

/// The hardware address libuuid (and with it Python's `uuid.getnode`) picks: of the first interface with
/// an IPv4 address, in the kernel's order, that has one that is not all zero.
pub(crate) fn hardware_address() -> Option<[u8; 6]> {
    use std::os::fd::AsRawFd;
    // Any IPv4 socket does: it is only the handle to ask the kernel through.
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // SAFETY: `ifreq` is plain data for which all zeroes is a valid value.
    let mut requests: Vec<libc::ifreq> = vec![unsafe { std::mem::zeroed() }; INTERFACE_COUNT_MAX];
    let size = std::mem::size_of::<libc::ifreq>();
    let mut config = libc::ifconf {
        ifc_len: libc::c_int::try_from(size * INTERFACE_COUNT_MAX).ok()?,
        ifc_ifcu: libc::__c_anonymous_ifc_ifcu {
            ifcu_req: requests.as_mut_ptr(),
        },
    };
    // SAFETY: `config` describes the buffer `requests`, which outlives the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFCONF, &raw mut config) } < 0 {
        return None;
    }
    let count = usize::try_from(config.ifc_len).ok()? / size;
    for request in requests.iter_mut().take(count) {
        // SAFETY: the request names an interface, as filled in by the kernel, and is large enough.
        if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut *request) } < 0 {
            continue;
        }
        // SAFETY: after success the kernel has filled in this member of the union.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
        let mut bytes = [0_u8; 6];
        for (byte, raw) in bytes.iter_mut().zip(address) {
            *byte = raw.cast_unsigned();
        }
        if bytes != [0; 6] {
            return Some(bytes);
        }
    }
    None
}
