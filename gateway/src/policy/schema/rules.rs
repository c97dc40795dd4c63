//! What an entry must have, or cannot have, beside the shape of each key.

use crate::policy::words::Words;
use gate25_common::verdict::{Action, Mode, ReturnPath};
use serde_json::{Value, json};

/// At least one of the keys.
pub(in crate::policy) fn some_of(keys: &[&str]) -> Value {
    keys.iter().map(|key| json!({"required": [key]})).collect()
}

/// `until`, or `permanent: true`, and not both; and with `destinations: any`, none of the keys that would add some.
pub(in crate::policy) fn exception() -> Value {
    let only = |value: bool, message: &str| json!({"permanent": {"enum": [value], "errorMessage": message}});
    json!([
        {"anyOf": some_of(&["until", "permanent"])},
        {
            "if": {"required": ["until"]},
            "then": {"properties": only(false, "contradicts until: keep one of the two")},
            "else": {"properties": only(true, "without until it must be true")},
        },
        any_alone(&["destinations_file", "names", "mx"]),
    ])
}

/// What an editor offers to begin an exception with.
pub(in crate::policy) fn snippets() -> Value {
    let common = json!({"id": "$1", "kind": "${2|university,business,other|}", "zones": ["$3"]});
    let snippet = |label: &str, more: &[(&str, Value)]| {
        let mut body = common.clone();
        for (key, value) in more {
            body[*key] = value.clone();
        }
        json!({"label": label, "body": body})
    };
    let people = [("owner", json!("$6")), ("ticket", json!("$7")), ("reason", json!("$8"))];
    let dated = [("destinations", json!(["$4"])), ("until", json!("${5:2030-07-01T00:00:00-07:00}"))];
    let permanent = [
        ("subscribers", json!(["$4"])),
        ("destinations", json!(ANY)),
        ("permanent", json!(true)),
        ("review_by", json!("${5:2030-07-01T00:00:00-07:00}")),
    ];
    json!([
        snippet("exception until a date", &[&dated[..], &people].concat()),
        snippet("permanent exception", &[&permanent[..], &people].concat()),
    ])
}

/// Where it is `destinations: any`, none of the keys that would add some.
fn any_alone(keys: &[&str]) -> Value {
    let none: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
    when("destinations", ANY, json!({"properties": none}))
}

/// Not everyone from everywhere.
pub(in crate::policy) fn not_of_everything() -> Value {
    let then = json!({"anyOf": some_of(&["zones", "subscribers", "subscribers_file"])});
    json!([when("destinations", ANY, then), any_alone(&["destinations_file"])])
}

/// What a zone's words ask for.
pub(in crate::policy) fn zone() -> Value {
    let notice = json!({"required": ["notice"], "properties": {"notice": {"required": ["address"]}}});
    let enforce = json!({"required": ["mode"], "properties": {"mode": {"const": Mode::Enforce.label()}}});
    json!([
        when("action", Action::Relay.label(), json!({"required": ["relay_to"]})),
        when("action", Action::Notice.label(), notice),
        when("return_path", ReturnPath::Enforce.label(), enforce),
    ])
}

/// The word in place of a list of destinations.
pub(super) const ANY: &str = "any";

fn when(key: &str, word: &str, then: Value) -> Value {
    json!({"if": {"required": [key], "properties": {key: {"const": word}}}, "then": then})
}

/// A closed list of words; editors show what each means.
pub(super) fn words<T>(words: Words<T>) -> Value {
    let written: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let meant: Vec<&str> = words.iter().map(|(.., meaning)| *meaning).collect();
    json!({"type": "string", "enum": written, "enumDescriptions": meant})
}
