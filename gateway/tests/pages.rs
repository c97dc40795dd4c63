//! The policy reference, man pages and completions.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use clap::CommandFactory as _;
use gate25::cli::{Cli, Format};
use gate25::command::{check, pages};
use gate25::policy::schema;
use gate25::reference::{Block, markdown, policy, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The verbs that people are told of.
fn verbs() -> Vec<String> {
    let command = Cli::command();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| verb.get_name().to_owned()).collect()
}

#[test]
fn the_shipped_reference_is_of_this_schema() {
    let shipped = fs::read_to_string(root().join("docs/policy.md")).expect("docs/policy.md");
    assert!(shipped == markdown::render(), "make it anew: gate25 schema --format markdown > docs/policy.md");
}

/// Each mapping of the schema has its section, each key its line, each word its meaning.
#[test]
fn the_reference_has_every_key_and_word() {
    fn count(schema: &Value) -> (usize, usize) {
        let mut sum = (0, 0);
        for property in schema["properties"].as_object().into_iter().flatten().map(|(_, property)| property) {
            let words = property["enumDescriptions"].as_array().map_or(0, Vec::len);
            let inner = [count(property), count(&property["items"])];
            sum = (sum.0 + 1 + inner[0].0 + inner[1].0, sum.1 + words + inner[0].1 + inner[1].1);
        }
        sum
    }
    let keys: Vec<_> = policy()
        .into_iter()
        .filter_map(|block| if let Block::Key(key) = block { Some(key) } else { None })
        .collect();
    let words = keys.iter().map(|key| key.words.len()).sum();
    assert_eq!((keys.len(), words), count(&schema::schema()));
    assert!(keys.len() > 50 && keys.iter().all(|key| key.meaning.len() > 10), "{keys:?}");
}

/// What stands there to be copied is a policy, beside a zone called west: no problem and no warning, and it fits the schema.
#[test]
fn what_is_to_be_copied_is_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let validator = jsonschema::validator_for(&schema::schema()).expect("a schema");
    let mut policies = 0;
    for block in policy() {
        if let Block::Code(code) = block
            && code.starts_with("version: 1\n")
        {
            assert!(validator.is_valid(&serde_yaml::from_str(&code).expect(&code)), "{code}");
            policies += 1;
            fs::write(folder.path().join(format!("{policies}.yaml")), code).expect("a file");
        }
    }
    assert_eq!(policies, 4);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let at = Some("2029-01-01T00:00:00Z".parse().expect("an instant"));
    let options = check::Options { policy: folder.path(), offline: true, at, format: Format::Text };
    let is_valid = check::check(options, &mut out, &mut err).expect("memory");
    assert!(is_valid && err.is_empty(), "{}", String::from_utf8_lossy(&err));
}

#[test]
fn help_policy_answers_how_a_university_is_added_until_june() {
    let page = text::render();
    let (_, answer) = page.split_once("ADD A UNIVERSITY UNTIL JUNE").expect("the heading");
    let answer = &answer[..answer.find("\n\n\n").expect("its end")];
    for needed in
        ["\n  exceptions:\n", "kind: university", "until: \"2030-06-01T00:00:00-07:00\"", "\n  gate25 check "]
    {
        assert!(answer.contains(needed), "{needed} in {answer}");
    }
}

#[test]
fn every_command_has_a_man_page_that_renders() {
    let folder = tempfile::tempdir().expect("a folder");
    pages::write(folder.path()).expect("written");
    let mut wanted = vec!["gate25.8".to_owned(), "gate25-policy.5".to_owned()];
    wanted.extend(verbs().iter().filter(|verb| *verb != "policy").map(|verb| format!("gate25-{verb}.8")));
    wanted.sort();
    let man = folder.path().join("man");
    let mut there: Vec<String> = fs::read_dir(&man)
        .expect("man")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    assert_eq!(there, wanted);
    for page in there {
        let output = Command::new("man")
            .args(["--warnings", "--local-file"])
            .arg(man.join(&page))
            .envs([("LC_ALL", "C.UTF-8"), ("MANWIDTH", "100")])
            .output()
            .expect("man");
        let (shown, warned) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && warned.is_empty(), "{page}: {warned}");
        assert!(shown.contains("NAME") && shown.contains("SEE ALSO"), "{page}: {shown}");
        assert!(!shown.contains("policy(8)"), "{page}: names a page that there is not: {shown}");
        if page != "gate25.8" && page != "gate25-policy.5" {
            assert!(shown.contains("gate25 "), "{page}: no example: {shown}");
        }
    }
    let policy =
        Command::new("man").arg("--local-file").arg(man.join("gate25-policy.5")).output().expect("man");
    let policy = String::from_utf8_lossy(&policy.stdout).into_owned();
    assert!(policy.contains("until: \"2030-06-01T00:00:00-07:00\""), "{policy}");
}

#[test]
fn completions_know_every_verb() {
    let folder = tempfile::tempdir().expect("a folder");
    pages::write(folder.path()).expect("written");
    let file = |name: &str| folder.path().join("completions").join(name);
    let text = |name| fs::read_to_string(file(name)).expect(name);
    let (zsh, fish) = (text("_gate25"), text("gate25.fish"));
    for verb in verbs() {
        assert!(zsh.contains(&format!("'{verb}:")), "zsh: {verb}");
        assert!(fish.contains(&format!("-a \"{verb}\"")), "fish: {verb}");
    }
    // As bash calls it, behind `gate25` and what is typed of a verb.
    let completed = |typed: &str| {
        let ask = "source \"$1\"; COMP_WORDS=(gate25 $2); COMP_CWORD=1; _gate25 gate25 \"$2\" gate25; echo \"${COMPREPLY[*]}\"";
        let mut bash = Command::new("bash");
        let output =
            bash.args(["-c", ask, "bash"]).arg(file("gate25.bash")).arg(typed).output().expect("bash");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    assert_eq!(completed("expl"), "explain");
    for verb in verbs() {
        assert_eq!(completed(&verb), verb);
    }
}
