//! `docs/dashboard.svg`: the dashboard's panels with what a real Prometheus knows of a real gate. Drawn anew by
//! `cargo xtask picture`.

mod draw;
mod scene;

use anyhow::{Context as _, Result};
use gate25_tests::{
    lab::{Host, Lab},
    prometheus::Prometheus,
    prometheus::encoded,
    smtp, workspace,
};
use scene::{DASHBOARD, LIMIT, Scene, policy, shipped, until};
use serde_json::Value;
use std::{
    fs,
    net::IpAddr,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long it is looked at.
const RANGE: u64 = 240;
/// What variables are replaced by: everything.
const VARIABLES: [(&str, &str); 4] =
    [("$instance", ".*"), ("$zone", ".*"), ("$__rate_interval", "20s"), ("$__range", "240s")];

/// One line of a panel: its name, and its points in time and value.
type Series = (String, Vec<(f64, f64)>);

/// The answer to a target, over the whole range; of one that is instant, now.
fn series(prometheus: &Prometheus<'_>, target: &Value, end: u64) -> Result<Vec<Series>> {
    let query = target["expr"].as_str().context("no expr")?;
    let query = VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    let is_instant = target["instant"] == true;
    let start = end - RANGE;
    let answer = if is_instant {
        prometheus.query(&query)?
    } else {
        let query = encoded(&query);
        prometheus.api(&format!("query_range?query={query}&start={start}&end={end}&step=4"))?
    };
    let answer: Value = serde_json::from_str(&answer)?;
    let point = |point: &Value| -> Option<(f64, f64)> {
        Some((point[0].as_f64()? - start as f64, point[1].as_str()?.parse().ok()?))
    };
    let all = answer["data"]["result"].as_array().context("no result")?;
    let lines = all.iter().map(|series| {
        let labels = series["metric"].as_object().cloned().unwrap_or_default();
        let name = target["legendFormat"].as_str().unwrap_or_default().to_owned();
        let name = labels.iter().fold(name, |name, (label, value)| {
            name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default())
        });
        let points = match &series["values"] {
            Value::Array(values) => values.iter().filter_map(point).collect(),
            _ => point(&series["value"]).into_iter().collect(),
        };
        (name.replace("{{zone}}", "").trim().to_owned(), points)
    });
    Ok(lines.filter(|(_, points): &Series| points.iter().any(|(_, value)| value.is_finite())).collect())
}

/// The test's policy, and exceptions that end sooner and later.
fn policy_with_exceptions() -> String {
    let exception = |(id, to, days): &(&str, &str, i64)| {
        let (until, owner) = (until(days * 24 + 7), "owner: noc, reason: lab");
        format!("  - {{id: {id}, destinations: [\"{to}\"], {owner}, {until}}}\n")
    };
    let more = [
        ("bakery", "2001:db8:bad::25", 9),
        ("fair", "192.0.2.210", -2),
        ("law-office", "192.0.2.211", 41),
        ("school", "192.0.2.212", 80),
    ];
    policy() + &more.iter().map(exception).collect::<String>()
}

/// Mail like in an office, more and less; and for a while somebody who tries everybody.
fn traffic(scene: &Scene<'_>, start: Instant) {
    let Scene { lab, .. } = scene;
    let mail = |from: &Host, to: IpAddr| drop(smtp::mail(from, to, LIMIT));
    let host = |last| IpAddr::from([192, 0, 2, last]);
    let mut round = 0_u32;
    while start.elapsed() < Duration::from_secs(RANGE) {
        let second = start.elapsed().as_secs();
        round += 1;
        mail(&lab.alice, lab.relay.v4.into());
        if round.is_multiple_of(2) {
            mail(&lab.bob, lab.relay.v6.into());
            mail(&lab.alice, lab.university.v4.into());
        }
        if round.is_multiple_of(3) {
            mail(&lab.alice, lab.stranger.v4.into());
            mail(&lab.alice, lab.stranger.v6.into());
            mail(&lab.bob, host(210));
        }
        if (110..165).contains(&second) {
            (100..112).for_each(|last| mail(&lab.bob, host(last)));
        }
        thread::sleep(Duration::from_millis(400 + 300 * (second / 20 % 3)));
    }
}

fn main() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, &policy_with_exceptions())?;
    let _responder = scene.responder()?;
    let prometheus = Prometheus::start(&lab)?;
    traffic(&scene, Instant::now());

    let end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let dashboard: Value = serde_json::from_str(&shipped(DASHBOARD)?)?;
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let mut lines = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            lines.extend(series(&prometheus, target, end)?);
        }
        panels.push((panel.clone(), lines));
    }
    let file = workspace().join("docs/dashboard.svg");
    fs::write(&file, draw::draw(&panels, RANGE as f64)).with_context(|| file.display().to_string())
}
