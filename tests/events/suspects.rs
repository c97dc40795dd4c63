//! Who is over the thresholds is told once; `top` has everybody who tried.

use crate::support::{SOON, Site, lines};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{command, gate25, metrics::sum, process::Signal, wait};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

fn suspects(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["kind"] == "suspect").collect()
}

#[test]
fn a_suspect_is_told_once() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    // Enough attempts, too few remotes; and the other way round.
    site.tries("203.0.113.20", "192.0.2.200", 9)?;
    for remote in ["192.0.2.200", "192.0.2.201", "192.0.2.202", "192.0.2.203"] {
        site.tries("203.0.113.21", remote, 1)?;
    }
    // Both: at the fifth attempt. Then many more.
    for (remote, times) in [("192.0.2.200", 1), ("192.0.2.201", 1), ("192.0.2.202", 8)] {
        site.tries("203.0.113.22", remote, times)?;
    }
    // Two addresses of one subscriber, of a zone that monitors and counts by /56.
    for (from, remote) in
        [("2001:db8:101:1::5", "a"), ("2001:db8:101:2::6", "b"), ("2001:db8:101:ff::7", "c")]
    {
        site.tries(from, &format!("2001:db8:bad::{remote}"), 2)?;
    }
    site.tries("203.0.113.99", "192.0.2.200", 1)?;
    let events = site.events_until("203.0.113.99")?;
    let mut found: Vec<Value> = suspects(&events).into_iter().cloned().collect();
    for event in &mut found {
        event.as_object_mut().context("no object")?.remove("time");
    }
    let wanted = [
        json!({
            "kind": "suspect", "interface": "eth1", "direction": "egress", "zone": "west",
            "subscriber": "203.0.113.22", "remote": "192.0.2.202", "subscriber_port": 20_002, "reason": "default",
            "rule": null, "action": "drop", "enforced": true, "attempts": 5, "remotes": 3,
        }),
        json!({
            "kind": "suspect", "interface": "eth1", "direction": "egress", "zone": "east",
            "subscriber": "2001:db8:101::/56", "remote": "2001:db8:bad::c", "subscriber_port": 20_000,
            "reason": "default", "rule": null, "action": "drop", "enforced": false, "attempts": 5, "remotes": 3,
        }),
    ];
    ensure!(found == wanted, "found {found:#?}");
    gate.wait_series("gate25_suspects", 2.0)?;
    gate.wait_series("gate25_table_entries{table=\"suspects\"}", 5.0)?;
    ensure!(gate.metrics()?.get("gate25_table_capacity{table=\"suspects\"}") == Some(&131_072.0));
    ensure!(sum(&gate.metrics()?, "gate25_events_total", &[("kind", "suspect")]) == 2.0);
    Ok(())
}

