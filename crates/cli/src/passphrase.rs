//! Passphrases: from variables, a command, a descriptor, or a person at the terminal.
//!
//! Source: Borg 1.4, `Passphrase`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_archive::{PassphraseError, PassphraseSource};
use ironborg_crypto::Passphrase;
use ironborg_source::named_file;
use ironborg_types::{Answer, ErrorKind, Event, Level, Question, Questioner, Reporter, text};
use zeroize::Zeroizing;

use crate::console::{self, Stdout};
use crate::environment::PassphraseVariables;
use crate::output::pyformat::repr;
use crate::questions::ConsoleQuestioner;
use crate::signals::Prompt;
use crate::signals::last_will::{Dependent, Hidden};
use crate::{shell_words, subprocess, sys};

/// How often a new passphrase is asked for.
const NEW_PASSPHRASE_TRIES: usize = 10;

/// Where passphrases come from in this process.
pub(crate) struct ConsolePassphrases {
    variables: PassphraseVariables,
    questioner: ConsoleQuestioner,
    reporter: Arc<dyn Reporter>,
    /// What a descriptor gave: it can be read once only.
    from_descriptor: Mutex<Option<Passphrase>>,
}

fn failure(kind: ErrorKind, arguments: &[&str]) -> PassphraseError {
    PassphraseError {
        kind,
        message: kind.message(arguments),
    }
}

/// Without the line feeds at its end.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

impl ConsolePassphrases {
    /// With the variables of the environment.
    pub(crate) fn new(
        variables: PassphraseVariables,
        questioner: ConsoleQuestioner,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            variables,
            questioner,
            reporter,
            from_descriptor: Mutex::new(None),
        }
    }

    fn ask_command(&self) -> Result<Option<Passphrase>, PassphraseError> {
        let Some(command) = &self.variables.command else {
            return Ok(None);
        };
        let fail = |message: &str| failure(ErrorKind::PasscommandFailure, &[message]);
        let words =
            shell_words::split(command.as_bytes()).map_err(|error| fail(&error.to_string()))?;
        let Some((program, arguments)) = words.split_first() else {
            return Err(fail("list index out of range"));
        };
        let child = subprocess::command(OsStr::from_bytes(program))
            .args(arguments.iter().map(|word| OsStr::from_bytes(word)))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let number = error.raw_os_error().unwrap_or(0);
                fail(&format!(
                    "{}: {}",
                    named_file::error_text(number),
                    repr(&text::display(program))
                ))
            })?;
        let dependent = Dependent::begin(child.id());
        let output = child
            .wait_with_output()
            .map_err(|error| fail(&error.to_string()))?;
        drop(dependent);
        let secret = Zeroizing::new(output.stdout);
        if !output.status.success() {
            let list: Vec<String> = words
                .iter()
                .map(|word| repr(&text::display(word)))
                .collect();
            let code = output.status.code().unwrap_or(-1);
            let list = list.join(", ");
            return Err(fail(&format!(
                "Command '[{list}]' returned non-zero exit status {code}."
            )));
        }
        Ok(Some(Passphrase::new(without_line_end(secret.to_vec()))))
    }

    fn read_descriptor(&self) -> Option<Passphrase> {
        let number = self.variables.descriptor.filter(|&number| number >= 0)?;
        let mut known = self
            .from_descriptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let descriptor = sys::duplicate_descriptor(number)?;
            let bytes = named_file::read_descriptor(descriptor.as_fd()).ok()?;
            *known = Some(Passphrase::new(without_line_end(bytes)));
        }
        known.clone()
    }

    fn read_file(&self) -> Result<Option<Passphrase>, PassphraseError> {
        let Some(path) = &self.variables.file else {
            return Ok(None);
        };
        let bytes = named_file::read(path.as_os_str())
            .map_err(|error| failure(ErrorKind::NoPassphraseFailure, &[&error.to_string()]))?;
        Ok(Some(Passphrase::new(without_line_end(bytes))))
    }

    /// Prompts on the terminal, else on standard error and input.
    fn prompt(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        let _prompt = Prompt::begin();
        let _hidden = Hidden::begin();
        if let Ok(secret) = rpassword::prompt_password(prompt) {
            return Ok(Passphrase::new(secret.into_bytes()));
        }
        if console::stdin_is_terminal() {
            return Err(self.prompt_failed());
        }
        console::stderr_line("Warning: Password input may be echoed.");
        console::write_stderr(prompt);
        let mut secret = Zeroizing::new(Vec::new());
        match io::stdin().lock().read_until(b'\n', &mut secret) {
            Ok(0) | Err(_) => {
                // Stock Borg ends the prompt's line here, though it is of the other stream.
                let mut stdout = Stdout::new();
                let _ = stdout.text("\n").and_then(|()| stdout.finish());
                Err(self.prompt_failed())
            }
            Ok(_) => Ok(Passphrase::new(without_line_end(secret.to_vec()))),
        }
    }

    fn prompt_failed(&self) -> PassphraseError {
        let is_set = |set: bool| if set { "set" } else { "not set" };
        let reasons = format!(
            "BORG_PASSPHRASE is {}. BORG_PASSCOMMAND is {}. Interactive password query failed.",
            is_set(self.variables.passphrase.is_some()),
            is_set(self.variables.command.is_some()),
        );
        failure(ErrorKind::NoPassphraseFailure, &[&reasons])
    }

    /// Shows a new passphrase if that is wished.
    fn show_for_verification(&self, passphrase: &Passphrase) {
        let message = "Do you want your passphrase to be displayed for verification? [yN]: ";
        let question = Question {
            message,
            false_message: None,
            invalid_message: Some("Invalid answer, try again."),
            env_var: "BORG_DISPLAY_PASSPHRASE",
            only_yes: false,
            retry: true,
        };
        if self.questioner.ask(&question) == Answer::No {
            return;
        }
        let bytes = passphrase.expose();
        let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        console::stderr_line(&format!(
            "Your passphrase (between double-quotes): \"{}\"",
            text.as_str()
        ));
        console::stderr_line(
            "Make sure the passphrase displayed above is exactly what you wanted.",
        );
        if !bytes.is_ascii() {
            let mut hex = Zeroizing::new(String::with_capacity(bytes.len() * 2));
            for byte in bytes {
                let _ = write!(hex, "{byte:02x}");
            }
            console::stderr_line(&format!(
                "Your passphrase (UTF-8 encoding in hex): {}",
                hex.as_str()
            ));
            console::stderr_line(
                "It has characters outside of ASCII: keep this form of it too, at a safe place.",
            );
        }
    }
}

