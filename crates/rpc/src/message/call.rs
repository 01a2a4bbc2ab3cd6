//! Calls: what a client asks a server to do, and how it says so.

use ironborg_format::msgpack::{
    push_array_len, push_bool, push_float64, push_int, push_map_len, push_nil, push_raw, push_uint,
};
use ironborg_types::ChunkId;

use super::{SNAPSHOTS, Version};

/// What the positional form gives as type of every message.
const POSITIONAL_TYPE: i64 = 1;
/// Below this every whole number of seconds is the same as integer and as float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// How the parameters of a call are given; the reply has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A map with the parameters by name: 1.1 and newer.
    Named,
    /// An array with the parameters in a fixed order.
    Positional,
}

/// How a repository is to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// The path as the client's location has it.
    pub path: Vec<u8>,
    /// Make it.
    pub create: bool,
    /// Seconds to wait for the lock; `None` waits for ever.
    pub lock_wait: Option<f64>,
    /// Lock it at all.
    pub lock: bool,
    /// For writing; `None` from clients before 1.1, who do not say.
    pub exclusive: Option<bool>,
    /// Remove nothing for good.
    pub append_only: bool,
    /// Make missing directories above it too.
    pub make_parent_dirs: bool,
}

/// A call with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Call<'a> {
    /// The first call: versions are exchanged. `None` is a client before 1.1.
    Negotiate {
        /// The client's version.
        client: Option<Version>,
        /// Whether it wants to know if [`Call::OpenSnapshot`] is understood. Borg's clients do not ask.
        snapshots: bool,
    },
    /// Opens or makes a repository. Replies with its id.
    Open(Open),
    /// Opens a repository to read what is committed in it, without a lock. Replies with its id. Only servers know it
    /// that say so in their first reply.
    OpenSnapshot {
        /// The path as the client's location has it.
        path: Vec<u8>,
    },
    /// Checks the repository, without looking at archives. Replies whether it is sound.
    Check {
        /// Repair what is not.
        repair: bool,
        /// Work in small portions to save space.
        save_space: bool,
        /// Seconds after which to stop; 0 for never.
        max_duration: i64,
    },
    /// Ends the transaction.
    Commit {
        /// Ignored by newer servers.
        save_space: bool,
        /// Compact too.
        compact: bool,
        /// What share of a segment must be free for compaction.
        threshold: f64,
        /// Remove segments that only hold a commit.
        cleanup_commits: bool,
    },
    /// Forgets the transaction.
    Rollback,
    /// Removes the repository.
    Destroy,
    /// Removes the lock whoever holds it.
    BreakLock,
    /// How many objects there are.
    Len,
    /// Ids in index order after `marker`.
    List {
        /// At most so many.
        limit: Option<u64>,
        /// The last id of the page before.
        marker: Option<ChunkId>,
    },
    /// Ids in the order of storage after `marker`.
    Scan {
        /// At most so many.
        limit: Option<u64>,
        /// The last id of the page before.
        marker: Option<ChunkId>,
    },
    /// Reads an object.
    Get {
        /// Which.
        id: ChunkId,
    },
    /// Stores an object.
    Put {
        /// Which.
        id: ChunkId,
        /// The object.
        data: &'a [u8],
    },
    /// Removes an object.
    Delete {
        /// Which.
        id: ChunkId,
    },
    /// Keeps the key with the repository.
    SaveKey {
        /// Its text.
        keydata: &'a [u8],
    },
    /// The key kept with the repository; empty if there is none.
    LoadKey,
    /// The first nonce nobody has reserved, or nil.
    GetFreeNonce,
    /// Reserves nonces.
    CommitNonceReservation {
        /// The first that is free afterwards.
        next_unreserved: u64,
        /// The first that was free before.
        start_nonce: Option<u64>,
    },
    /// Fails as told, for tests of clients.
    InjectException {
        /// How.
        kind: &'a [u8],
    },
}

