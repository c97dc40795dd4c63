//! What is other about zones.

use super::cover::Cover;
use super::space::Size;
use crate::policy::{Endpoints, Policy, Zone};
use serde::Serialize;
use std::collections::BTreeMap;

/// A zone that is in one policy alone, or has other words in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneChange {
    /// Its id.
    pub zone: String,
    /// added, removed or changed.
    pub change: &'static str,
    /// The words that are other, by key; all of them for a zone that was added or removed.
    pub keys: BTreeMap<&'static str, Words>,
}

/// A key's value before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Words {
    /// In the old policy, if the zone is there.
    pub old: Option<String>,
    /// In the new policy.
    pub new: Option<String>,
}

/// Subscribers that are in another zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The zone before; `None` is no zone.
    pub old_zone: Option<String>,
    /// The zone now.
    pub zone: Option<String>,
    /// Who.
    pub subscribers: Cover,
    /// How many they are.
    pub size: Size,
}

/// Subscribers of whom blocks begin to be carried out, or are no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enforcement {
    /// begins or ends.
    pub change: &'static str,
    /// The zone now; the one before, where there is none now.
    pub zone: Option<String>,
    /// Who.
    pub subscribers: Cover,
    /// How many they are.
    pub size: Size,
}

/// Every zone whose words are other. Its subscribers are another matter, see [`Moved`].
pub(super) fn compare(old: &Policy, new: &Policy) -> Vec<ZoneChange> {
    let by_id = |policy: &Policy| -> BTreeMap<String, BTreeMap<&'static str, String>> {
        policy.zones.iter().map(|zone| (zone.id.clone(), words(zone))).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let ids = before.keys().chain(after.keys().filter(|id| !before.contains_key(*id)));
    let changes = ids.filter_map(|id| {
        let (old, new) = (before.get(id), after.get(id));
        let change = match (old, new) {
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
            _ => "added",
        };
        let value = |side: Option<&BTreeMap<&'static str, String>>, key| {
            side.and_then(|words| words.get(key).cloned())
        };
        let all = old.into_iter().chain(new).flatten().map(|(key, _)| *key);
        let keys: BTreeMap<_, _> = all
            .map(|key| (key, Words { old: value(old, key), new: value(new, key) }))
            .filter(|(_, words)| words.old != words.new)
            .collect();
        (!keys.is_empty()).then(|| ZoneChange { zone: id.clone(), change, keys })
    });
    changes.collect()
}

/// What a zone says, but for whom.
fn words(zone: &Zone) -> BTreeMap<&'static str, String> {
    let mut words = BTreeMap::from([
        ("mode", zone.mode.label().to_owned()),
        ("action", zone.action.label().to_owned()),
        ("return_path", zone.return_path.label().to_owned()),
    ]);
    let Endpoints { ipv4, ipv6 } = zone.redirects_to();
    let to = [ipv4.map(|to| to.to_string()), ipv6.map(|to| to.to_string())];
    let to = to.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if zone.subscriber_prefix_v6 != 64 {
        words.insert("subscriber_prefix_v6", zone.subscriber_prefix_v6.to_string());
    }
    if let Some(limit) = zone.relay_limit {
        words.insert("relay_max_new_connections_per_minute", limit.to_string());
    }
    if !to.is_empty() {
        words.insert("redirects_to", to);
    }
    if let Some(notice) = &zone.notice {
        let texts = [("submission", &notice.submission), ("url", &notice.url)];
        words.extend(texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))));
    }
    words
}
