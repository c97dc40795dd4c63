//! What a policy is made of: files, directories, lists, symlinks, and what stands where they should.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::policy::{Loaded, Policy, Refused, Scope, load};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

const ZONE: &str = "version: 1\nzones:\n  - id: west\n    subscribers: [\"203.0.113.0/24\"]\n";
const EXCEPTION: &str =
    "exceptions:\n  - id: campus\n    permanent: true\n    owner: noc@example.net\n    reason: \"mail\"\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("the parent");
        fs::write(path, text).expect("the file");
    }
    folder
}

fn valid(path: &Path) -> Policy {
    match load(path) {
        Ok(Loaded { policy, warnings, .. }) if warnings.is_empty() => policy,
        other => panic!("{other:?}"),
    }
}

/// The messages, with the folder's name left out.
fn messages(folder: &TempDir, name: &str) -> Vec<String> {
    let refused = refused(&folder.path().join(name));
    let prefix = format!("{}/", folder.path().display());
    refused.problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn refused(path: &Path) -> Refused {
    load(path).map_or_else(|refused| refused, |loaded| panic!("{loaded:?}"))
}

fn names(folder: &TempDir, sources: &[PathBuf]) -> Vec<String> {
    let relative = |path: &PathBuf| path.strip_prefix(folder.path()).map(|path| path.display().to_string());
    sources.iter().map(|path| relative(path).expect("in the folder")).collect()
}

#[test]
fn a_directory_is_merged_in_name_order() {
    let folder = folder(&[
        (
            "p/b.yml",
            &format!("version: 1\n{EXCEPTION}    zones: [west]\n    destinations_file: ../lists/x\n"),
        ),
        ("p/a.yaml", ZONE),
        ("p/.hidden.yaml", "nonsense"),
        ("p/notes.txt", "nonsense"),
        ("p/below/c.yaml", "nonsense"),
        ("p/folder.yaml/d.yaml", "nonsense"),
        ("p/..data/e.yaml", "nonsense"),
        ("lists/x", "198.51.100.0/24\n"),
    ]);
    let policy = valid(&folder.path().join("p"));
    assert_eq!(policy.exceptions[0].zones, Scope::Only(vec![0].into()));
    assert_eq!(names(&folder, &policy.sources), ["p", "p/a.yaml", "p/b.yml", "p/../lists/x"]);
}

#[test]
fn ids_and_prefixes_are_unique_across_files() {
    let folder = folder(&[
        ("a.yaml", &format!("{ZONE}relays:\n  - {{id: out, addresses: [192.0.2.25]}}\n")),
        ("b.yaml", &format!("{ZONE}blocks:\n  - {{id: out, destinations: [192.0.2.25], reason: x}}\n")),
    ]);
    assert_eq!(
        messages(&folder, ""),
        [
            "b.yaml:3:9: zones[0].id: west: is used twice (rename one; the other is zones[0] at a.yaml:3:9)",
            "b.yaml:4:19: zones[0].subscribers[0]: 203.0.113.0/24: is a prefix of zone west already \
             (keep one; the other is at a.yaml:4:19)",
            "b.yaml:6:10: blocks[0].id: out: is used twice (rename one; the other is relays[0] at a.yaml:6:10)",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_else_and_makes_no_noise() {
    let folder = folder(&[
        ("a.yaml", "version: 1\nzones: [\n"),
        ("b.yaml", &format!("version: 1\n{EXCEPTION}    zones: [west]\n    destinations: [10.0.0.1/8]\n")),
    ]);
    let messages = messages(&folder, "");
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with("a.yaml:3:1: yaml: "), "{messages:?}");
    assert!(
        messages[1].starts_with("b.yaml:8:20: exceptions[0].destinations[0]: 10.0.0.1/8: "),
        "{messages:?}"
    );
}

#[test]
fn what_is_not_a_policy_file() {
    let folder = folder(&[("empty/readme", ""), ("dangling/readme", ""), ("real.yaml", ZONE)]);
    let at = |name: &str| folder.path().join(name);
    symlink("gone.yaml", at("dangling/a.yaml")).expect("a symlink");
    symlink("/dev/zero", at("zero.yaml")).expect("a symlink");
    symlink("loop.yaml", at("loop.yaml")).expect("a symlink");
    symlink("real.yaml", at("link.yaml")).expect("a symlink");
    let fifo = Command::new("mkfifo").arg(at("fifo.yaml")).status().expect("mkfifo");
    assert!(fifo.success());
    for (name, cause) in [
        ("none.yaml", "does not exist (check the path)"),
        ("empty", "is a directory without *.yaml or *.yml files (put a policy file into it)"),
        ("dangling", "is a symlink to nothing: gone.yaml (mend the symlink)"),
        ("zero.yaml", "is not a regular file (put what it gives into a file)"),
        ("fifo.yaml", "is not a regular file (put what it gives into a file)"),
        (
            "loop.yaml",
            "cannot be read: too many levels of symbolic links (check the path and the file system)",
        ),
        ("real.yaml/x", "cannot be read: not a directory (check the path and the file system)"),
    ] {
        let messages = messages(&folder, name);
        assert!(messages.len() == 1 && messages[0].ends_with(cause), "{name}: {messages:?}");
        assert_eq!(names(&folder, &refused(&at(name)).sources)[0], name);
    }
    assert_eq!(names(&folder, &refused(&at("dangling")).sources), ["dangling", "dangling/a.yaml"]);
    assert_eq!(valid(&at("link.yaml")).zones.len(), 1);
}

#[test]
fn a_projected_volume_is_read_through_its_links() {
    let folder = folder(&[("..2004/a.yaml", ZONE)]);
    symlink("..2004", folder.path().join("..data")).expect("a symlink");
    symlink("..data/a.yaml", folder.path().join("a.yaml")).expect("a symlink");
    assert_eq!(names(&folder, &valid(folder.path()).sources), ["", "a.yaml"]);
}

#[test]
fn byte_order_marks_and_carriage_returns_do_not_matter() {
    let text = format!("{ZONE}{EXCEPTION}    subscribers_file: list\n    destinations: [10.0.0.1/8]\n");
    let list = "\u{feff}203.0.113.8/29\r\n\r\n# all\r\n203.0.113.16/29 # more\r\n";
    let folder = folder(&[("p.yaml", &format!("\u{feff}{}", text.replace('\n', "\r\n"))), ("list", list)]);
    assert_eq!(
        messages(&folder, "p.yaml"),
        [
            "p.yaml:11:20: exceptions[0].destinations[0]: 10.0.0.1/8: has host bits set (did you mean 10.0.0.0/8?)"
        ]
    );
    fs::write(folder.path().join("p.yaml"), format!("\u{feff}version: 2\r\n{}", &ZONE[11..]))
        .expect("the file");
    assert!(messages(&folder, "p.yaml")[0].starts_with("p.yaml:1:10: version: 2: "));
}

#[test]
fn columns_count_characters() {
    let folder = folder(&[("p.yaml", "version: 1\nzones: [{id: 'wést·', subscribers: [10.0.0.1/8]}]\n")]);
    assert!(messages(&folder, "p.yaml")[0].starts_with("p.yaml:2:37: zones[0].subscribers[0]: "));
}

#[test]
fn a_list_reports_its_own_lines_once_and_both_keys_add_up() {
    let rules = "    subscribers_file: list\n    destinations: [192.0.2.7]\n    destinations_file: list\n";
    let folder =
        folder(&[("p.yaml", &format!("{ZONE}{EXCEPTION}{rules}")), ("list", "198.51.100.7\n  10.0.0.1/8\n")]);
    let problems = messages(&folder, "p.yaml");
    assert_eq!(problems, ["list:2:3: line 2: 10.0.0.1/8: has host bits set (did you mean 10.0.0.0/8?)"]);
    fs::write(folder.path().join("list"), "198.51.100.7\n").expect("the list");
    let policy = valid(&folder.path().join("p.yaml"));
    let Scope::Only(destinations) = &policy.exceptions[0].destinations else { panic!("{policy:?}") };
    assert_eq!(destinations.len(), 2);
    assert_eq!(names(&folder, &policy.sources), ["p.yaml", "list"]);
}

#[test]
fn the_digest_is_of_all_octets_and_of_a_single_file_the_plain_one() {
    let with_lists = format!("{ZONE}{EXCEPTION}    subscribers_file: a\n    destinations_file: b\n");
    let folder = folder(&[("p.yaml", &with_lists), ("a", "10.0.0.1\n10.0.0.2\n"), ("b", "10.0.0.3\n")]);
    let digest = || valid(&folder.path().join("p.yaml")).digest;
    let before = digest();
    assert_eq!(before, digest());
    fs::write(folder.path().join("a"), "10.0.0.1\n").expect("a");
    fs::write(folder.path().join("b"), "10.0.0.2\n10.0.0.3\n").expect("b");
    assert_ne!(before, digest(), "a line that moves from one list to the next is a change");
    fs::write(folder.path().join("p.yaml"), ZONE).expect("p");
    let output = Command::new("sha256sum").arg(folder.path().join("p.yaml")).output().expect("sha256sum");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&digest()));
}

#[test]
fn a_hundred_thousand_prefixes_load() {
    let prefixes: Vec<String> =
        (0..100_000).map(|i| format!("10.{}.{}.{}/30", i >> 14, i >> 6 & 255, (i & 63) * 4)).collect();
    let head = format!("{ZONE}{EXCEPTION}");
    let folder = folder(&[
        ("list.yaml", &format!("{head}    destinations_file: list\n")),
        ("list", &prefixes.join("\n")),
        ("inline.yaml", &format!("{head}    destinations:\n      - {}\n", prefixes.join("\n      - "))),
        (
            "zone.yaml",
            &format!("version: 1\nzones:\n  - id: west\n    subscribers: [{}]\n", prefixes.join(", ")),
        ),
    ]);
    for name in ["list.yaml", "inline.yaml", "zone.yaml"] {
        let start = Instant::now();
        let policy = valid(&folder.path().join(name));
        println!("{name}: 100,000 prefixes in {:?}", start.elapsed());
        let count = policy.exceptions.first().map_or(policy.zones[0].subscribers.len(), |exception| {
            if let Scope::Only(list) = &exception.destinations { list.len() } else { 0 }
        });
        assert_eq!(count, 100_000, "{name}");
    }
}