impl Call<'_> {
    /// The name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Negotiate { .. } => "negotiate",
            Self::Open(_) => "open",
            Self::OpenSnapshot { .. } => "open_snapshot",
            Self::Check { .. } => "check",
            Self::Commit { .. } => "commit",
            Self::Rollback => "rollback",
            Self::Destroy => "destroy",
            Self::BreakLock => "break_lock",
            Self::Len => "__len__",
            Self::List { .. } => "list",
            Self::Scan { .. } => "scan",
            Self::Get { .. } => "get",
            Self::Put { .. } => "put",
            Self::Delete { .. } => "delete",
            Self::SaveKey { .. } => "save_key",
            Self::LoadKey => "load_key",
            Self::GetFreeNonce => "get_free_nonce",
            Self::CommitNonceReservation { .. } => "commit_nonce_reservation",
            Self::InjectException { .. } => "inject_exception",
        }
    }

    /// Appends the message for a server. `server` decides how many parameters the positional form has.
    pub fn encode(&self, form: Form, msgid: u64, server: &Version, out: &mut Vec<u8>) {
        let mut parameters = Parameters {
            form,
            count: 0,
            encoded: Vec::new(),
        };
        if let Self::Put { id, data } = self {
            // The one large message is written without a copy in between.
            head(form, msgid, self.method(), 2, out);
            name(form, "id", out);
            push_raw(out, id.as_bytes());
            name(form, "data", out);
            push_raw(out, data);
            return;
        }
        self.push_parameters(&mut parameters, server);
        head(form, msgid, self.method(), parameters.count, out);
        out.extend_from_slice(&parameters.encoded);
    }

    fn push_parameters(&self, to: &mut Parameters, server: &Version) {
        match self {
            Self::Negotiate { client, snapshots } => to.push("client_data", |out| match client {
                Some(version) => {
                    push_map_len(out, 1 + usize::from(*snapshots));
                    push_raw(out, b"client_version");
                    version.encode(out);
                    if *snapshots {
                        push_raw(out, SNAPSHOTS);
                        push_bool(out, true);
                    }
                }
                None => push_int(out, 2),
            }),
            Self::Open(open) => to.push_open(open, server),
            Self::OpenSnapshot { path } => to.push("path", |out| push_raw(out, path)),
            Self::Check {
                repair,
                save_space,
                max_duration,
            } => {
                to.flag("repair", *repair);
                to.flag("save_space", *save_space);
                to.named_only("max_duration", |out| push_int(out, *max_duration));
            }
            Self::Commit {
                save_space,
                compact,
                threshold,
                cleanup_commits,
            } => {
                to.flag("save_space", *save_space);
                to.named_only("compact", |out| push_bool(out, *compact));
                to.named_only("threshold", |out| push_float64(out, *threshold));
                to.named_only("cleanup_commits", |out| push_bool(out, *cleanup_commits));
            }
            Self::List { limit, marker } | Self::Scan { limit, marker } => {
                to.push("limit", |out| push_optional(out, *limit));
                to.push("marker", |out| match marker {
                    Some(id) => push_raw(out, id.as_bytes()),
                    None => push_nil(out),
                });
            }
            Self::Get { id } | Self::Delete { id } => {
                to.push("id", |out| push_raw(out, id.as_bytes()));
            }
            Self::Put { id, data } => {
                to.push("id", |out| push_raw(out, id.as_bytes()));
                to.push("data", |out| push_raw(out, data));
            }
            Self::SaveKey { keydata } => to.push("keydata", |out| push_raw(out, keydata)),
            Self::CommitNonceReservation {
                next_unreserved,
                start_nonce,
            } => {
                to.push("next_unreserved", |out| push_uint(out, *next_unreserved));
                to.push("start_nonce", |out| push_optional(out, *start_nonce));
            }
            Self::InjectException { kind } => to.push("kind", |out| push_raw(out, kind)),
            Self::Rollback
            | Self::Destroy
            | Self::BreakLock
            | Self::Len
            | Self::LoadKey
            | Self::GetFreeNonce => {}
        }
    }
}

fn push_optional(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => push_uint(out, number),
        None => push_nil(out),
    }
}

/// Everything of a message before the first parameter.
fn head(form: Form, msgid: u64, method: &str, parameters: usize, out: &mut Vec<u8>) {
    match form {
        Form::Named => {
            push_map_len(out, 3);
            push_raw(out, b"i");
            push_uint(out, msgid);
            push_raw(out, b"m");
            push_raw(out, method.as_bytes());
            push_raw(out, b"a");
            push_map_len(out, parameters);
        }
        Form::Positional => {
            push_array_len(out, 4);
            push_int(out, POSITIONAL_TYPE);
            push_uint(out, msgid);
            push_raw(out, method.as_bytes());
            push_array_len(out, parameters);
        }
    }
}

fn name(form: Form, name: &str, out: &mut Vec<u8>) {
    if form == Form::Named {
        push_raw(out, name.as_bytes());
    }
}

/// Parameters being encoded.
struct Parameters {
    form: Form,
    count: usize,
    encoded: Vec<u8>,
}

impl Parameters {
    fn push(&mut self, parameter: &str, value: impl FnOnce(&mut Vec<u8>)) {
        name(self.form, parameter, &mut self.encoded);
        value(&mut self.encoded);
        self.count += 1;
    }

    fn flag(&mut self, parameter: &str, value: bool) {
        self.push(parameter, |out| push_bool(out, value));
    }

    /// A parameter the positional form never had.
    fn named_only(&mut self, parameter: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.form == Form::Named {
            self.push(parameter, value);
        }
    }

    fn push_open(&mut self, open: &Open, server: &Version) {
        self.push("path", |out| push_raw(out, &open.path));
        self.flag("create", open.create);
        self.push("lock_wait", |out| match open.lock_wait {
            // Whole seconds, as a rule; and all that old servers understand.
            #[allow(clippy::cast_possible_truncation)]
            // It has no fraction, and what is too long stays long.
            Some(wait) if wait.fract() == 0.0 && wait.abs() < WHOLE_MAX => {
                push_int(out, wait as i64);
            }
            Some(wait) => push_float64(out, wait),
            None => push_nil(out),
        });
        self.flag("lock", open.lock);
        if self.form == Form::Positional && *server < Version::release(1, 0, 7) {
            return;
        }
        self.push("exclusive", |out| match open.exclusive {
            Some(exclusive) => push_bool(out, exclusive),
            None => push_nil(out),
        });
        self.flag("append_only", open.append_only);
        self.named_only("make_parent_dirs", |out| {
            push_bool(out, open.make_parent_dirs);
        });
    }
}
