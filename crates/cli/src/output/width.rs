//! Widths in terminal cells, and cutting a text to a width.

/// Columns a character takes: two for East Asian wide ones, none for combining marks and controls.
fn cells(character: char) -> usize {
    let code = u32::from(character);
    match code {
        0x20..=0x7e => 1,
        0..=0x1f | 0x7f..=0x9f => 0,
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0x1ab0..=0x1aff | 0x20d0..=0x20ff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(cells).sum()
}

/// The text in exactly `space` columns where possible: padded, or with `...` in its middle.
///
/// Source: Borg 1.4, `ellipsis_truncate`.
pub(crate) fn truncate(text: &str, space: usize) -> String {
    if space < 8 {
        return format!("{:<space$}", "...");
    }
    let text_width = width(text);
    if space < 3 + text_width {
        let head = take(text.chars(), space / 2 - 3);
        // Half of an odd space is rounded away from zero at the end: the whole is as wide as asked.
        let mut tail: Vec<char> = take(text.chars().rev(), space.div_ceil(2));
        tail.reverse();
        return head.into_iter().chain("...".chars()).chain(tail).collect();
    }
    let mut padded = text.to_owned();
    padded.extend(std::iter::repeat_n(' ', space - text_width));
    padded
}

fn take(characters: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut used = 0;
    characters
        .take_while(|&character| {
            used += cells(character);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_as_borg_cuts_them() {
        for case in crate::test_vectors::strings()["ellipsis_truncate"]
            .as_array()
            .unwrap()
        {
            let text = case["ellipsis_truncate"][0].as_str().unwrap();
            let space = usize::try_from(case["ellipsis_truncate"][1].as_u64().unwrap()).unwrap();
            assert_eq!(
                truncate(text, space),
                case["out"].as_str().unwrap(),
                "{case}"
            );
        }
    }
}
