//! Subscribers whose connections are blocked, in people's terms.
#![allow(clippy::cast_sign_loss, reason = "logarithms of what is at least 1")]

pub mod top;

use crate::policy::Suspects;
use gate25_common::abi::{REMOTES_LISTED, Remotes, SubscriberKey, Thresholds};
use std::net::IpAddr;

/// Bits of [`Remotes::sketch`].
const BITS: f64 = 512.0;

/// What the program compares with.
#[must_use]
pub fn thresholds(suspects: &Suspects) -> Thresholds {
    let Suspects { attempts, remotes, within } = *suspects;
    // What linear counting expects of so many.
    let expected = BITS * (1.0 - (-f64::from(remotes) / BITS).exp());
    let bits = if remotes as usize <= REMOTES_LISTED { 0 } else { expected.round() as u32 };
    Thresholds {
        within: u64::try_from(within.as_nanos()).unwrap_or(u64::MAX),
        attempts,
        remotes,
        bits,
        padding: 0,
    }
}

/// How many distinct remotes: exact below sixteen, else estimated by linear counting (Whang, Vander-Zanden and Taylor, TODS
/// 1990), whose standard error here is 3 to 5 % up to 1,000 remotes and 8 % at 2,000; it ends at 3,194.
#[must_use]
pub fn count(remotes: &Remotes) -> u32 {
    if (remotes.listed as usize) < REMOTES_LISTED {
        return remotes.listed;
    }
    let empty = (BITS - f64::from(remotes.bits)).max(1.0);
    let estimate = (BITS * (BITS / empty).ln()).round() as u32;
    estimate.max(REMOTES_LISTED as u32)
}

/// The subscriber as people write it: an address, or a prefix of that length in IPv6.
#[must_use]
pub fn name(key: &SubscriberKey, prefix_v6: u32) -> String {
    match IpAddr::from(key.address()) {
        IpAddr::V6(address) if prefix_v6 < 128 => format!("{address}/{prefix_v6}"),
        address => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate25_common::address::Address;
    use gate25_common::suspect::hash;

    #[test]
    fn estimates_are_as_good_as_said() {
        for (distinct, error) in [(5, 0.0), (15, 0.0), (16, 0.13), (100, 0.13), (1_000, 0.19), (2_000, 0.32)]
        {
            for seed in 0..50 {
                let mut remotes = Remotes::default();
                let all = (0..distinct).flat_map(|number| [number, number]);
                all.for_each(|number| remotes.add(hash(Address::from_words([number, 0], false), seed)));
                let off = (f64::from(count(&remotes)) - distinct as f64).abs() / distinct as f64;
                // Four standard errors.
                assert!(off <= error, "{distinct} with seed {seed}: {}", count(&remotes));
            }
        }
    }

    #[test]
    fn a_threshold_is_exact_or_what_the_estimate_says() {
        let of = |remotes| thresholds(&Suspects { remotes, ..Suspects::default() });
        assert_eq!((of(10).remotes, of(10).bits, of(16).bits), (10, 0, 0));
        assert_eq!(of(10).within, 600_000_000_000);
        for remotes in [17, 100, 1_000] {
            let reached = Remotes { bits: of(remotes).bits, listed: 16, ..Remotes::default() };
            assert!(count(&reached).abs_diff(remotes) <= 1 + remotes / 200, "{remotes}: {}", count(&reached));
        }
    }
}
