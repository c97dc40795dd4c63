//! What was written: the policy file as serde sees it, every key of the format and no judgement.
//!
//! Words, instants and prefixes are text here; [`super::validate`] makes them what they mean. A key that was left
//! out is `None`; what was refused by type is neutral (see [`super::yaml::reader`]).
//!
//! The same types make the [schema](super::schema): what is said here of a field is what an editor shows for its key,
//! and what stands in the policy reference. `schema::shape` says what its text looks like.

use super::schema::{rules, shape};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Who may send mail directly, to where, until when: a policy of Gate25, or one file of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["version"]))]
pub struct Document {
    /// The version of this format, first in every file.
    #[schemars(schema_with = "shape::version")]
    pub version: Option<u64>,
    /// The parts of your network, each with relays and a default of its own. A source address in no zone is not touched.
    pub zones: Vec<Zone>,
    /// Your own outbound mail servers: every subscriber of the zones may connect to them.
    pub relays: Vec<Relay>,
    /// Who else may connect, to where and until when.
    pub exceptions: Vec<Exception>,
    /// What is never allowed, whatever else allows it.
    pub blocks: Vec<Block>,
    /// Who tries so often, to so many servers, within that time, is reported: in events, in `gate25 top`, in a gauge.
    /// Nothing else follows. At most once in a policy.
    #[schemars(with = "Suspects")]
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

impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::List(list) => match list.as_slice() {
                [] => f.write_str("[]"),
                [only] => write!(f, "[{only}]"),
                [first, ..] => write!(f, "[{first}, ...]"),
            },
        }
    }
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

/// A part of your network: its subscribers share relays, a mode and an action.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "subscribers"], "allOf" = rules::zone()))]
pub struct Zone {
    /// A short name, no other zone's; it shows up in counters, logs and answers.
    #[schemars(schema_with = "shape::id")]
    pub id: Option<String>,
    /// Whose connections are judged: IPv4 and IPv6 prefixes, or single addresses. Of several zones the most specific
    /// prefix decides; the same one cannot be in two.
    #[schemars(schema_with = "shape::subscribers")]
    pub subscribers: Option<Texts>,
    /// Whether what is blocked is really stopped. Begin with `monitor`.
    #[schemars(schema_with = "shape::mode")]
    pub mode: Option<String>,
    /// What a blocked connection gets.
    #[schemars(schema_with = "shape::action")]
    pub action: Option<String>,
    /// The same policy for what comes back, TCP from port 25 toward subscribers.
    #[schemars(schema_with = "shape::return_path")]
    pub return_path: Option<String>,
    /// With `action: relay`, where blocked connections go: at most one endpoint for IPv4 and one for IPv6; a family
    /// without one gets a reset.
    #[schemars(schema_with = "shape::endpoints")]
    pub relay_to: Option<Texts>,
    /// With `action: notice`, where blocked connections go and what they are told.
    #[schemars(with = "Notice")]
    pub notice: Option<Notice>,
    /// How many bits one subscriber has in IPv6, for limits, events and suspects.
    #[schemars(schema_with = "shape::subscriber_bits")]
    pub subscriber_prefix_v6: Option<u64>,
    /// New connections a minute of each subscriber to relays; left out, there is no limit. What is beyond is blocked
    /// with reason `rate`.
    #[schemars(schema_with = "shape::limit")]
    pub relay_max_new_connections_per_minute: Option<u64>,
}

/// What a blocked connection is told, and by whom.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notice {
    /// Where `gate25 notice` listens: at most one endpoint for IPv4 and one for IPv6; a family without one gets a
    /// reset.
    #[schemars(schema_with = "shape::endpoints")]
    pub address: Option<Texts>,
    /// What to use instead, as people say it: one line of ASCII.
    #[schemars(schema_with = "shape::submission")]
    pub submission: Option<String>,
    /// Where to read more: a URL.
    #[schemars(schema_with = "shape::url")]
    pub url: Option<String>,
}

/// A mail server of your own, or several.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"], "anyOf" = rules::some_of(&["addresses", "names"])))]
pub struct Relay {
    /// A short name, of no other relay, exception or block; it shows up in counters, logs and answers.
    #[schemars(schema_with = "shape::id")]
    pub id: Option<String>,
    /// Ids of the zones whose subscribers may connect; left out, every zone.
    #[schemars(schema_with = "shape::zones")]
    pub zones: Option<Texts>,
    /// The relay's addresses or prefixes. They or `names` must be there.
    #[schemars(schema_with = "shape::prefixes")]
    pub addresses: Option<Texts>,
    /// Host names in full, whose addresses are looked up in DNS and followed.
    #[schemars(schema_with = "shape::names")]
    pub names: Option<Texts>,
    /// While DNS fails, what it said last holds for so long; 48h unless this says otherwise.
    #[schemars(schema_with = "shape::keep_old_for")]
    pub keep_old_for: Option<String>,
}

