//! The headers of a tarball to members, block by block.
//!
//! The decoder says how many bytes it wants next; whoever has the stream hands them over, or what is left of
//! it. After a member its content comes first, which the decoder never sees.

use super::header::{self, Header, strip_slashes};
use super::member::{self, Member, blocks};
use super::pax::Records;
use super::sparse::{self, MapInData, OldMap};
use super::{BLOCK_LEN, TarError, kind};

/// Longest name, link target or set of records that is taken.
pub const EXTENSION_LEN_MAX: u64 = 16 << 20;
/// So many headers may extend one member: more say the same thing twice.
const EXTENSIONS_MAX: usize = 64;
/// Bytes of all of them together.
const EXTENSIONS_LEN_MAX: u64 = 2 * EXTENSION_LEN_MAX;

/// What came of the bytes that were handed over.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing yet.
    Nothing,
    /// A member. `stored_len` bytes of the stream are its content, `data_len` of these count.
    Member(Box<Member>),
    /// The end of the tarball: its mark, or the end of the stream.
    End,
    /// What should be a header is none. It is the end, as far as `tarfile` is concerned; the text says why.
    Damage(&'static str),
}

/// Reads a tarball as Python's `tarfile` reads a stream.
#[derive(Debug)]
pub struct Decoder {
    /// Go on after blocks that are no headers.
    ignore_zeros: bool,
    /// Nothing was found yet.
    at_start: bool,
    state: State,
    /// What extends the member to come, outermost first.
    extensions: Vec<Extension>,
    /// Bytes of them.
    extensions_len: u64,
    global: Records,
}

#[derive(Debug)]
enum State {
    Header,
    /// The content of a header that extends the next.
    Payload {
        kind: u8,
        len: u64,
    },
    /// Blocks behind the header of a file with holes.
    OldSparse {
        member: Box<Member>,
        map: OldMap,
    },
    /// A map at the beginning of the content.
    SparseInData {
        member: Box<Member>,
        map: MapInData,
    },
}

#[derive(Debug)]
enum Extension {
    Name(Vec<u8>),
    Link(Vec<u8>),
    Records {
        records: Records,
        /// The old forms of maps are not to be seen in the records alone.
        payload: Vec<u8>,
        /// They are for all members.
        global: bool,
    },
}

impl Decoder {
    /// A decoder at the start of a stream. `ignore_zeros`: the end marks between tarballs joined together, and
    /// anything else that is no header, do not end it.
    pub fn new(ignore_zeros: bool) -> Self {
        Self {
            ignore_zeros,
            at_start: true,
            state: State::Header,
            extensions: Vec::new(),
            extensions_len: 0,
            global: Records::default(),
        }
    }

    /// How many bytes to hand over next.
    pub fn wanted(&self) -> usize {
        match &self.state {
            State::Payload { len, .. } => usize::try_from(*len).expect("checked when it was read"),
            _ => BLOCK_LEN,
        }
    }

    /// Takes the bytes wanted, or fewer if the stream ends there.
    ///
    /// # Errors
    /// What makes `tarfile` fail: nothing at the start; damage behind a header.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Found, TarError> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Header => self.header(bytes),
            State::Payload { kind, .. } => self.payload(kind, bytes),
            State::OldSparse { member, mut map } => {
                let block = bytes.try_into().map_err(|_| TarError::UnexpectedEnd)?;
                match map.extend(block) {
                    Err(TarError::InvalidHeader(text)) => self.invalid(text),
                    Err(error) => Err(error),
                    Ok(()) => self.old_sparse(member, map),
                }
            }
            State::SparseInData {
                mut member,
                mut map,
            } => {
                let block = bytes.try_into().map_err(|_| TarError::UnexpectedEnd)?;
                match map.take(block)? {
                    None => {
                        self.state = State::SparseInData { member, map };
                        Ok(Found::Nothing)
                    }
                    Some(entries) => {
                        member.set_sparse(entries)?;
                        self.extend(member, map.len)
                    }
                }
            }
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Found, TarError> {
        let Ok(block) = <&[u8; BLOCK_LEN]>::try_from(bytes) else {
            return self.cut_off(bytes.is_empty());
        };
        if block.iter().all(|byte| *byte == 0) {
            self.check_not_extended("end of file header")?;
            if self.ignore_zeros {
                self.at_start = false;
                return Ok(Found::Nothing);
            }
            return Ok(Found::End);
        }
        let header = match header::decode(block) {
            Ok(header) => header,
            Err(text) => return self.invalid(text),
        };
        match header.kind {
            kind::GNU_LONG_NAME
            | kind::GNU_LONG_LINK
            | kind::PAX
            | kind::PAX_GLOBAL
            | kind::PAX_SOLARIS => self.extension(&header),
            kind::GNU_SPARSE => match OldMap::of_header(block) {
                Err(TarError::InvalidHeader(text)) => self.invalid(text),
                Err(error) => Err(error),
                Ok(map) => {
                    let mut member = Box::new(Member::new(header)?);
                    member.set_data_len(member.size)?;
                    member.size = member::length(map.real_size)?;
                    self.old_sparse(member, map)
                }
            },
            _ => self.builtin(header),
        }
    }

    /// The stream ended where a header should begin, or in it.
    fn cut_off(&mut self, nothing: bool) -> Result<Found, TarError> {
        if nothing {
            self.check_not_extended("empty header")?;
            return if self.at_start {
                Err(TarError::Empty)
            } else {
                Ok(Found::End)
            };
        }
        self.check_not_extended("truncated header")?;
        if self.at_start {
            return Err(TarError::TruncatedHeader);
        }
        Ok(Found::Damage("truncated header"))
    }

