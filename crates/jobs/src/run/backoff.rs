//! How long to wait before trying again.

use std::time::Duration;

use crate::job::Retry;

/// It is a quarter longer or shorter, by chance: clients that a server's restart has cut off do not all come back at once.
const JITTER: f64 = 0.25;

/// The wait before attempt number `next`, from 2. `random` is from 0 to 1.
pub fn wait_before(retry: &Retry, next: u32, random: f64) -> Duration {
    let doublings = next.saturating_sub(2).min(31);
    let wait = retry
        .first
        .saturating_mul(1 << doublings)
        .min(retry.longest);
    let factor = 1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0);
    // Years would do: what is multiplied is bounded, what cannot be is not multiplied.
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retry(first: u64, longest: u64) -> Retry {
        Retry {
            attempts: 9,
            first: Duration::from_secs(first),
            longest: Duration::from_secs(longest),
        }
    }

    #[test]
    fn it_doubles_up_to_the_longest() {
        let waits = (2..8).map(|next| wait_before(&retry(30, 300), next, 0.5).as_secs());
        assert_eq!(waits.collect::<Vec<_>>(), [30, 60, 120, 240, 300, 300]);
    }

    proptest! {
        #[test]
        fn chance_changes_it_by_a_quarter_at_most(
            first in 0..=u64::MAX,
            // More than a float counts the seconds of is not asked for.
            longest in 0..=1_u64 << 50,
            next in 0..=u32::MAX,
            random: f64,
        ) {
            let retry = retry(first, longest);
            let plain = wait_before(&retry, next, 0.5);
            let wait = wait_before(&retry, next, random);
            prop_assert!(plain <= retry.longest);
            let share = wait.as_secs_f64() / plain.as_secs_f64().max(1e-9);
            prop_assert!(plain.is_zero() || (0.7499..=1.2501).contains(&share), "{share}");
        }
    }
}