/// Who else may connect, to where and until when. Something in `destinations`, `destinations_file`, `names` or `mx` must
/// be there, and exactly one of `until` and `permanent: true`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "required" = ["id"],
    "anyOf" = rules::some_of(&["destinations", "destinations_file", "names", "mx"]),
    "allOf" = rules::exception(),
    "defaultSnippets" = rules::snippets(),
))]
pub struct Exception {
    /// A short name, of no other relay, exception or block; it shows up in counters, logs and answers.
    #[schemars(schema_with = "shape::id")]
    pub id: Option<String>,
    /// What it is for. For people, without effect on the decision.
    #[schemars(schema_with = "shape::kind")]
    pub kind: Option<String>,
    /// Ids of the zones whose subscribers may; left out, every zone.
    #[schemars(schema_with = "shape::zones")]
    pub zones: Option<Texts>,
    /// Who may: prefixes or addresses; left out, every subscriber of the zones.
    #[schemars(schema_with = "shape::subscribers")]
    pub subscribers: Option<Texts>,
    /// More of who may: a list file, one prefix a line, `#` comments. Its path is absolute or relative to this file.
    #[schemars(schema_with = "shape::subscribers_file")]
    pub subscribers_file: Option<String>,
    /// To where: prefixes or addresses, or the word `any`.
    #[schemars(schema_with = "shape::destinations")]
    pub destinations: Option<Texts>,
    /// More of to where: a list file, one prefix a line, `#` comments. Its path is absolute or relative to this file.
    #[schemars(schema_with = "shape::destinations_file")]
    pub destinations_file: Option<String>,
    /// To where: host names in full, whose addresses are looked up in DNS and followed.
    #[schemars(schema_with = "shape::names")]
    pub names: Option<Texts>,
    /// To where: domains whose mail exchangers are meant, looked up in DNS and followed.
    #[schemars(schema_with = "shape::domains")]
    pub mx: Option<Texts>,
    /// While DNS fails, what it said last holds for so long; 48h unless this says otherwise.
    #[schemars(schema_with = "shape::keep_old_for")]
    pub keep_old_for: Option<String>,
    /// It holds from this instant on: date, T, time and the offset from UTC (RFC 3339). Left out, from ever.
    #[schemars(schema_with = "shape::instant")]
    pub from: Option<String>,
    /// At this instant it no longer holds, by itself, and open connections are cut: date, T, time and the offset from
    /// UTC (RFC 3339). "Until June" is the first instant of June, or of July if June is meant to be in.
    #[schemars(schema_with = "shape::instant")]
    pub until: Option<String>,
    /// `true`, in place of `until`: it holds for good.
    #[schemars(schema_with = "shape::permanent")]
    pub permanent: Option<bool>,
    /// When to look at it again: date, T, time and the offset from UTC (RFC 3339). For people, without effect on the
    /// decision.
    #[schemars(schema_with = "shape::instant")]
    pub review_by: Option<String>,
    /// New connections a minute of each subscriber; left out, there is no limit. What is beyond is blocked with reason
    /// `rate`.
    #[schemars(schema_with = "shape::limit")]
    pub max_new_connections_per_minute: Option<u64>,
    /// Who answers for it; `check` warns when it is missing.
    #[schemars(schema_with = "shape::owner")]
    pub owner: Option<String>,
    /// Whom to ask on the other side.
    #[schemars(schema_with = "shape::contact")]
    pub contact: Option<String>,
    /// Where it was decided.
    #[schemars(schema_with = "shape::ticket")]
    pub ticket: Option<String>,
    /// Why it is there; `check` warns when it is missing.
    #[schemars(schema_with = "shape::reason")]
    pub reason: Option<String>,
}

/// What is never allowed, whatever else allows it. Something in `destinations` or `subscribers`, or in a list file of
/// theirs, must be there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "required" = ["id"],
    "anyOf" = rules::some_of(&["destinations", "destinations_file", "subscribers", "subscribers_file"]),
    "allOf" = rules::not_of_everything(),
))]
pub struct Block {
    /// A short name, of no other relay, exception or block; it shows up in counters, logs and answers.
    #[schemars(schema_with = "shape::id")]
    pub id: Option<String>,
    /// Ids of the zones whose subscribers may not; left out, every zone.
    #[schemars(schema_with = "shape::zones")]
    pub zones: Option<Texts>,
    /// Who may not: prefixes or addresses; left out, every subscriber of the zones.
    #[schemars(schema_with = "shape::subscribers")]
    pub subscribers: Option<Texts>,
    /// More of who may not: a list file, one prefix a line, `#` comments. Its path is absolute or relative to this file.
    #[schemars(schema_with = "shape::subscribers_file")]
    pub subscribers_file: Option<String>,
    /// To where: prefixes or addresses; left out, or the word `any`, everywhere.
    #[schemars(schema_with = "shape::destinations")]
    pub destinations: Option<Texts>,
    /// More of to where: a list file, one prefix a line, `#` comments. Its path is absolute or relative to this file.
    #[schemars(schema_with = "shape::destinations_file")]
    pub destinations_file: Option<String>,
    /// It holds from this instant on: date, T, time and the offset from UTC (RFC 3339). Left out, from ever.
    #[schemars(schema_with = "shape::instant")]
    pub from: Option<String>,
    /// At this instant it no longer holds: date, T, time and the offset from UTC (RFC 3339). Left out, it holds for
    /// good.
    #[schemars(schema_with = "shape::instant")]
    pub until: Option<String>,
    /// Why it is there; `check` warns when it is missing.
    #[schemars(schema_with = "shape::reason")]
    pub reason: Option<String>,
}

/// When a subscriber is reported: both thresholds are reached within the time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Suspects {
    /// Blocked attempts: so many or more.
    #[schemars(schema_with = "shape::attempts")]
    pub attempts: Option<u64>,
    /// Different servers that they were headed to: so many or more.
    #[schemars(schema_with = "shape::remotes")]
    pub remotes: Option<u64>,
    /// Within this time, a day at most.
    #[schemars(schema_with = "shape::within")]
    pub within: Option<String>,
}