#[test]
fn top_has_everybody_in_the_order_asked_for() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    let begin = Timestamp::now();
    // Subscriber, zone, attempts of each remote, whether it is a suspect. Packets have a clock of some milliseconds.
    let sent: [(&str, &str, &[u16], bool); 4] = [
        ("203.0.113.20", "west", &[9], false),
        ("203.0.113.3", "west", &[2, 2, 1, 1], true),
        ("203.0.113.200", "east", &[3, 1], false),
        ("2001:db8:100:0:1::1", "west", &[1, 1, 1, 1, 1, 1, 1], true),
    ];
    let mut attempts = 0;
    for (from, _, times, _) in sent {
        for (number, times) in times.iter().enumerate() {
            let remote = if from.contains(':') { "2001:db8:bad::" } else { "192.0.2.20" };
            site.tries(from, &format!("{remote}{number}"), *times)?;
        }
        attempts += times.iter().sum::<u16>();
        site.blocked(attempts.into())?;
        // By the last of each the order of times is known.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // In no zone.
    site.tries("198.18.0.1", "192.0.2.200", 50)?;
    site.tries("203.0.113.20", "192.0.2.200", 1)?;
    site.events_until("203.0.113.20")?;

    let names = ["203.0.113.20", "203.0.113.3", "203.0.113.200", "2001:db8:100::/64"];
    let top = |arguments: &[&str]| -> Result<Value> {
        let arguments: Vec<&str> = ["top", "--once", "--json"].iter().chain(arguments).copied().collect();
        let mut lines = site.asked(&arguments)?;
        ensure!(lines.len() == 1, "{lines:?}");
        lines.pop().context("nothing")
    };
    let order = |arguments: &[&str]| -> Result<Vec<usize>> {
        let found = top(arguments)?;
        let rows = found["rows"].as_array().context("no rows")?;
        rows.iter()
            .map(|row| {
                names.iter().position(|name| row["subscriber"] == *name).with_context(|| row.to_string())
            })
            .collect()
    };
    for (arguments, wanted) in [
        (&[][..], &[0, 3, 1, 2][..]),
        (&["--sort", "attempts", "--limit", "2"], &[0, 3]),
        (&["--sort", "remotes"], &[3, 1, 2, 0]),
        (&["--sort", "last"], &[0, 3, 2, 1]),
        (&["--sort", "first"], &[0, 1, 2, 3]),
        (&["--sort", "subscriber"], &[1, 0, 2, 3]),
        (&["--zone", "east"], &[2]),
        (&["--zone", "west", "--sort", "subscriber", "--limit", "10000"], &[1, 0, 3]),
    ] {
        ensure!(order(arguments)? == wanted, "{arguments:?}: {:?}", order(arguments)?);
    }
    let all = top(&[])?;
    let rows = all["rows"].as_array().context("no rows")?;
    let numbers =
        |row: &Value| (row["attempts"].clone(), row["attempts_in_window"].clone(), row["remotes"].clone());
    let wanted = [(10, 1), (7, 7), (6, 4), (4, 2)];
    for (row, (attempts, remotes)) in rows.iter().zip(wanted) {
        ensure!(numbers(row) == (json!(attempts), json!(attempts), json!(remotes)), "{row}");
        let place = names.iter().position(|name| row["subscriber"] == *name).context("who?")?;
        let (_, zone, _, is_suspect) = sent[place];
        ensure!(row["zone"] == zone && row["suspect"] == is_suspect && row["reason"] == "default", "{row}");
        ensure!(row["enforced"] == (zone == "west"), "{row}");
        let time = |key: &str| -> Result<Timestamp> { Ok(row[key].as_str().context("no time")?.parse()?) };
        let slack = jiff::SignedDuration::from_millis(20);
        ensure!(time("first")? >= begin - slack && time("first")? <= time("last")?, "{row}");
        ensure!(time("last")? <= Timestamp::now() + slack, "{row}");
    }
    let totals = |found: &Value| ["subscribers", "suspects", "attempts"].map(|key| found[key].clone());
    ensure!(totals(&all) == [json!(4), json!(2), json!(27)], "{all}");
    ensure!(totals(&top(&["--zone", "east"])?) == [json!(1), json!(0), json!(4)]);

    let ended = site.ask(&["top", "--once"])?;
    let table: Vec<&str> = ended.stdout.lines().collect();
    ensure!(table[0].contains("4 subscribers") && table[0].contains("2 suspects"), "{}", ended.stdout);
    ensure!(table[1].starts_with("SUBSCRIBER") && table[2].starts_with("203.0.113.20 "), "{}", ended.stdout);
    ensure!(!ended.stdout.to_lowercase().contains("spam"), "{}", ended.stdout);
    let ended = site.ask(&["top", "--once", "--zone", "north"])?;
    ensure!(
        ended.code == Some(1)
            && ended.last_line().starts_with("zone: north: is no zone of the policy in force ("),
        "{ended:?}"
    );
    live(&site, &names)?;
    gate.stop()?;
    let ended = site.ask(&["top", "--once"])?;
    ensure!(ended.code == Some(1) && ended.last_line().contains("no controller answers"), "{ended:?}");
    Ok(())
}

/// On a terminal, until `q`; and as JSON, until Ctrl-C.
fn live(site: &Site, names: &[&str]) -> Result<()> {
    let control = site.lab.folder().join("control.sock");
    let (screen, json) = (site.lab.folder().join("screen"), site.lab.folder().join("json"));
    let mut command = Command::new("script");
    let top =
        format!("stty cols 90 rows 7; {} top --control {}; stty -a", gate25().display(), control.display());
    command.args(["-q", "-e", "-c", &top, "/dev/null"]).stdout(File::create(&screen)?);
    let (reader, mut keys) = std::io::pipe()?;
    command.stdin(reader);
    let mut process = site.lab.edge.spawn(command)?;
    let shown = |file: &Path| fs::read_to_string(file).unwrap_or_default();
    let drawn = || (shown(&screen).matches("\x1b[H\x1b[2J").count() >= 2).then_some(());
    wait::until(SOON, drawn).with_context(|| shown(&screen))?;
    keys.write_all(b"xq")?;
    let ended = process.wait(SOON).context("q does not end it")?;
    let text = shown(&screen);
    ensure!(ended.code() == Some(0) && text.contains(names[0]), "{ended} {text}");
    ensure!(
        text.lines().filter(|line| line.contains(" attempts")).all(|line| line.trim().len() <= 90 + 14),
        "{text}"
    );
    // Seven lines have room for three subscribers.
    ensure!(!text.contains(names[2]), "{text}");
    ensure!(text.contains(" icanon") && text.contains(" echo "), "the terminal is not as it was: {text}");

    let mut command = command::gate25(["top", "--json"]);
    command.arg("--control").arg(control).stdin(Stdio::null()).stdout(File::create(&json)?);
    let mut process = site.lab.edge.spawn(command)?;
    wait::until(SOON, || (shown(&json).lines().count() >= 2).then_some(())).with_context(|| shown(&json))?;
    process.signal(Signal::SIGINT);
    ensure!(process.wait(SOON).context("Ctrl-C does not end it")?.code() == Some(0));
    ensure!(lines(&shown(&json))?.iter().all(|top| top["rows"][0]["subscriber"] == names[0]));
    Ok(())
}
