//! Who and where this process is: names for archives, placeholders and locks.

use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use crate::environment::IdentityVariables;
use crate::sys;

/// Names of this host and user. What may ask a name server is found out when first needed.
#[derive(Debug, Default)]
pub(crate) struct HostIdentity {
    variables: IdentityVariables,
    fqdn: OnceLock<Vec<u8>>,
    host_id: OnceLock<Vec<u8>>,
}

impl HostIdentity {
    /// With the overrides of the environment.
    pub(crate) fn new(variables: IdentityVariables) -> Self {
        Self {
            variables,
            ..Self::default()
        }
    }

    /// `{hostname}` and the host name in archives: the override, else the short host name.
    pub(crate) fn hostname(&self) -> Vec<u8> {
        if let Some(name) = &self.variables.hostname {
            return name.as_bytes().to_vec();
        }
        let name = sys::node_name();
        name.split(|&byte| byte == b'.')
            .next()
            .unwrap_or(&[])
            .to_vec()
    }

    /// `{fqdn}`: the resolver's canonical name of this host, else its name.
    pub(crate) fn fqdn(&self) -> &[u8] {
        self.fqdn.get_or_init(|| {
            let name = sys::node_name();
            sys::canonical_name(&name).unwrap_or(name)
        })
    }

    /// What locks name their owner by: `FQDN@NODE`, the same stock Borg finds on this machine.
    pub(crate) fn host_id(&self) -> &[u8] {
        self.host_id.get_or_init(|| {
            if let Some(id) = &self.variables.host_id {
                return id.as_bytes().to_vec();
            }
            let mut id = self.fqdn().to_vec();
            id.extend_from_slice(format!("@{}", node_number()).as_bytes());
            id
        })
    }

    /// `{user}`: the override, else the name (or number) of the real user.
    pub(crate) fn user(&self) -> Vec<u8> {
        match &self.variables.username {
            Some(name) => name.as_bytes().to_vec(),
            None => real_user_name(),
        }
    }

    /// The user name stored in archives: the override, else the login name.
    pub(crate) fn archive_user(&self) -> Vec<u8> {
        let given = self
            .variables
            .username
            .as_ref()
            .or(self.variables.login_name.as_ref());
        given.map_or_else(real_user_name, |name| name.as_bytes().to_vec())
    }
}

fn real_user_name() -> Vec<u8> {
    let uid = sys::real_uid();
    sys::user_by_id(uid).map_or_else(
        || uid.to_string().into_bytes(),
        |user| user.name.as_bytes().to_vec(),
    )
}

/// The hardware address as a number. A machine without one gets a random number with the multicast
/// bit set, new in every process, as libuuid does: its locks are then never taken for stale.
fn node_number() -> u64 {
    let bytes = sys::hardware_address().unwrap_or_else(|| {
        let mut random = [0_u8; 6];
        // Without randomness the process id still keeps the processes of this host apart.
        if getrandom::fill(&mut random).is_err() {
            random[2..].copy_from_slice(&std::process::id().to_be_bytes());
        }
        random[0] |= 1;
        random
    });
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_win() {
        let identity = HostIdentity::new(IdentityVariables {
            host_id: Some("here".into()),
            hostname: Some("host.example".into()),
            username: Some("me".into()),
            login_name: Some("login".into()),
        });
        assert_eq!(identity.host_id(), b"here");
        assert_eq!(identity.hostname(), b"host.example");
        assert_eq!(identity.user(), b"me");
        assert_eq!(identity.archive_user(), b"me");
    }

    #[test]
    fn the_host_id_is_a_name_and_a_number() {
        let identity = HostIdentity::new(IdentityVariables::default());
        let id = String::from_utf8(identity.host_id().to_vec()).unwrap();
        let (name, number) = id.rsplit_once('@').unwrap();
        assert_eq!(name.as_bytes(), identity.fqdn());
        assert!(number.parse::<u64>().unwrap() < 1 << 48);
        assert!(!identity.hostname().contains(&b'.'));
    }
}
