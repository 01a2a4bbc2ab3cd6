//! Questions that only the user (or an environment variable) may answer.

/// A yes-or-no question with the environment variable that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is asked, possibly several lines, ending as it is shown.
    pub message: &'a str,
    /// Shown after a "no".
    pub false_message: Option<&'a str>,
    /// Shown after an answer that is neither.
    pub invalid_message: Option<&'a str>,
    /// Variable that may hold the answer; also the `msgid` in JSON.
    pub env_var: &'a str,
    /// Whether only `YES` counts, or any of the usual words.
    pub only_yes: bool,
    /// Whether an invalid answer is asked again.
    pub retry: bool,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Do not; also for end of input and invalid answers.
    No,
}

/// Asks the user; implemented by the command line only.
pub trait Questioner: Send + Sync {
    /// Puts the question and returns the answer.
    fn ask(&self, question: &Question<'_>) -> Answer;
}
