//! The envelope around an object's compressed data: type byte, MAC, counter, ciphertext.
//!
//! Layout: `docs/security.md`, "Envelopes". Sealing works in place on a buffer that begins with
//! room for the header, so that data is compressed, encrypted and stored without being copied.

use crate::error::{CryptoError, ObjectName};
use crate::id_hash::{blake2b_digest, blake2b_many, blake2b_state};
use crate::key::{Key, ObjectCipher, ObjectMac};
use crate::mode::EnvelopeKind;
use crate::nonce::{Nonce, Nonces, blocks};
use blake2b_simd::State;
use ctr::cipher::{InnerIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use ironborg_types::ChunkId;
use sha2::Sha256;
use subtle::ConstantTimeEq;

const TYPE_LEN: usize = 1;
const MAC_LEN: usize = 32;
const COUNTER_LEN: usize = 8;
/// Bytes an encrypting envelope puts before the data. The plain one has one byte.
pub const ENVELOPE_OVERHEAD: usize = TYPE_LEN + MAC_LEN + COUNTER_LEN;
const _: () = assert!(ENVELOPE_OVERHEAD == 41);
/// Where the authenticated part begins.
const COUNTER_OFFSET: usize = TYPE_LEN + MAC_LEN;
/// Cipher and MAC go over the data together in pieces that stay in the first level cache.
const PIECE_LEN: usize = 16 * 1024;

/// Counter values an encrypted object has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeNonce {
    /// The first one, as the envelope says.
    pub first: u64,
    /// How many at most: counted over the whole object, as Borg does, so a little too many.
    pub blocks: u64,
}

impl EnvelopeNonce {
    /// The first value certainly not used by the object; `None` if there is none in 64 bits.
    pub fn end(self) -> Option<u64> {
        self.first.checked_add(self.blocks)
    }
}

/// Reads the counter of an encrypted object, without checking its type or MAC; `None` if it is too
/// short.
///
/// Meant for the manifest: its counter is the last resort against reuse when all stored counters
/// are lost.
pub fn envelope_nonce(object: &[u8]) -> Option<EnvelopeNonce> {
    let counter = object.get(COUNTER_OFFSET..)?.first_chunk::<COUNTER_LEN>()?;
    Some(EnvelopeNonce {
        first: u64::from_be_bytes(*counter),
        blocks: blocks(object.len()),
    })
}

/// An object whose type and MAC were checked by [`Key::authenticate_many`].
#[derive(Debug, Clone, Copy)]
pub struct Authentic<'o>(Form<'o>);

#[derive(Debug, Clone, Copy)]
enum Form<'o> {
    /// Compressed data, as it is.
    Plain(&'o [u8]),
    Encrypted {
        counter: [u8; COUNTER_LEN],
        ciphertext: &'o [u8],
    },
}

impl Authentic<'_> {
    /// Lets the object go, so that it can be decrypted where it is.
    pub fn let_go(self) -> LetGo {
        match self.0 {
            Form::Plain(data) => LetGo {
                counter: None,
                len: data.len(),
            },
            Form::Encrypted {
                counter,
                ciphertext,
            } => LetGo {
                counter: Some(counter),
                len: ciphertext.len(),
            },
        }
    }
}

/// What is known of an object that was found [`Authentic`] and is not borrowed any more.
#[derive(Debug, Clone, Copy)]
pub struct LetGo {
    counter: Option<[u8; COUNTER_LEN]>,
    /// Bytes of compressed data, at the object's end.
    len: usize,
}

/// An envelope's MAC while it is computed.
enum RunningMac {
    Hmac(Hmac<Sha256>),
    Blake2b(Box<State>),
}

impl RunningMac {
    fn new(keyed: &ObjectMac) -> Self {
        match keyed {
            ObjectMac::HmacSha256(keyed) => Self::Hmac(keyed.begin()),
            ObjectMac::Blake2b(key) => Self::Blake2b(Box::new(blake2b_state(key))),
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Hmac(mac) => mac.update(data),
            Self::Blake2b(state) => {
                state.update(data);
            }
        }
    }

