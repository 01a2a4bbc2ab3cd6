//! By a shell command of the user's: everything is in variables, and as JSON on its standard input.

use std::time::Duration;

use serde_json::json;

use super::{Ended, Program, Surroundings};
use crate::notify::harmless;
use crate::notify::{Message, Parcel, SendError, Sent};

/// Runs the command.
pub(super) fn send(
    command: &str,
    parcel: &Parcel,
    surroundings: &dyn Surroundings,
    limit: Duration,
) -> Result<Sent, SendError> {
    let program = Program {
        words: ["sh", "-c", command].map(Into::into).to_vec(),
        variables: variables(&parcel.message),
        input: document(&parcel.message).into_bytes(),
    };
    run(&program, "the command", surroundings, limit)
}

/// Runs a program that tells by its exit code whether all went well.
pub(super) fn run(
    program: &Program,
    called: &str,
    surroundings: &dyn Surroundings,
    limit: Duration,
) -> Result<Sent, SendError> {
    let ended = surroundings
        .run(program, limit)
        .map_err(|error| SendError::new(format!("{called}: {error}")))?;
    match ended.code {
        Some(0) => Ok(Sent::default()),
        Some(code) => Err(failed(
            &format!("{called} ended with exit code {code}"),
            &ended,
        )),
        None => Err(failed(&format!("{called} was killed"), &ended)),
    }
}

fn failed(what: &str, ended: &Ended) -> SendError {
    let last = harmless::line(ended.output.trim_end().lines().last().unwrap_or(""), 300);
    match last.as_str() {
        "" => SendError::new(what),
        last => SendError::new(format!("{what}: {last}")),
    }
}

/// `IRONBORG_NOTICE_JOB` and so on.
fn variables(message: &Message) -> Vec<(String, String)> {
    let named = message.fields.iter();
    named
        .map(|(name, value)| {
            let name = format!("IRONBORG_NOTICE_{}", name.to_uppercase());
            // What the kernel does not take would keep the command from being run.
            (name, value.replace('\0', "?"))
        })
        .collect()
}

/// All of it as JSON: what there is of a value is a number or a text, not its form for people.
pub(super) fn document(message: &Message) -> String {
    let mut document = json!(message.notice);
    let object = document.as_object_mut().expect("a notice is an object");
    object.insert("subject".to_owned(), json!(message.subject));
    object.insert("body".to_owned(), json!(message.body));
    object.insert("failures".to_owned(), json!(message.failures));
    object.insert("failing_since".to_owned(), json!(message.failing_since));
    document.to_string()
}