    /// What should be a header is none.
    fn invalid(&mut self, text: &'static str) -> Result<Found, TarError> {
        self.check_not_extended(text)?;
        if self.ignore_zeros {
            self.at_start = false;
            return Ok(Found::Nothing);
        }
        if self.at_start {
            return Err(TarError::InvalidHeader(text));
        }
        Ok(Found::Damage(text))
    }

    /// Behind what extends it there must be a member.
    fn check_not_extended(&self, text: &'static str) -> Result<(), TarError> {
        if self.extensions.is_empty() {
            Ok(())
        } else {
            Err(TarError::InvalidHeader(text))
        }
    }

    fn extension(&mut self, header: &Header) -> Result<Found, TarError> {
        let len = blocks(member::length(header.size)?)?;
        self.extensions_len = self.extensions_len.saturating_add(len);
        if len > EXTENSION_LEN_MAX
            || self.extensions_len > EXTENSIONS_LEN_MAX
            || self.extensions.len() >= EXTENSIONS_MAX
        {
            let what = "extension of a header";
            return Err(TarError::TooLarge { what, len });
        }
        if len == 0 {
            return self.payload(header.kind, b"");
        }
        let kind = header.kind;
        self.state = State::Payload { kind, len };
        Ok(Found::Nothing)
    }

    fn payload(&mut self, kind: u8, bytes: &[u8]) -> Result<Found, TarError> {
        let text = || super::number::until_nul(bytes).to_vec();
        let extension = match kind {
            kind::GNU_LONG_NAME => Extension::Name(text()),
            kind::GNU_LONG_LINK => Extension::Link(text()),
            _ => {
                let global = kind == kind::PAX_GLOBAL;
                let mut records = self.global.clone();
                let read = records.read(bytes);
                let len = records.len() as u64;
                if len > EXTENSIONS_LEN_MAX {
                    let what = "extension of a header";
                    return Err(TarError::TooLarge { what, len });
                }
                if global {
                    self.global.clone_from(&records);
                }
                if let Err(TarError::InvalidHeader(text)) = read {
                    return self.invalid(text);
                }
                let in_old_form = records.get(b"GNU.sparse.size").is_some();
                let payload = if in_old_form {
                    bytes.to_vec()
                } else {
                    Vec::new()
                };
                Extension::Records {
                    records,
                    payload,
                    global,
                }
            }
        };
        self.extensions.push(extension);
        Ok(Found::Nothing)
    }

    fn builtin(&mut self, header: Header) -> Result<Found, TarError> {
        let mut member = Box::new(Member::new(header)?);
        member.set_data_len(member.size)?;
        let global = std::mem::take(&mut self.global);
        let applied = member.apply(&global);
        self.global = global;
        applied?;
        if member.kind == kind::DIRECTORY {
            strip_slashes(&mut member.name);
        }
        self.extend(member, 0)
    }

    fn old_sparse(&mut self, mut member: Box<Member>, map: OldMap) -> Result<Found, TarError> {
        if map.more {
            self.state = State::OldSparse { member, map };
            return Ok(Found::Nothing);
        }
        member.set_sparse(map.map)?;
        self.extend(member, 0)
    }

    /// Adds to a member what came before it, innermost first. `map_len`: bytes of a map in front of its
    /// content that were taken already.
    fn extend(&mut self, mut member: Box<Member>, map_len: u64) -> Result<Found, TarError> {
        let mut map_len = map_len;
        while let Some(extension) = self.extensions.pop() {
            match extension {
                Extension::Name(name) => member.name = name,
                Extension::Link(link) => member.link = link,
                Extension::Records {
                    records,
                    payload,
                    global,
                } => {
                    if map_len == 0 && member.sparse.is_none() {
                        if let Some(map) = records.get(b"GNU.sparse.map") {
                            member.set_sparse(sparse::of_record(map)?)?;
                        } else if records.get(b"GNU.sparse.size").is_some() {
                            member.set_sparse(sparse::of_payload(&payload)?)?;
                        } else if is_sparse_in_data(&records) {
                            self.extensions.push(Extension::Records {
                                records,
                                payload,
                                global,
                            });
                            let map = MapInData::default();
                            self.state = State::SparseInData { member, map };
                            return Ok(Found::Nothing);
                        }
                    }
                    if !global {
                        member.apply(&records)?;
                        if records.get(b"size").is_some() {
                            let len = stored_size(&records)?;
                            member.set_data_len(len)?;
                        }
                    }
                }
            }
            if member.kind == kind::DIRECTORY && member.name.ends_with(b"/") {
                member.name.pop();
            }
        }
        // The map in front of the content is none of it.
        let left = |len: u64| len.checked_sub(map_len).ok_or(TarError::UnexpectedEnd);
        member.data_len = left(member.data_len)?;
        member.stored_len = left(member.stored_len)?;
        map_len = member.sparse.iter().flatten().map(|(_, len)| len).sum();
        let needed = if member.sparse.is_some() {
            map_len
        } else {
            member.size
        };
        if member.is_file() && needed > member.stored_len {
            return Err(TarError::UnexpectedEnd);
        }
        self.at_start = false;
        self.extensions_len = 0;
        Ok(Found::Member(member))
    }
}

/// GNU's form 1.0.
fn is_sparse_in_data(records: &Records) -> bool {
    records.get(b"GNU.sparse.major") == Some(b"1") && records.get(b"GNU.sparse.minor") == Some(b"0")
}

/// What the record `size` says is in the stream, even of a file with holes.
fn stored_size(records: &Records) -> Result<u64, TarError> {
    let value = records.get(b"size").unwrap_or_default();
    member::length(super::number::integer(value, 10).unwrap_or(0))
}
