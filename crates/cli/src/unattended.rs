//! Where there is nobody to be asked: what is not configured is not known, and what nobody has agreed to is not done.

use std::sync::Arc;

use ironborg_archive::{Client, PassphraseError, PassphraseSource};
use ironborg_crypto::Passphrase;
use ironborg_types::{Answer, ErrorKind, Question, Questioner};

/// Asks only where no person answers.
struct Unattended<T: ?Sized>(Arc<T>);

/// Has a client ask nobody. What variables answer they still do.
pub(crate) fn unattended(client: Client) -> Client {
    Client {
        questioner: Arc::new(Unattended(client.questioner)),
        passphrases: Arc::new(Unattended(client.passphrases)),
        ..client
    }
}

impl PassphraseSource for Unattended<dyn PassphraseSource> {
    fn at_hand(&self) -> Option<Passphrase> {
        self.0.at_hand()
    }

    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        self.0.given()
    }

    fn ask(&self, _prompt: &str) -> Result<Passphrase, PassphraseError> {
        let kind = ErrorKind::NoPassphraseFailure;
        let message = kind.message(&["none is configured, and there is nobody to be asked."]);
        Err(PassphraseError { kind, message })
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        self.ask("")
    }
}

impl Questioner for Unattended<dyn Questioner> {
    fn ask(&self, question: &Question<'_>) -> Answer {
        if std::env::var_os(question.env_var).is_some() {
            self.0.ask(question)
        } else {
            Answer::No
        }
    }
}