impl PassphraseSource for ConsolePassphrases {
    fn at_hand(&self) -> Option<Passphrase> {
        let passphrase = self.variables.passphrase.as_ref()?;
        Some(Passphrase::new(passphrase.to_vec()))
    }

    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        if let Some(passphrase) = self.at_hand() {
            return Ok(Some(passphrase));
        }
        if let Some(passphrase) = self.ask_command()? {
            return Ok(Some(passphrase));
        }
        match self.read_descriptor() {
            Some(passphrase) => Ok(Some(passphrase)),
            None => self.read_file(),
        }
    }

    fn ask(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        self.prompt(prompt)
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        if let Some(passphrase) = &self.variables.new_passphrase {
            return Ok(Passphrase::new(passphrase.to_vec()));
        }
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        for _ in 0..NEW_PASSPHRASE_TRIES {
            let passphrase = self.prompt("Enter new passphrase: ")?;
            let again = self.prompt("Enter same passphrase again: ")?;
            if passphrase.expose() == again.expose() {
                self.show_for_verification(&passphrase);
                self.reporter.report(Event::log(
                    Level::Info,
                    "borg.crypto.key",
                    "Remember your passphrase. Your data will be inaccessible without it.",
                ));
                return Ok(passphrase);
            }
            console::stderr_line("Passphrases do not match");
        }
        Err(failure(ErrorKind::PasswordRetriesExceeded, &[]))
    }
}