    fn finish(self) -> [u8; MAC_LEN] {
        match self {
            Self::Hmac(mac) => mac.finalize().into_bytes().into(),
            Self::Blake2b(state) => blake2b_digest(&state),
        }
    }
}

type Ctr = ctr::Ctr128BE<aes::Aes256Enc>;

/// AES-256-CTR whose 128-bit big-endian counter starts at `first`; above 64 bits it carries on, as
/// Borg's.
fn keystream(cipher: &ObjectCipher, first: u64) -> Ctr {
    let core =
        ctr::CtrCore::inner_iv_init(cipher.aes.clone(), &u128::from(first).to_be_bytes().into());
    Ctr::from_core(core)
}

impl Key {
    /// Bytes that objects of this key have before their compressed data: 1 or
    /// [`ENVELOPE_OVERHEAD`].
    pub fn envelope_overhead(&self) -> usize {
        match self.mode().envelope() {
            EnvelopeKind::Plain => TYPE_LEN,
            EnvelopeKind::HmacSha256 | EnvelopeKind::Blake2b => ENVELOPE_OVERHEAD,
        }
    }

    /// Turns `object`, which holds [`envelope_overhead`](Self::envelope_overhead) bytes of any
    /// content and the compressed data after them, into the object to store. Takes counter values
    /// if it encrypts.
    ///
    /// # Errors
    /// Those of [`Nonces::reserve`]; [`CryptoError::NoSecrets`].
    pub fn seal_in_place(&self, nonces: &Nonces, object: &mut [u8]) -> Result<(), CryptoError> {
        if !self.has_secrets() {
            return Err(CryptoError::NoSecrets);
        }
        assert!(
            object.len() >= self.envelope_overhead(),
            "an object has room for its envelope"
        );
        if self.cipher().is_some() {
            let nonce = nonces.reserve(blocks(object.len() - ENVELOPE_OVERHEAD))?;
            self.encrypt_in_place(nonce, object);
        } else {
            object[0] = self.mode().type_byte();
        }
        Ok(())
    }

    /// [`seal_in_place`](Self::seal_in_place) of an encrypting key, with counter values taken
    /// before.
    ///
    /// # Panics
    /// If the key does not encrypt or there are fewer counter values than blocks.
    pub fn encrypt_in_place(&self, nonce: Nonce, object: &mut [u8]) {
        let cipher = self
            .cipher()
            .expect("only encrypting keys use counter values");
        let (header, data) = object
            .split_at_mut_checked(ENVELOPE_OVERHEAD)
            .expect("an object has room for its envelope");
        let (first, block_count) = nonce.consume();
        assert!(
            block_count >= blocks(data.len()),
            "every block has its own counter value"
        );
        let counter = first.to_be_bytes();
        let mut keystream = keystream(cipher, first);
        let mut mac = RunningMac::new(&cipher.mac);
        mac.update(&counter);
        for piece in data.chunks_mut(PIECE_LEN) {
            keystream.apply_keystream(piece);
            mac.update(piece);
        }
        header[0] = self.mode().type_byte();
        header[TYPE_LEN..COUNTER_OFFSET].copy_from_slice(&mac.finish());
        header[COUNTER_OFFSET..].copy_from_slice(&counter);
    }

