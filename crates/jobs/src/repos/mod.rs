//! The repositories a server keeps for its clients: what is configured, and the lines of `authorized_keys` made of it.
//!
//! ```text
//! config            TOML → repositories, with errors that point at line and key
//! public_key        the keys of clients, checked
//! authorized_keys   lines for sshd, put among those of others
//! ```

pub mod authorized_keys;
pub mod config;
pub mod public_key;

use std::path::PathBuf;

use self::public_key::PublicKey;

/// A repository, or a directory of repositories, that clients have.
#[derive(Debug, Clone, PartialEq)]
pub struct Repo {
    /// What it is called here.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Who it belongs to, and who clients log in as.
    pub user: String,
    /// Its group; nothing: the user's.
    pub group: Option<String>,
    /// What `serve --storage-quota` says.
    pub quota: Option<Quota>,
    /// The keys of clients, and what each may do.
    pub keys: Vec<(PublicKey, Rights)>,
    /// Whether clients may have repositories below the path.
    pub allow_sub_repos: bool,
}

/// What a client may do with its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    All,
    /// Add to it.
    AppendOnly,
}

/// A quota as written, which is what the server is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// As written, such as `100G`.
    pub text: String,
    /// The bytes it stands for.
    pub bytes: u64,
}
