//! What was written: the policy file as serde sees it, every key of the format and no judgement.
//!
//! Words, instants and prefixes are text here; [`super::validate`] makes them what they mean. A key that was left
//! out is `None`; what was refused by type is neutral (see [`super::yaml::reader`]).

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use std::fmt;

/// One policy file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// The version of the format: 1.
    pub version: Option<u64>,
    /// Parts of the network that share relays and one default.
    pub zones: Vec<Zone>,
    /// Approved relays.
    pub relays: Vec<Relay>,
    /// Dated or permanent permissions.
    pub exceptions: Vec<Exception>,
    /// What is never allowed.
    pub blocks: Vec<Block>,
    /// When a subscriber is reported.
    pub suspects: Option<Suspects>,
}

/// Texts in a list, or one word where a list belongs (`destinations: any`, or a mistake).
#[derive(Debug, PartialEq, Eq)]
pub enum Texts {
    /// A scalar.
    Word(String),
    /// A list.
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrList;

        impl<'de> Visitor<'de> for WordOrList {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a list")
            }

            fn visit_str<E>(self, word: &str) -> Result<Texts, E> {
                Ok(Texts::Word(word.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Texts::List(list))
            }
        }

        deserializer.deserialize_any(WordOrList)
    }
}

/// An entry of `zones`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Zone {
    /// Name in counters and answers.
    pub id: Option<String>,
    /// Source prefixes.
    pub subscribers: Option<Texts>,
    /// `monitor` or `enforce`.
    pub mode: Option<String>,
    /// What a blocked connection gets.
    pub action: Option<String>,
    /// `off`, `monitor` or `enforce`.
    pub return_path: Option<String>,
    /// With `action: relay`, where connections go.
    pub relay_to: Option<Texts>,
    /// With `action: notice`, what the notice says.
    pub notice: Option<Notice>,
    /// What counts as one subscriber in IPv6, in bits.
    pub subscriber_prefix_v6: Option<u64>,
    /// Per subscriber, to relays.
    pub relay_max_new_connections_per_minute: Option<u64>,
}

/// `notice` of a zone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notice {
    /// Where the responder listens.
    pub address: Option<Texts>,
    /// What to use instead.
    pub submission: Option<String>,
    /// Where to read more.
    pub url: Option<String>,
}

/// An entry of `relays`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Name in counters and answers.
    pub id: Option<String>,
    /// Ids of zones; left out, every zone.
    pub zones: Option<Texts>,
    /// Destination prefixes.
    pub addresses: Option<Texts>,
    /// Host names.
    pub names: Option<Texts>,
    /// How long the last good answer for a name is kept.
    pub keep_old_for: Option<String>,
}

/// An entry of `exceptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exception {
    /// Name in counters and answers.
    pub id: Option<String>,
    /// `university`, `business` or `other`.
    pub kind: Option<String>,
    /// Ids of zones; left out, every zone.
    pub zones: Option<Texts>,
    /// Who may; left out, every subscriber of the zones.
    pub subscribers: Option<Texts>,
    /// More of who may, in a file.
    pub subscribers_file: Option<String>,
    /// To where; or `any`.
    pub destinations: Option<Texts>,
    /// More of to where, in a file.
    pub destinations_file: Option<String>,
    /// Host names.
    pub names: Option<Texts>,
    /// Domains whose mail exchangers are meant.
    pub mx: Option<Texts>,
    /// How long the last good answer for a name is kept.
    pub keep_old_for: Option<String>,
    /// First instant at which it holds.
    pub from: Option<String>,
    /// First instant at which it no longer holds.
    pub until: Option<String>,
    /// In place of `until`.
    pub permanent: Option<bool>,
    /// When to look at it again.
    pub review_by: Option<String>,
    /// Per subscriber.
    pub max_new_connections_per_minute: Option<u64>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whom to ask on the other side.
    pub contact: Option<String>,
    /// Where it was decided.
    pub ticket: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
}

/// An entry of `blocks`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Block {
    /// Name in counters and answers.
    pub id: Option<String>,
    /// Ids of zones; left out, every zone.
    pub zones: Option<Texts>,
    /// Who may not; left out, every subscriber of the zones.
    pub subscribers: Option<Texts>,
    /// More of who may not, in a file.
    pub subscribers_file: Option<String>,
    /// To where; left out, or `any`, everywhere.
    pub destinations: Option<Texts>,
    /// More of to where, in a file.
    pub destinations_file: Option<String>,
    /// First instant at which it holds.
    pub from: Option<String>,
    /// First instant at which it no longer holds.
    pub until: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
}

/// `suspects`: when a subscriber is reported.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Suspects {
    /// So many attempts,
    pub attempts: Option<u64>,
    /// to so many remotes,
    pub remotes: Option<u64>,
    /// within this time.
    pub within: Option<String>,
}
