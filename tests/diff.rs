//! `gate25 diff` as people run it: the story of 2004, exit codes, and policies of the largest size.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{command, workspace};
use serde_json::Value;
use std::{fmt::Write as _, fs, path::Path, process::Output, time::Instant};

fn diff(arguments: &[&str]) -> Result<Output> {
    let output = command::gate25(["diff"].into_iter().chain(arguments.iter().copied())).output()?;
    Ok(output)
}

/// What it printed, with runs of spaces as one.
fn lines(arguments: &[&str]) -> Result<Vec<String>> {
    let output = diff(arguments)?;
    ensure!(output.status.code() == Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(text.lines().map(words).collect())
}

fn json(arguments: &[&str]) -> Result<Value> {
    let output = diff(&[arguments, &["--json"]].concat())?;
    ensure!(output.status.code() == Some(0), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_story_of_2004() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let old = workspace().join("policies/west-2004.yaml");
    let text = fs::read_to_string(&old)?;
    let (begin, end) = (
        text.find("  - id: campus\n").context("campus")?,
        text.find("  - id: state-college").context("college")?,
    );
    let new = folder.path().join("without.yaml");
    fs::write(&new, format!("{}{}", &text[..begin], &text[end..]))?;
    let (old, new) = (shown(&old), shown(&new));

    // The campus is reached by all of west until 28 July, but for its compromised lab; the bakery reaches it anyhow.
    let last = "2004-07-28T06:59:59Z";
    let expected = [
        "at 2004-07-28T06:59:59Z",
        "rules removed: exception campus",
        "lose access: 63 IPv4 addresses and 16,711,680 IPv6 /64s in west",
        "gain access: nobody",
        "",
        "change zone subscribers destinations was is",
        "lose west 203.0.113.0/26 except 203.0.113.40/32 198.51.100.0/25 except 198.51.100.66/32 exception campus default, reset",
        "lose west 2001:db8:100::/40 except 2001:db8:140::/48 2001:db8:c0de::/48 exception campus default, reset",
        "why west 203.0.113.40/32 198.51.100.0/25 except 198.51.100.66/32 exception campus exception bakery-mail-server",
        "why west 2001:db8:140::/48 2001:db8:c0de::/48 exception campus exception bakery-mail-server",
    ];
    let found = lines(&["--at", last, &old, &new])?;
    ensure!(found == expected, "{found:#?}");
    let found = json(&["--at", last, &old, &new])?;
    ensure!(found["summary"]["lose"]["subscribers"]["ipv4_addresses"] == 63, "{found:#}");
    let line = &found["changes"][0];
    ensure!(line["change"] == "lose" && line["zone"] == "west", "{line:#}");
    ensure!(line["subscribers"]["prefixes"] == serde_json::json!(["203.0.113.0/26"]), "{line:#}");
    ensure!(line["subscribers"]["except"] == serde_json::json!(["203.0.113.40/32"]), "{line:#}");
    ensure!(line["old"]["rule"] == "campus" && line["old"]["until"] == "2004-07-28T07:00:00Z", "{line:#}");
    ensure!(line["new"]["action"] == "reset" && line["new"]["enforced"] == true, "{line:#}");

    // A second later it has ended, and to remove it takes nothing from anybody.
    let found = lines(&["--at", "2004-07-28T00:00:00-07:00", &old, &new])?;
    ensure!(found[2..4] == ["lose access: nobody", "gain access: nobody"], "{found:#?}");
    let ended = "why west 203.0.113.0/26 except 203.0.113.40/32 198.51.100.0/25 except 198.51.100.66/32 expired campus (ended 2004-07-28T07:00:00Z), reset default, reset";
    ensure!(found[6] == ended, "{found:#?}");

    // Put back, what was lost is gained.
    let found = lines(&["--at", last, &new, &old])?;
    ensure!(
        found[2] == "lose access: nobody" && found[3] == expected[2].replace("lose", "gain"),
        "{found:#?}"
    );
    ensure!(lines(&[&old, &old])? == ["nothing changes"]);

    // The east is enforced: nobody's verdict is other, and it is said first and aloud.
    fs::write(&new, text.replace("mode: monitor", "mode: enforce"))?;
    let found = lines(&["--at", last, &old, &new])?;
    let expected = [
        "at 2004-07-28T06:59:59Z",
        "ENFORCEMENT BEGINS: zone east: 64 IPv4 addresses (203.0.113.128/26): what is blocked there was only counted",
        "ENFORCEMENT BEGINS: zone east: 16,777,216 IPv6 /64s (2001:db8:300::/40): what is blocked there was only counted",
        "zone changed: east (mode monitor -> enforce)",
        "lose access: nobody",
        "gain access: nobody",
    ];
    ensure!(found == expected, "{found:#?}");

    // Eight subscribers move from west to central: other relays, other exceptions.
    fs::write(&new, text.replace(r#"["203.0.113.64/26","#, r#"["203.0.113.64/26", "203.0.113.8/29","#))?;
    let found = lines(&["--at", last, &old, &new])?;
    ensure!(found[1] == "moved: zone west -> zone central: 8 IPv4 addresses (203.0.113.8/29)", "{found:#?}");
    let mut expected = [
        "lose central 203.0.113.8/29 198.51.100.0/25 except 198.51.100.66/32 exception campus default, drop",
        "lose central 203.0.113.8/29 192.0.2.25/32 relay smtp.west.example.net default, drop",
        "gain central 203.0.113.8/29 198.51.100.128/26 default, reset exception state-college",
        "gain central 203.0.113.8/29 192.0.2.89/32 default, reset relay smtp.central.example.net",
    ];
    let mut told = found[6..].to_vec();
    told.sort();
    expected.sort_unstable();
    ensure!(told == expected, "{found:#?}");

    // A zone that is gone is no gate at all.
    fs::write(&new, text.replace(r#""203.0.113.0/26", "#, ""))?;
    let found = lines(&["--at", last, &old, &new])?;
    ensure!(
        found[1]
            == "ENFORCEMENT ENDS: zone west: 64 IPv4 addresses (203.0.113.0/26): what is blocked there is only counted, or passes",
        "{found:#?}"
    );
    ensure!(
        found[2] == "moved: zone west -> no zone (passes): 64 IPv4 addresses (203.0.113.0/26)",
        "{found:#?}"
    );
    let any = "gain west 203.0.113.0/26 except 203.0.113.40/32 0.0.0.0/0 except 192.0.2.25/32 198.51.100.0/25 default, reset unmanaged";
    ensure!(found.iter().any(|line| line == any), "{found:#?}");
    Ok(())
}

#[test]
fn a_policy_with_a_problem() -> Result<()> {
    let good = shown(&workspace().join("policies/west-2004.yaml"));
    let bad = shown(&workspace().join("policies/invalid/host-bits.yaml"));
    for arguments in [[&good, &bad], [&bad, &good]] {
        let output = diff(&arguments.map(String::as_str))?;
        let text = String::from_utf8(output.stderr)?;
        let line = text.lines().last().unwrap_or_default();
        ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{text}");
        ensure!(
            line.starts_with(&format!("{bad}:7:20: ")) && line.ends_with("(did you mean 10.0.0.0/24?)"),
            "{line}"
        );
    }
    ensure!(diff(&[&good])?.status.code() == Some(2));
    Ok(())
}

/// A zone of sixteen million, and these exceptions.
fn large(folder: &Path, name: &str, exceptions: impl Iterator<Item = (u32, String)>) -> Result<String> {
    let mut text =
        "version: 1\nzones:\n  - {id: west, subscribers: [\"10.0.0.0/8\"], mode: enforce}\nexceptions:\n"
            .to_owned();
    for (number, keys) in exceptions {
        writeln!(text, "  - {{id: e{number}, permanent: true, owner: a, reason: b, {keys}}}")?;
    }
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(shown(&file))
}

fn dotted(bits: u32) -> String {
    std::net::Ipv4Addr::from_bits(bits).to_string()
}

#[test]
fn large_policies_with_few_changes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let timed = |what: &str, old: &str, new: &str, limit: f64| -> Result<Value> {
        let start = Instant::now();
        let found = json(&[old, new])?;
        let took = start.elapsed().as_secs_f64();
        println!("{what}: {took:.1} s");
        // Far above what was measured alone; what grows with the square of the size takes hours.
        ensure!(took < limit, "{what}: {took:.1} s");
        Ok(found)
    };

    // 100,000 prefixes on each side, a hundred of them others.
    let list = |name: &str, step: u32| -> Result<String> {
        let mut text = String::new();
        for number in 0..100_000_u32 {
            let moved = if number % 1_000 == 0 { step } else { 0 };
            writeln!(text, "{}/24", dotted(0x2000_0000 + number * 512 + moved))?;
        }
        fs::write(folder.join(name), text)?;
        large(folder, &format!("{name}.yaml"), [(0, format!("destinations_file: {name}"))].into_iter())
    };
    let found = timed("100,000 prefixes", &list("old", 0)?, &list("new", 256)?, 20.0)?;
    let lines = found["changes"].as_array().context("changes")?;
    let count = |line: &Value| line["destinations"]["prefixes"].as_array().map(Vec::len);
    let counts: Vec<_> = lines.iter().map(|line| (line["change"].as_str(), count(line))).collect();
    ensure!(counts == [(Some("lose"), Some(100)), (Some("gain"), Some(100))], "{counts:?}");

    // A thousand exceptions, each with lists of subscribers and destinations, ten of them with others.
    let lists = |name: &str, salt: u32| {
        let exceptions = (0..1_000_u32).map(|number| {
            let salt = if number % 100 == 0 { salt } else { 0 };
            let spread = |base: u32, place: u32, range: u32, size: u32| {
                let mixed = (number * 31 + place).wrapping_add(salt).wrapping_mul(2_654_435_761) >> 8;
                base + mixed % range * size
            };
            let list = |of: &dyn Fn(u32) -> u32, count, length| {
                let prefixes: Vec<String> =
                    (0..count).map(|place| format!("\"{}/{length}\"", dotted(of(place)))).collect();
                prefixes.join(", ")
            };
            let subscribers = list(&|place| spread(0x0a00_0000, place, 1 << 16, 1), 50, 32);
            let destinations = list(&|place| spread(0x2000_0000, place, 1 << 12, 256), 20, 24);
            (number, format!("subscribers: [{subscribers}], destinations: [{destinations}]"))
        });
        large(folder, name, exceptions)
    };
    let found = timed("1,000 exceptions with lists", &lists("some", 0)?, &lists("others", 7_777)?, 30.0)?;
    let changed = found["rules"].as_array().map(Vec::len);
    ensure!(
        changed == Some(10) && found["changes"].as_array().is_some_and(|lines| lines.len() >= 20),
        "{changed:?}"
    );
    Ok(())
}
