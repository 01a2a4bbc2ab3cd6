//! Nonces with servers from before 1.1, which can neither tell nor reserve any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ironborg_types::{Event, Level, NonceStore, NonceStoreError, Reporter};

/// Logger of what is said about it.
const LOGGER: &str = "borg.crypto.nonces";
/// Said once, when nonces are needed for the first time.
const ADVICE: &str =
    "Please upgrade to borg version 1.1+ on the server for safer AES-CTR nonce handling.";

/// Knows of no reservation and keeps none: what this machine and the manifest remember has to do.
pub(super) struct NoNonces {
    reporter: Arc<dyn Reporter>,
    said: AtomicBool,
}

impl NoNonces {
    pub(super) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self {
            reporter,
            said: AtomicBool::new(false),
        }
    }
}

impl NonceStore for NoNonces {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        if !self.said.swap(true, Ordering::Relaxed) {
            self.reporter
                .report(Event::log(Level::Warning, LOGGER, ADVICE));
        }
        Ok(None)
    }

    fn reserve(&self, _: u64, _: Option<u64>) -> Result<(), NonceStoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Reporter for Heard {
        fn report(&self, event: Event<'_>) {
            let text = format!("{event:?}");
            self.0.lock().expect("nobody panics").push(text);
        }
    }

    #[test]
    fn the_advice_is_given_once_and_nothing_is_known() {
        let heard = Arc::new(Heard::default());
        let nonces = NoNonces::new(heard.clone());
        for next in [5, 7] {
            assert_eq!(nonces.next_unreserved().expect("it never fails"), None);
            nonces.reserve(next, None).expect("it never fails");
        }
        let heard = heard.0.lock().expect("nobody panics");
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains(ADVICE), "{heard:?}");
    }
}
