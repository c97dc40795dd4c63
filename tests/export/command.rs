//! The command: what it prints, warns of and refuses.

use anyhow::Result;
use gate25_tests::{command, workspace};
use std::{fs, process::Output};

fn export(arguments: &[&str]) -> Result<Output> {
    let mut command = command::gate25(["export"]);
    Ok(command.current_dir(workspace()).args(arguments).output()?)
}

fn words(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn same_octets_for_the_same_policy() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shuffled = folder.path().join("policy.yaml");
    let text = fs::read_to_string(workspace().join("policies/west-2004.yaml"))?;
    // Zones and exceptions in another order.
    let (head, zones) = text.split_once("  - id: west\n").unwrap_or_default();
    let (west, rest) = zones.split_once("  - id: central\n").unwrap_or_default();
    let (others, rest) = rest.split_once("\nrelays:\n").unwrap_or_default();
    fs::write(&shuffled, format!("{head}  - id: central\n{others}\n  - id: west\n{west}\nrelays:\n{rest}"))?;
    let shuffled = shuffled.display().to_string();
    for format in ["nftables", "prefixes", "rbldnsd"] {
        let of =
            |policy: &str| export(&["--policy", policy, "--format", format, "--at", "2004-07-01T00:00:00Z"]);
        let (one, two) = (of("policies/west-2004.yaml")?, of("policies/west-2004.yaml")?);
        assert_eq!(one.status.code(), Some(0), "{one:?}");
        assert_eq!(words(&one.stdout), words(&two.stdout));
        let head = words(&one.stdout);
        let digest =
            gate25::policy::load(&workspace().join("policies/west-2004.yaml")).expect("valid").policy.digest;
        for part in [env!("CARGO_PKG_VERSION"), &format!("\n# policy {digest}\n# at 2004-07-01T00:00:00Z\n")]
        {
            assert!(head.contains(part), "{part} in {head}");
        }
        let behind = |text: &str| {
            text.lines().filter(|line| !line.starts_with("# policy ")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(behind(&head), behind(&words(&of(&shuffled)?.stdout)), "{format}");
    }
    Ok(())
}

#[test]
fn warns_of_what_a_format_cannot_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.yaml");
    fs::write(
        &file,
        r#"
version: 1
zones:
  - {id: noted, subscribers: ["203.0.113.0/26"], mode: enforce, action: notice, notice: {address: "192.0.2.26:2525"}}
  - {id: led, subscribers: ["203.0.113.64/26"], mode: enforce, action: relay, relay_to: "192.0.2.25:25"}
  - {id: trial, subscribers: ["203.0.113.128/25"], return_path: monitor, relay_max_new_connections_per_minute: 9}
relays:
  - {id: pool, names: [smtp.example.net]}
exceptions:
  - {id: slow, destinations: ["198.51.100.0/24"], permanent: true, max_new_connections_per_minute: 1, owner: o, reason: r}
  - {id: ending, destinations: any, until: "2031-01-01T00:00:00Z", owner: o, reason: r}
  - {id: coming, destinations: any, from: "2030-01-01T00:00:00Z", permanent: true, owner: o, reason: r}
  - {id: come, destinations: ["198.51.100.2"], from: "2026-01-01T00:00:00Z", permanent: true, owner: o, reason: r}
  - {id: over, destinations: ["198.51.100.3"], until: "2026-01-01T00:00:00Z", owner: o, reason: r}
blocks:
  - {id: short, destinations: ["198.51.100.1"], until: "2031-02-01T00:00:00Z", reason: r}
"#,
    )?;
    let file = file.display().to_string();
    let redirects = [
        "zone noted: action: notice: connections are reset, not led there",
        "zone led: action: relay: connections are reset, not led there",
    ];
    let limits = [
        "zone trial: relay_max_new_connections_per_minute: is not kept (nothing limits it)",
        "exception slow: max_new_connections_per_minute: is not kept (nothing limits it)",
    ];
    let names = ["relay pool: names: were not looked up, and match nothing (export without --offline)"];
    let way_back =
        ["zone trial: return_path: is left out (swap source and destination, and match source port 25)"];
    let monitored =
        ["zone trial: monitors, and is left out (others would refuse its mail while it is tried)"];
    let ends = ["exception ending: ends 2031-01-01T00:00:00Z, which this does not know (export again then)"];
    let coming =
        ["exception coming: begins 2030-01-01T00:00:00Z, which this does not know (export again then)"];
    let block = ["block short: ends 2031-02-01T00:00:00Z, which this does not know (export again then)"];
    let at = "2026-01-01T00:00:00Z";
    let cases: [(&[&str], Vec<&str>); 4] = [
        (&["nftables"], [&limits[..], &redirects, &names, &coming, &block].concat()),
        (&["nftables", "--at", at], [&limits[..], &redirects, &names, &ends, &coming, &block].concat()),
        (&["prefixes", "--at", at], [&limits[..], &way_back, &names, &coming, &block].concat()),
        (&["rbldnsd", "--at", at], [&monitored[..], &ends, &coming].concat()),
    ];
    for (arguments, wanted) in cases {
        let output = export(&[&["--offline", "--policy", &file, "--format"], arguments].concat())?;
        let (stdout, stderr) = (words(&output.stdout), words(&output.stderr));
        let told: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
        // `check`'s own of the policy come first.
        let own = told.len().saturating_sub(wanted.len());
        assert_eq!(told[own..], wanted, "{arguments:?}");
        assert!(told[..own].iter().all(|line| line.starts_with(&file)), "{stderr}");
        for line in wanted {
            assert!(stdout.contains(&format!("\n# - {line}\n")), "{line} in the head of {stdout}");
        }
        assert_eq!(output.status.code(), Some(0));
    }
    Ok(())
}

/// Twenty by name, in their order.
#[test]
fn warns_of_many_in_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.yaml").display().to_string();
    let export_of = |number: u32| -> Result<String> {
        let slow = (10..10 + number).rev().map(|id| {
            format!(
                "  - {{id: e{id}, destinations: [198.51.100.{id}], permanent: true, max_new_connections_per_minute: 1}}\n"
            )
        });
        let head = "version: 1\nzones: [{id: west, subscribers: [203.0.113.0/24]}]\nexceptions:\n";
        fs::write(&file, head.to_owned() + &slow.collect::<String>())?;
        let output = export(&["--policy", &file, "--format", "prefixes", "--at", "2026-01-01T00:00:00Z"])?;
        Ok(words(&output.stderr).lines().last().unwrap_or_default().to_owned())
    };
    let names = (10..30).map(|id| format!("e{id}")).collect::<Vec<_>>().join(", ");
    let what = "max_new_connections_per_minute: is not kept (nothing limits it)";
    assert_eq!(export_of(20)?, format!("warning: exception {names}: {what}"));
    assert_eq!(export_of(22)?, format!("warning: exception {names} and 2 more: {what}"));
    Ok(())
}

#[test]
fn refuses_what_it_cannot_do() -> Result<()> {
    let good = "policies/west-2004.yaml";
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--policy", good], 2, "usage: --format <FORMAT>: "),
        (&["--policy", good, "--format", "ipset"], 2, "usage: ipset: invalid value"),
        (
            &["--policy", good, "--format", "prefixes", "--interface", "eth1"],
            2,
            "usage: gate25: --interface goes with --format nftables alone",
        ),
        (
            &["--policy", good, "--format", "nftables", "--interface", "a\" drop #"],
            2,
            "usage: a\" drop #: is no interface's name (write it as ",
        ),
        (&["--policy", "no-such.yaml", "--format", "prefixes"], 1, "no-such.yaml"),
        (
            &["--policy", "policies/invalid/mode.yaml", "--format", "rbldnsd"],
            1,
            "policies/invalid/mode.yaml:",
        ),
    ];
    for (arguments, code, words_of) in cases {
        let output = export(arguments)?;
        let stderr = words(&output.stderr);
        let line = stderr.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(line.starts_with(words_of), "{arguments:?}: {line}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", words(&output.stdout));
    }
    Ok(())
}
