//! Beginning to stretch the passphrase before it is known that a key has to be unlocked.
//!
//! It keeps one core busy for some ten milliseconds, and what comes before a key can be unlocked (loading the index, to find the
//! manifest) with some 100,000 chunks as long: short commands wait for the longer of the two only.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ironborg_crypto::{Passphrase, Stretched};
use ironborg_repository::Repository;
use ironborg_types::NullReporter;

use crate::client::Client;
use crate::key_files;

/// A passphrase being stretched by a thread of its own, or nothing.
pub(crate) struct Stretching(Option<JoinHandle<Option<Stretched>>>);

impl Stretching {
    /// Nothing was begun.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    /// Begins if that costs nobody anything: the key is at hand, the passphrase without asking or running anything.
    pub(crate) fn begin(client: &Client, repository: &dyn Repository) -> Self {
        let is_known = client.unlocked.as_ref().is_some_and(|key| key.is_there());
        if is_known || client.threads < 2 {
            return Self::nothing();
        }
        let thread = client.passphrases.at_hand().and_then(|passphrase| {
            let text = text_at_hand(client, repository)?;
            spawn(text, passphrase)
        });
        Self(thread)
    }

    /// What it was stretched to.
    pub(crate) fn finish(self) -> Option<Stretched> {
        self.0?.join().ok()?
    }
}

fn spawn(text: String, passphrase: Passphrase) -> Option<JoinHandle<Option<Stretched>>> {
    let thread = thread::Builder::new().name("key".into());
    // Without a thread it is stretched when it is needed.
    thread.spawn(move || Stretched::new(&text, passphrase)).ok()
}

/// The key that will probably be unlocked: that in the repository, else the key file. What is wrong with them is told when
/// one is needed.
fn text_at_hand(client: &Client, repository: &dyn Repository) -> Option<String> {
    if !repository.is_local() {
        return None;
    }
    let in_repository = repository.load_key().ok()?;
    let text = if in_repository.is_empty() {
        let silent = Client {
            reporter: Arc::new(NullReporter),
            ..client.clone()
        };
        key_files::find(&silent, repository.id()).ok()?.1
    } else {
        in_repository
    };
    String::from_utf8(text).ok()
}
