//! How long nobody can remove what was written, where a place can promise that.

use std::fmt;
use std::time::Duration;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;
/// Longest promise: a hundred years, as stores allow.
const DAYS_MAX: u32 = 36_500;
/// Units of time and their days, as they are written.
const UNITS: [(char, u32); 4] = [('d', 1), ('w', 7), ('m', 31), ('y', 365)];

/// Who may remove something before its time all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionMode {
    /// Whoever has a special permission.
    Governance,
    /// Nobody.
    Compliance,
}

impl RetentionMode {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }
}

/// For how long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// From 1 to 36500.
    pub days: u32,
    /// How strictly.
    pub mode: RetentionMode,
}

impl Retention {
    /// Reads `30d`, `4w`, `6m` (of 31 days) or `1y`, and after a comma `governance` (which is meant without one) or `compliance`.
    pub fn parse(text: &str) -> Option<Self> {
        let (period, mode) = text.split_once(',').unwrap_or((text, "governance"));
        let mode = [RetentionMode::Governance, RetentionMode::Compliance]
            .into_iter()
            .find(|known| known.name() == mode.trim())?;
        let period = period.trim();
        let unit = period.chars().next_back()?;
        let (_, days) = UNITS.into_iter().find(|(letter, _)| *letter == unit)?;
        let number = period.strip_suffix(unit)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let days = number.parse::<u32>().ok()?.checked_mul(days)?;
        (1..=DAYS_MAX)
            .contains(&days)
            .then_some(Self { days, mode })
    }

    /// The same as a time.
    pub fn period(self) -> Duration {
        Duration::from_secs(u64::from(self.days) * DAY)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d,{}", self.days, self.mode.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_are_read_and_written() {
        let shown = |text| Retention::parse(text).map(|retention| retention.to_string());
        for (text, expected) in [
            ("30d", "30d,governance"),
            ("2w,compliance", "14d,compliance"),
            ("6m, governance", "186d,governance"),
            ("1y", "365d,governance"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "d",
            "0d",
            "30",
            "30h",
            "+3d",
            "101y",
            "99999999999d",
            "3d,",
            "3d,none",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
