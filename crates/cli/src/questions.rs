//! Yes-or-no questions: asked on standard error, answered on standard input or by a variable.
//!
//! Source: Borg 1.4, `helpers/yes.py`.

use std::io;

use ironborg_types::{Answer, Question, Questioner};

use crate::console;
use crate::output::json::{Json, line};
use crate::signals::Prompt;

const TRUE_WORDS: [&str; 6] = ["Yes", "YES", "yes", "Y", "y", "1"];
const FALSE_WORDS: [&str; 6] = ["No", "NO", "no", "N", "n", "0"];
const DEFAULT_WORDS: [&str; 6] = ["Default", "DEFAULT", "default", "D", "d", ""];

/// Longest answer looked at.
const ANSWER_LEN_MAX: usize = 4096;

/// Asks on the console.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsoleQuestioner {
    /// Whether questions are JSON records.
    pub(crate) json: bool,
}

impl ConsoleQuestioner {
    /// Asks what no variable can answer; without an answer it is no. Anything else than yes or no is waited for.
    pub(crate) fn confirm(self, message: &str) -> bool {
        self.show("question_prompt", None, message, true);
        let _prompt = Prompt::begin();
        loop {
            let answer = read_answer().unwrap_or_else(|| "no".to_owned());
            let answer = answer.as_str();
            if TRUE_WORDS.contains(&answer) {
                return true;
            }
            if FALSE_WORDS.contains(&answer) || DEFAULT_WORDS.contains(&answer) {
                return false;
            }
        }
    }

    fn say(self, kind: &'static str, question: &Question<'_>, text: &str, prompt: bool) {
        self.show(kind, Some(question.env_var), text, prompt);
    }

    fn show(self, kind: &'static str, msgid: Option<&str>, text: &str, prompt: bool) {
        if self.json {
            let msgid = msgid.map_or(Json::Null, Json::from);
            let mut members: Vec<(&'static str, Json)> = Vec::new();
            if kind == "question_env_answer" {
                members.push(("env_var", msgid.clone()));
            }
            members.extend([
                ("type", kind.into()),
                ("msgid", msgid),
                ("message", text.into()),
            ]);
            console::stderr_line(&line(&Json::Object(members)));
        } else if prompt {
            console::write_stderr(text);
        } else {
            console::stderr_line(text);
        }
    }
}

impl Questioner for ConsoleQuestioner {
    fn ask(&self, question: &Question<'_>) -> Answer {
        self.say("question_prompt", question, question.message, true);
        let _prompt = Prompt::begin();
        let mut variable = std::env::var(question.env_var).ok();
        loop {
            let answer = match variable.take() {
                Some(answer) => {
                    let shown = format!("{answer} (from {})", question.env_var);
                    self.say("question_env_answer", question, &shown, false);
                    answer
                }
                // Without an answer at all the answer is no; so is one that is not text.
                None => read_answer().unwrap_or_else(|| "no".to_owned()),
            };
            let answer = answer.as_str();
            if DEFAULT_WORDS.contains(&answer) {
                return Answer::No;
            }
            let accepted = if question.only_yes {
                answer == "YES"
            } else {
                TRUE_WORDS.contains(&answer)
            };
            if accepted {
                return Answer::Yes;
            }
            if FALSE_WORDS.contains(&answer) {
                if let Some(text) = question.false_message {
                    self.say("question_accepted_false", question, text, false);
                }
                return Answer::No;
            }
            if let Some(text) = question.invalid_message {
                self.say("question_invalid_answer", question, text, false);
            }
            if !question.retry {
                return Answer::No;
            }
            self.say("question_prompt_retry", question, question.message, true);
        }
    }
}

/// Asks for a line of text; `None` at the end of the input.
pub(crate) fn ask_line(prompt: &str) -> Option<String> {
    console::write_stderr(prompt);
    let _prompt = Prompt::begin();
    read_answer()
}

/// Reads one line from standard input without its end; `None` at the end of the input.
fn read_answer() -> Option<String> {
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => None,
        Ok(_) => {
            let text = answer.strip_suffix('\n').unwrap_or(&answer);
            Some(text.chars().take(ANSWER_LEN_MAX).collect())
        }
    }
}