    /// Opens an object: checks type byte and MAC and gives the compressed data, decrypted into
    /// `buffer`, or as a part of `object` if it is not encrypted. `id` is for messages; `None` if
    /// it is not known.
    ///
    /// That the data belongs to the id is *not* checked here: the MAC does not bind the id.
    ///
    /// # Errors
    /// [`CryptoError::InvalidEncryptionEnvelope`], [`CryptoError::InvalidEnvelope`],
    /// [`CryptoError::MacMismatch`]; `buffer` is then empty.
    pub fn open_envelope<'a>(
        &self,
        id: Option<&ChunkId>,
        object: &'a [u8],
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], CryptoError> {
        let object_name = ObjectName(id.copied());
        buffer.clear();
        let Some((_, data)) = object
            .split_first()
            .filter(|(byte, _)| self.mode().accepts(**byte))
        else {
            return Err(self.refused(object_name));
        };
        let Some(cipher) = self.cipher() else {
            return Ok(data);
        };
        if decrypt(cipher, data, buffer).is_none() {
            buffer.clear();
            return Err(CryptoError::MacMismatch {
                object: object_name,
            });
        }
        Ok(buffer)
    }

    /// As [`open_envelope`](Self::open_envelope), decrypting where it is: the object is lost, and no second buffer is
    /// needed.
    ///
    /// # Errors
    /// As there; what is in `object` then means nothing.
    pub fn open_envelope_in_place<'a>(
        &self,
        id: Option<&ChunkId>,
        object: &'a mut [u8],
    ) -> Result<&'a [u8], CryptoError> {
        let object_name = ObjectName(id.copied());
        let Some((_, data)) = object
            .split_first_mut()
            .filter(|(byte, _)| self.mode().accepts(**byte))
        else {
            return Err(self.refused(object_name));
        };
        let Some(cipher) = self.cipher() else {
            return Ok(data);
        };
        decrypt_in_place(cipher, data).ok_or(CryptoError::MacMismatch {
            object: object_name,
        })
    }

    /// Checks type byte and MAC of several objects, side by side where that is faster; each is to be
    /// [`decrypt`](Self::decrypt)ed then.
    ///
    /// As with [`open_envelope`](Self::open_envelope), that the data belongs to the id is *not* checked.
    ///
    /// # Errors
    /// For each as [`open_envelope`](Self::open_envelope).
    ///
    /// # Panics
    /// Never: there is a MAC for each that is long enough.
    pub fn authenticate_many<'o>(
        &self,
        objects: &[(ChunkId, &'o [u8])],
    ) -> Vec<Result<Authentic<'o>, CryptoError>> {
        let Some(cipher) = self.cipher() else {
            let plain = |(id, object): &(ChunkId, &'o [u8])| {
                let data = self.without_type(object);
                let data = data.ok_or_else(|| self.refused(ObjectName(Some(*id))))?;
                Ok(Authentic(Form::Plain(data)))
            };
            return objects.iter().map(plain).collect();
        };
        let mut opened = Vec::with_capacity(objects.len());
        let (mut places, mut covered) = (Vec::new(), Vec::new());
        for (id, object) in objects {
            let object_name = ObjectName(Some(*id));
            let Some(data) = self.without_type(object) else {
                opened.push(Err(self.refused(object_name)));
                continue;
            };
            if let Some((_, authenticated)) = data.split_first_chunk::<MAC_LEN>()
                && authenticated.len() >= COUNTER_LEN
            {
                places.push(opened.len());
                covered.push(authenticated);
            }
            // Until its MAC is found to be right.
            let object = object_name;
            opened.push(Err(CryptoError::MacMismatch { object }));
        }
        let judge = |number: usize, mac: [u8; MAC_LEN]| {
            let (place, authenticated) = (places[number], covered[number]);
            let stored = &objects[place].1[TYPE_LEN..COUNTER_OFFSET];
            if bool::from(mac.ct_eq(stored)) {
                let (counter, ciphertext) = authenticated
                    .split_first_chunk()
                    .expect("shorter ones were left out");
                opened[place] = Ok(Authentic(Form::Encrypted {
                    counter: *counter,
                    ciphertext,
                }));
            }
        };
        match &cipher.mac {
            ObjectMac::HmacSha256(keyed) => keyed.hash_many(&covered, judge),
            ObjectMac::Blake2b(key) => blake2b_many(key, &covered, judge),
        }
        opened
    }

    /// The compressed data of an object, decrypted into `buffer`, or as a part of the object if it is not encrypted.
    ///
    /// # Panics
    /// If the object was found authentic by a key of another kind.
    pub fn decrypt<'a>(&self, object: Authentic<'a>, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        let (counter, ciphertext) = match object.0 {
            Form::Plain(data) => return data,
            Form::Encrypted {
                counter,
                ciphertext,
            } => (counter, ciphertext),
        };
        let cipher = self.cipher().expect("it was this key that checked the MAC");
        let mut keystream = keystream(cipher, u64::from_be_bytes(counter));
        buffer.clear();
        buffer.reserve(ciphertext.len());
        for piece in ciphertext.chunks(PIECE_LEN) {
            let start = buffer.len();
            buffer.extend_from_slice(piece);
            keystream.apply_keystream(&mut buffer[start..]);
        }
        buffer
    }

    /// As [`Self::decrypt`], where the data is: `object` must be the one that was let go, as it was.
    ///
    /// # Panics
    /// If the object is shorter, or was found authentic by a key of another kind.
    pub fn decrypt_in_place<'a>(&self, known: LetGo, object: &'a mut [u8]) -> &'a [u8] {
        let begin = object.len().checked_sub(known.len);
        let data = &mut object[begin.expect("it is as long as it was")..];
        if let Some(counter) = known.counter {
            let cipher = self.cipher().expect("it was this key that checked the MAC");
            keystream(cipher, u64::from_be_bytes(counter)).apply_keystream(data);
        }
        data
    }

    /// What comes behind the type byte; `None` if that is not one of the key's.
    fn without_type<'o>(&self, object: &'o [u8]) -> Option<&'o [u8]> {
        let (byte, data) = object.split_first()?;
        self.mode().accepts(*byte).then_some(data)
    }

    /// The error for an object of another type.
    fn refused(&self, object: ObjectName) -> CryptoError {
        if self.mode().is_authenticated_only() {
            CryptoError::InvalidEnvelope { object }
        } else {
            CryptoError::InvalidEncryptionEnvelope { object }
        }
    }
}

