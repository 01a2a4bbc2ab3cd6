//! Which of the known words somebody may have meant.

/// Longest word looked at: nobody mistypes more.
const WORD_LEN_MAX: usize = 60;

/// The known word that differs least from what was written, if it does not differ much. How words are joined
/// (`startAt`, `start-at`) does not count.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > WORD_LEN_MAX {
        return None;
    }
    let snake = snake_case(word);
    let distances = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&snake, known), *known));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    let enough = snake.chars().count().div_ceil(3).min(3);
    (distance <= enough).then_some(near)
}

/// `startAt` and `start-at` as `start_at`.
fn snake_case(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if c.is_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(match c {
            '-' => vec!['_'],
            _ => c.to_lowercase().collect(),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_and_other_spellings_are_recognised() {
        let known = &["start_at", "compression", "exclude", "user"];
        assert_eq!(nearest("startAt", known), Some("start_at"));
        assert_eq!(nearest("start-at", known), Some("start_at"));
        assert_eq!(nearest("compresion", known), Some("compression"));
        assert_eq!(nearest("excludes", known), Some("exclude"));
        assert_eq!(nearest("password", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
    }
}
