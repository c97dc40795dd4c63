//! The schema and the parser are of one mind: both are tried with the same texts.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::policy::{self, Problem, schema};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Mistakes under policies/invalid that no schema sees, by what it would have to know.
const SEEN_BY_CHECK_ALONE: &[&str] = &[
    // Other entries, files or places.
    "endpoint-second-v6",
    "from-after-until",
    "id-and-prefix-twice",
    "id-twice-rules",
    "id-twice-zones",
    "list-bad-lines",
    "list-empty",
    "list-is-folder",
    "list-missing",
    "no-zones",
    "unknown-zone",
    "unknown-zone-far",
    "zone-prefix-twice",
    // Bits and octets of a text.
    "endpoint-broadcast",
    "endpoint-link-local",
    "endpoint-loopback",
    "endpoint-mapped",
    "endpoint-multicast",
    "endpoint-unspecified",
    "host-bits",
    "host-bits-v6",
    "id-control-character",
    "prefix-mapped",
    // YAML as such; editors tell of the first by themselves.
    "duplicate-key",
    "tag",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What an editor does: patterns it looks at, of formats as much as it likes.
fn validator(has_formats: bool) -> Validator {
    let schema = schema::schema();
    jsonschema::options().should_validate_formats(has_formats).build(&schema).expect("a schema")
}

/// The files of a folder under `policies`, by name.
fn policies(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).expect(folder);
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let policies = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    policies.map(|path| (name(&path), fs::read_to_string(&path).expect("a policy"))).collect()
}

/// A policy with every mapping there is, as short as it can be.
fn base() -> Value {
    json!({
        "version": 1,
        "zones": [{"id": "west", "subscribers": ["203.0.113.0/24"], "notice": {}}],
        "relays": [{"id": "outbound", "addresses": ["192.0.2.25"]}],
        "exceptions": [{"id": "campus", "destinations": ["198.51.100.0/24"], "until": "2030-06-01T00:00:00Z"}],
        "blocks": [{"id": "lab", "destinations": ["198.51.100.66"]}],
        "suspects": {},
    })
}

/// Every mapping of the schema: where it is in `base`, and its schema.
fn mappings(schema: &Value, place: &str) -> Vec<(String, Value)> {
    let mut all = vec![(place.to_owned(), schema.clone())];
    for (name, property) in schema["properties"].as_object().expect("properties") {
        if property["items"]["properties"].is_object() {
            all.extend(mappings(&property["items"], &format!("{place}/{name}/0")));
        } else if property["properties"].is_object() {
            all.extend(mappings(property, &format!("{place}/{name}")));
        }
    }
    all
}

fn all_mappings() -> Vec<(String, Value)> {
    let all = mappings(&schema::schema(), "");
    assert_eq!(all.len(), 7, "file, zone, notice, relay, exception, block, suspects");
    all
}

fn keys(schema: &Value) -> Vec<String> {
    schema["properties"].as_object().expect("properties").keys().cloned().collect()
}

/// `base` with a key more, or another value for it; JSON is YAML.
fn with(place: &str, key: &str, value: &Value) -> Value {
    let mut policy = base();
    policy.pointer_mut(place).expect("in the base")[key] = value.clone();
    policy
}

fn without(place: &str, key: &str) -> Value {
    let mut policy = base();
    policy.pointer_mut(place).and_then(Value::as_object_mut).expect("a mapping").shift_remove(key);
    policy
}

struct Parser(tempfile::TempDir);

impl Parser {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn load(&self, policy: &Value) -> Result<policy::Policy, Vec<Problem>> {
        let path = self.0.path().join("policy.yaml");
        // Some file systems wait for the disk where a file is written over.
        let _ = fs::remove_file(&path);
        fs::write(&path, policy.to_string()).expect("the policy");
        policy::load(&path).map(|loaded| loaded.policy).map_err(|refused| refused.problems)
    }
}

#[test]
fn the_shipped_schema_is_of_these_types() {
    let shipped = fs::read_to_string(root().join("policies/schema.json")).expect("policies/schema.json");
    assert!(shipped == schema::text(), "make it anew: gate25 schema > policies/schema.json");
    assert!(jsonschema::draft7::meta::is_valid(&schema::schema()));
}