/// As [`decrypt`], where the data is.
fn decrypt_in_place<'a>(cipher: &ObjectCipher, data: &'a mut [u8]) -> Option<&'a [u8]> {
    let (mac, data) = data.split_first_chunk_mut::<MAC_LEN>()?;
    let (counter, data) = data.split_first_chunk_mut::<COUNTER_LEN>()?;
    let mut keystream = keystream(cipher, u64::from_be_bytes(*counter));
    let mut running = RunningMac::new(&cipher.mac);
    running.update(counter);
    for piece in data.chunks_mut(PIECE_LEN) {
        running.update(piece);
        keystream.apply_keystream(piece);
    }
    let is_authentic = bool::from(running.finish().ct_eq(mac));
    is_authentic.then_some(data)
}

/// Decrypts MAC, counter and ciphertext into `buffer`; `None` if cut off or not authentic, and then
/// what is in `buffer` means nothing.
fn decrypt(cipher: &ObjectCipher, data: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
    let (mac, data) = data.split_first_chunk::<MAC_LEN>()?;
    let (counter, data) = data.split_first_chunk::<COUNTER_LEN>()?;
    let mut keystream = keystream(cipher, u64::from_be_bytes(*counter));
    let mut running = RunningMac::new(&cipher.mac);
    running.update(counter);
    buffer.reserve(data.len());
    for piece in data.chunks(PIECE_LEN) {
        running.update(piece);
        let start = buffer.len();
        buffer.extend_from_slice(piece);
        keystream.apply_keystream(&mut buffer[start..]);
    }
    bool::from(running.finish().ct_eq(mac)).then_some(())
}

#[cfg(test)]
mod tests;
