//! What other programs read.

use crate::{Case, Checked, ZONES};
use gate25::cli::Format;
use gate25::policy::problem::Code;
use serde_json::{Value, json};
use serde_sarif::sarif::Sarif;
use std::collections::BTreeSet;
use std::fs;

/// A warning and two problems, one of them in a file with an awkward name.
fn case() -> Case {
    let exception =
        "exceptions:\n- {id: e, owner: o, until: 2030-01-01T00:00:00Z, destinations_file: 'a b,c%.txt'}\n";
    let text = format!(
        "{ZONES}  # 50% of it\n{exception}- {{id: \"50%\", kind: \"x\\r\\ny\", destinations: any, permanent: true, owner: o, reason: r}}\n"
    );
    Case::new(&text).with("a b,c%.txt", "10.0.0.1/8\n")
}

/// The value, without what changes with the folder.
fn sarif(checked: &Checked) -> Value {
    serde_json::from_str(&checked.out).expect("JSON alone")
}

#[test]
fn github_shows_commands_and_text_the_same_messages() {
    let checked = case().check(Format::Github);
    assert!(!checked.ok);
    let lines: Vec<&str> = checked.out.lines().collect();
    assert_eq!(
        lines,
        [
            "::warning file=p.yaml,line=7,col=3,title=gate25 undocumented::exceptions[0].reason: (missing): should be there for \
             whoever reviews this (add reason: ...)",
            "::error file=p.yaml,line=8,col=21,title=gate25 unknown-word::exceptions[1].kind: x\\r\\ny: is not a known word here \
             (write university or business or other)",
            "::error file=a b%2Cc%25.txt,line=1,col=1,endColumn=10,title=gate25 bad-prefix::line 1: 10.0.0.1/8: has host bits set \
             (did you mean 10.0.0.0/8?)",
            "p.yaml: 2 problems, 1 warning",
        ]
    );
    assert_eq!(checked.err, case().check(Format::Text).err);
    // A percent sign in a message.
    let id = Case::new(&format!("{ZONES}relays: [{{id: a, addresses: [50%]}}]\n")).check(Format::Github);
    assert!(id.out.contains("::relays[0].addresses[0]: 50%25: is not"), "{}", id.out);
}

#[test]
fn sarif_is_what_its_types_say_and_nothing_else() {
    for case in [case(), Case::new(ZONES), Case::new(""), Case::new("\u{1}")] {
        let checked = case.check(Format::Sarif);
        let log = sarif(&checked);
        // What the types do not know would be lost, and what they want would be missed.
        let read: Sarif = serde_json::from_str(&checked.out).expect("SARIF");
        assert_eq!(serde_json::to_value(read).expect("JSON"), log);
        assert_eq!(checked.ok, log["runs"][0]["results"].as_array().is_some_and(Vec::is_empty));
    }
}

#[test]
fn sarif_has_rules_and_regions() {
    let case = case();
    let log = sarif(&case.check(Format::Sarif));
    assert_eq!(
        (&log["version"], &log["runs"][0]["tool"]["driver"]["name"]),
        (&"2.1.0".into(), &"gate25".into())
    );
    let run = &log["runs"][0];
    let results = run["results"].as_array().expect("a list");
    let uri = |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    let region = |result: &Value| result["locations"][0]["physicalLocation"]["region"].clone();
    let told: Vec<_> = results
        .iter()
        .map(|result| (result["level"].as_str(), result["ruleId"].as_str(), uri(result), region(result)))
        .collect();
    let file = |name: &str| Value::from(format!("file://{name}"));
    assert_eq!(
        told,
        [
            (Some("warning"), Some("undocumented"), file("p.yaml"), json!({"startColumn":3,"startLine":7})),
            (Some("error"), Some("unknown-word"), file("p.yaml"), json!({"startColumn":21,"startLine":8})),
            (
                Some("error"),
                Some("bad-prefix"),
                file("a%20b%2Cc%25.txt"),
                json!({"endColumn":11,"startColumn":1,"startLine":1})
            ),
        ]
    );
    let rules = run["tool"]["driver"]["rules"].as_array().expect("a list");
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("a number") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(rules[index]["defaultConfiguration"]["level"], result["level"]);
    }
    assert_eq!(
        results[2]["message"]["text"],
        "line 1: 10.0.0.1/8: has host bits set (did you mean 10.0.0.0/8?)"
    );
}

#[test]
fn files_are_named_as_seen_from_here() {
    let name = "policies/invalid/host-bits.yaml";
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::set_current_dir(root).expect("the root");
    let root = fs::canonicalize(".").expect("the root");
    let case = Case::new("");
    for path in [name.into(), format!("./{name}").into(), root.join(name)] {
        let checked = case.check_at(&path, Format::Sarif);
        let result = sarif(&checked)["runs"][0]["results"][0].clone();
        assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], name);
        assert!(
            case.check_at(&path, Format::Github)
                .out
                .starts_with(&format!("::error file={name},line=7,col=20,"))
        );
    }
}

#[test]
fn names_of_kinds_are_settled() {
    let labels: Vec<&str> = Code::ALL.iter().map(|code| code.label()).collect();
    assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len());
    let settled = "file syntax unknown-key duplicate-key missing-key wrong-type unknown-word unknown-zone duplicate-id \
                   bad-prefix bad-instant value too-large unshown undocumented no-effect redirection unresolved duplicate \
                   expired expiring unreviewed review-overdue wide-prefix shadowed redundant relay-in-zone unusable";
    assert_eq!(labels.join(" "), settled);
    let errors = Code::ALL.iter().filter(|code| !code.is_warning()).count();
    assert_eq!(labels[errors], "undocumented");
}