#[test]
fn shipped_policies_fit_and_name_the_schema() {
    let shipped = policies("policies");
    assert!(shipped.len() >= 6, "{}", shipped.len());
    for (name, text) in shipped {
        assert_eq!(text.lines().next(), Some("# yaml-language-server: $schema=schema.json"), "{name}");
        let policy: Value = serde_yaml::from_str(&text).expect(&name);
        for has_formats in [false, true] {
            let faults: Vec<String> =
                validator(has_formats).iter_errors(&policy).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{name}: {faults:?}");
        }
    }
}

#[test]
fn mistakes_that_a_schema_can_see_are_seen() {
    let validator = validator(false);
    let is_seen = |text: &str| {
        // What an editor's parser refuses is seen, too.
        serde_yaml::from_str::<Value>(text).map_or(true, |policy| !validator.is_valid(&policy))
    };
    let invalid = policies("policies/invalid");
    assert!(invalid.len() > 100, "{}", invalid.len());
    let unseen: BTreeSet<&str> =
        invalid.iter().filter(|(_, text)| !is_seen(text)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(unseen, SEEN_BY_CHECK_ALONE.iter().copied().collect());
}

#[test]
fn parser_and_schema_know_the_same_keys() {
    let (parser, validator) = (Parser::new(), validator(true));
    let unknown = "z".repeat(60);
    for (place, schema) in all_mappings() {
        let policy = with(&place, &unknown, &json!(1));
        let problems = parser.load(&policy).expect_err("no such key");
        let [Problem { remedy, .. }] = problems.as_slice() else { panic!("{place}: {problems:?}") };
        assert_eq!(*remedy, format!("known here: {}", keys(&schema).join(", ")), "{place}");
        assert!(!validator.is_valid(&policy), "{place}");
        // Each key alone: never "is not a known key", whatever else is wrong with its value.
        for key in keys(&schema) {
            let problems = parser.load(&with(&place, &key, &json!({}))).err().unwrap_or_default();
            assert!(
                !problems.iter().any(|problem| problem.cause.contains("known key")),
                "{key}: {problems:?}"
            );
        }
    }
}

#[test]
fn parser_and_schema_require_the_same_keys() {
    let (parser, validator) = (Parser::new(), validator(true));
    let mut refused = BTreeSet::new();
    for (place, schema) in all_mappings() {
        let there = base();
        let there = there.pointer(&place).and_then(Value::as_object).expect("a mapping");
        for key in keys(&schema).iter().filter(|key| there.contains_key(*key)) {
            let policy = without(&place, key);
            let problems = parser.load(&policy).err();
            // Another file may have the zones; without any, what refers to them is not asked.
            if place.is_empty() && key == "zones" {
                continue;
            }
            assert_eq!(problems.is_none(), validator.is_valid(&policy), "{place}/{key}: {problems:?}");
            if problems.is_some() {
                refused.insert(format!("{place}/{key}"));
            }
        }
    }
    let required = [
        "/version",
        "/zones/0/id",
        "/zones/0/subscribers",
        "/relays/0/id",
        "/relays/0/addresses",
        "/exceptions/0/id",
        "/exceptions/0/destinations",
        "/exceptions/0/until",
        "/blocks/0/id",
        "/blocks/0/destinations",
    ];
    assert_eq!(refused, required.map(str::to_owned).into());
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let parser = Parser::new();
    let meaning = |policy: &Value| {
        let policy = parser.load(policy).expect("valid");
        format!("{:?}", (policy.zones, policy.relays, policy.exceptions, policy.blocks, policy.suspects))
    };
    let mut count = 0;
    for (place, schema) in all_mappings() {
        for key in keys(&schema) {
            if let Some(default) = schema["properties"][&key].get("default") {
                assert_eq!(meaning(&with(&place, &key, default)), meaning(&base()), "{place}/{key}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 8, "mode, action, return_path, bits of a subscriber, kind, three of suspects");
}

#[test]
fn examples_and_words_are_taken() {
    let (parser, validator) = (Parser::new(), validator(true));
    let mut count = 0;
    for (place, schema) in all_mappings() {
        for key in keys(&schema).iter().filter(|key| !key.ends_with("_file")) {
            let property = &schema["properties"][key];
            for value in ["examples", "enum"].iter().filter_map(|list| property[list].as_array()).flatten() {
                let mut policy = with(&place, key, value);
                let zone = &mut policy["zones"][0];
                // What these ask for.
                match value.as_str() {
                    Some("notice") => zone["notice"]["address"] = json!("192.0.2.26:2525"),
                    Some("relay") => zone["relay_to"] = json!("192.0.2.25:25"),
                    Some("enforce") => zone["mode"] = json!("enforce"),
                    _ => {}
                }
                let exception = policy["exceptions"][0].as_object_mut().expect("an exception");
                if key == "permanent" {
                    exception.shift_remove("until");
                }
                if place == "/blocks/0" && value == "any" {
                    policy["blocks"][0]["subscribers"] = json!(["203.0.113.9"]);
                }
                // Dates in examples are later than the base's end, and ids are examples, too.
                if key == "from" {
                    policy.pointer_mut(&place).expect("there")["until"] = json!("2031-01-01T00:00:00Z");
                }
                let problems = parser.load(&policy).err();
                assert!(
                    problems.is_none() && validator.is_valid(&policy),
                    "{place}/{key}: {value}: {problems:?}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
}

/// Texts that a policy may have somewhere, right or nearly so.
fn texts() -> impl Strategy<Value = String> {
    let bits = |most: u32| (0..=most).prop_map(|bits| format!("/{bits}"));
    prop_oneof![
        any::<u32>().prop_map(|v4| Ipv4Addr::from(v4).to_string()),
        (any::<u32>(), 0u32..=32).prop_map(|(v4, bits)| {
            format!("{}/{bits}", Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0) & v4))
        }),
        any::<u128>().prop_map(|v6| Ipv6Addr::from(v6).to_string()),
        (any::<u128>(), 0u32..=128).prop_map(|(v6, bits)| {
            format!("{}/{bits}", Ipv6Addr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0) & v6))
        }),
        ("(0|[0-9A-Fa-f]{1,4}):(:[0-9A-F]{1,4}){1,6}(:192\\.0\\.2\\.1)?", bits(128))
            .prop_map(|(v6, bits)| v6 + &bits),
        "::(64:)?[0-9]{1,2}\\.[0-9]{1,3}\\.2\\.1",
        (any::<u32>(), any::<u16>()).prop_map(|(v4, port)| format!("{}:{port}", Ipv4Addr::from(v4))),
        (any::<u128>(), "0?[0-9]{1,5}").prop_map(|(v6, port)| format!("[{}]:{port}", Ipv6Addr::from(v6))),
        "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?([zZ]|[+-][0-2][0-9]:[0-6][0-9])",
        "[0-9]{1,9}[smhd]",
        "([a-zA-Z0-9-]{1,5}\\.){1,3}[a-zA-Z0-9-]{1,9}\\.?",
        "(https?://|mailto:)[!-~]{1,20}",
        "[ -~]{0,12}",
        "\\PC{0,8}",
    ]
}

#[test]
fn the_schema_never_refuses_what_check_takes() {
    let (parser, validator, editor) = (Parser::new(), validator(true), validator(false));
    let mut runner = TestRunner::deterministic();
    let mut taken = 0;
    for _ in 0..100 {
        let text = texts().new_tree(&mut runner).expect("a text").current();
        let number: u64 = text
            .bytes()
            .filter(u8::is_ascii_digit)
            .take(7)
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        for (place, schema) in all_mappings() {
            for key in keys(&schema) {
                for value in [json!(text), json!([text]), json!(number)] {
                    let policy = with(&place, &key, &value);
                    // The schema first, for the parser is slower.
                    if (!validator.is_valid(&policy) || !editor.is_valid(&policy))
                        && parser.load(&policy).is_ok()
                    {
                        panic!("{place}/{key}: {value}: taken by check, refused by the schema");
                    }
                    taken += usize::from(value.is_array() && editor.is_valid(&policy));
                }
            }
        }
    }
    assert!(taken > 300, "{taken}");
}
