//! `top`: who tries most, or last, and to how many.

use super::{count, name};
use crate::clock;
use crate::datapath::fault::Fault;
use crate::datapath::suspects::Suspects;
use crate::status::Installed;
use clap::ValueEnum;
use gate25_common::abi::{SUSPECT_CAPACITY, SubscriberKey, Suspect};
use gate25_common::verdict::Reason;
use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::net::IpAddr;

/// Rows that may be asked for.
pub const MOST_ROWS: usize = 10_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Which rows come first.
    pub sort: Sort,
    /// Only of the zone of that id.
    pub zone: Option<String>,
    /// At most so many rows, and at most [`MOST_ROWS`].
    pub limit: usize,
}

/// Which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Most blocked attempts
    #[default]
    Attempts,
    /// Most distinct remotes
    Remotes,
    /// Newest attempt
    Last,
    /// Longest known
    First,
    /// By address, IPv4 before IPv6
    Subscriber,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// When it was made.
    pub time: Timestamp,
    /// Subscribers that were blocked, of the zone or of all, whether or not they have a row; likewise the next two.
    pub subscribers: usize,
    /// Those of them that are suspects.
    pub suspects: usize,
    /// Their attempts.
    pub attempts: u64,
    /// Subscribers that there is room for.
    pub capacity: usize,
    /// In the order asked for.
    pub rows: Vec<Row>,
}

/// One subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// An IPv4 address, or an IPv6 prefix.
    pub subscriber: String,
    /// The zone's id.
    pub zone: Option<String>,
    /// Blocked attempts since `first`.
    pub attempts: u64,
    /// Those of the newest window.
    pub attempts_in_window: u64,
    /// Distinct remotes of the newest window; estimated from sixteen on.
    pub remotes: u32,
    /// The first attempt.
    pub first: Timestamp,
    /// The newest attempt.
    pub last: Timestamp,
    /// Why that was blocked.
    pub reason: Option<Cow<'static, str>>,
    /// Whether that was carried out.
    pub enforced: bool,
    /// Whether it is over the thresholds now.
    pub suspect: bool,
}

/// The smallest rank has the first row.
type Rank = (u128, u64, u128);

/// An entry, by its rank alone.
struct Ranked(Rank, SubscriberKey, Suspect);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// Reads the table once, and keeps no more of it than the rows.
pub fn top(table: &Suspects, installed: &Installed, question: &Question) -> Result<Top, String> {
    let wanted = |zone: &str| installed.zones.iter().find(|(_, id)| *id == zone).map(|(slot, _)| *slot);
    let zone = match &question.zone {
        Some(zone) => Some(wanted(zone).ok_or_else(|| format!("zone: {zone}: {NO_ZONE}"))?),
        None => None,
    };
    let said = |fault: Fault| fault.to_string();
    let (wall, now, within) = (Timestamp::now(), clock::monotonic(), table.within().map_err(said)?);
    let mut chosen = Chosen { limit: question.limit.min(MOST_ROWS), rows: BinaryHeap::new() };
    let (mut subscribers, mut suspects, mut attempts) = (0, 0, 0);
    table
        .each(|key, suspect| {
            if zone.is_some_and(|zone| zone != suspect.zone) {
                return;
            }
            subscribers += 1;
            suspects += usize::from(suspect.is_suspect(now, within));
            attempts += suspect.attempts;
            chosen.offer(rank(question.sort, key, suspect), key, suspect);
        })
        .map_err(said)?;
    let time = |monotonic: u64| {
        let ago = i64::try_from(now.saturating_sub(monotonic)).unwrap_or(i64::MAX);
        let time = wall.checked_sub(SignedDuration::from_nanos(ago)).unwrap_or(wall);
        time.round(Unit::Millisecond).unwrap_or(time)
    };
    let row = |Ranked(_, key, suspect): &Ranked| Row {
        subscriber: name(key, table.prefix_v6(suspect.zone)),
        zone: installed.zones.get(&suspect.zone).cloned(),
        attempts: suspect.attempts,
        attempts_in_window: suspect.in_window(),
        remotes: count(&suspect.remotes),
        first: time(suspect.first),
        last: time(suspect.last),
        reason: Reason::from_index(suspect.reason).map(|reason| reason.label().into()),
        enforced: suspect.enforced != 0,
        suspect: suspect.is_suspect(now, within),
    };
    let rows = chosen.rows.into_sorted_vec().iter().map(row).collect();
    Ok(Top { time: time(now), subscribers, suspects, attempts, capacity: SUSPECT_CAPACITY as usize, rows })
}

/// The cause where a zone is asked for that there is not.
pub const NO_ZONE: &str = "is no zone of the policy in force";

/// The entries of the smallest ranks.
struct Chosen {
    limit: usize,
    rows: BinaryHeap<Ranked>,
}

impl Chosen {
    fn offer(&mut self, rank: Rank, key: &SubscriberKey, suspect: &Suspect) {
        if self.rows.len() < self.limit {
            self.rows.push(Ranked(rank, *key, *suspect));
        } else if let Some(mut worst) = self.rows.peek_mut()
            && rank < worst.0
        {
            *worst = Ranked(rank, *key, *suspect);
        }
    }
}

/// Who comes first; of equals who tried most often, and then by address.
fn rank(sort: Sort, key: &SubscriberKey, suspect: &Suspect) -> Rank {
    let most = |number: u64| u128::from(u64::MAX - number);
    let address = match IpAddr::from(key.address()) {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let first = match sort {
        Sort::Attempts => most(suspect.attempts),
        Sort::Remotes => most(count(&suspect.remotes).into()),
        Sort::Last => most(suspect.last),
        Sort::First => suspect.first.into(),
        Sort::Subscriber => address,
    };
    (first, u64::MAX - suspect.attempts, address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate25_common::abi::Remotes;

    fn key(address: &str) -> SubscriberKey {
        SubscriberKey::new(address.parse::<IpAddr>().unwrap().into(), 64)
    }

    fn suspect(attempts: u64, remotes: u32, first: u64, last: u64) -> Suspect {
        let remotes = Remotes { listed: remotes, ..Remotes::default() };
        Suspect { attempts, remotes, first, last, ..Suspect::default() }
    }

    #[test]
    fn who_comes_first() {
        let all = [
            ("203.0.113.9", suspect(5, 1, 30, 90)),
            ("203.0.113.10", suspect(7, 2, 20, 40)),
            ("2001:db8::1", suspect(5, 9, 10, 50)),
            ("198.51.100.1", suspect(5, 2, 40, 60)),
        ];
        for (sort, wanted) in [
            (Sort::Attempts, [1, 3, 0, 2]),
            (Sort::Remotes, [2, 1, 3, 0]),
            (Sort::Last, [0, 3, 2, 1]),
            (Sort::First, [2, 1, 0, 3]),
            (Sort::Subscriber, [3, 0, 1, 2]),
        ] {
            for limit in 0..=5 {
                let mut chosen = Chosen { limit, rows: BinaryHeap::new() };
                for (address, suspect) in &all {
                    chosen.offer(rank(sort, &key(address), suspect), &key(address), suspect);
                }
                let found: Vec<_> = chosen.rows.into_sorted_vec().iter().map(|row| row.1).collect();
                let wanted: Vec<_> = wanted.iter().take(limit).map(|place| key(all[*place].0)).collect();
                assert_eq!(found, wanted, "{sort:?} {limit}");
            }
        }
    }
}
