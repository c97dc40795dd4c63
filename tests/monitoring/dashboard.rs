//! The dashboard: its shape, and an answer to each of its queries.

use crate::named;
use crate::scene::{DASHBOARD, PATIENCE, Scene, policy, shipped};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{lab::Lab, prometheus::Prometheus, wait};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The variables, as somebody who looks at one node and one zone has them; what Grafana makes of a time range of a minute.
const VARIABLES: [(&str, &str); 4] =
    [("$instance", "127.0.0.1:9125"), ("$zone", "west"), ("$__rate_interval", "15s"), ("$__range", "1m")];
/// Grafana's grid.
const COLUMNS: u64 = 24;

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&shipped(DASHBOARD)?)?)
}

fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a Vec<Value>> {
    value.pointer(pointer).and_then(Value::as_array).with_context(|| format!("no {pointer}"))
}

/// A query with its variables replaced.
fn filled(query: &str) -> Result<String> {
    let query = VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    ensure!(!query.contains('$'), "{query}: an unknown variable");
    Ok(query)
}

/// Title and query, of all panels and variables.
fn queries(dashboard: &Value) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for panel in list(dashboard, "/panels")?.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().context("no title")?;
        for target in list(panel, "/targets")? {
            all.push((title.to_owned(), filled(target["expr"].as_str().context("no expr")?)?));
        }
    }
    for variable in list(dashboard, "/templating/list")?.iter().filter(|variable| variable["type"] == "query")
    {
        let name = variable["name"].as_str().context("no name")?;
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        let inside = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (series, label) = inside.and_then(|inside| inside.rsplit_once(", ")).context(name.to_owned())?;
        all.push((format!("variable {name}"), filled(&format!("count by ({label}) ({series})"))?));
    }
    Ok(all)
}

/// Panels have ids of their own, lie within the grid and on no other, and ask the data source that was chosen.
#[test]
fn panels_lie_side_by_side() -> Result<()> {
    let dashboard = dashboard()?;
    let chosen = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    let (mut ids, mut places) = (BTreeSet::new(), BTreeMap::new());
    for panel in list(&dashboard, "/panels")? {
        let title = panel["title"].as_str().unwrap_or_default();
        ensure!(ids.insert(panel["id"].as_u64().context("no id")?), "{title}: its id is another's");
        let at = |key| panel["gridPos"][key].as_u64().with_context(|| format!("{title}: no {key}"));
        let (x, y) = (at("x")?, at("y")?);
        ensure!(x + at("w")? <= COLUMNS, "{title}: beyond the grid");
        for place in (y..y + at("h")?).flat_map(|y| (x..x + at("w").unwrap_or(0)).map(move |x| (x, y))) {
            if let Some(other) = places.insert(place, title) {
                anyhow::bail!("{title}: on {other}");
            }
        }
        if panel["type"] != "row" {
            let sources = list(panel, "/targets")?.iter().chain([panel]).map(|holder| &holder["datasource"]);
            ensure!(sources.into_iter().all(|source| *source == chosen), "{title}: another data source");
            ensure!(!panel["description"].as_str().unwrap_or_default().is_empty(), "{title}: says nothing");
        }
    }
    let variables: Vec<_> =
        list(&dashboard, "/templating/list")?.iter().map(|variable| &variable["name"]).collect();
    ensure!(variables == ["datasource", "instance", "zone"], "{variables:?}");
    Ok(())
}

/// How many numbers a query's answer has.
fn numbers(answer: &str) -> Result<usize> {
    let answer: Value = serde_json::from_str(answer)?;
    let values = list(&answer, "/data/result")?.iter().filter_map(|series| series["value"][1].as_str());
    Ok(values.filter(|value| value.parse::<f64>().is_ok_and(f64::is_finite)).count())
}

#[test]
fn each_query_has_an_answer() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, &policy())?;
    let _responder = scene.responder()?;
    let prometheus = Prometheus::start(&lab)?;
    let mut open = queries(&dashboard()?)?;
    ensure!(open.len() > 20, "{open:?}");
    let answered = wait::until(PATIENCE, || {
        scene.traffic().ok()?;
        open.retain(|(_, query)| {
            !prometheus.query(query).and_then(|answer| numbers(&answer)).is_ok_and(|count| count > 0)
        });
        open.is_empty().then_some(())
    });
    answered.with_context(|| format!("no number for {open:#?}; the gate wrote:\n{}", scene.gate.log()))?;

    let known = scene.metrics()?;
    let written = shipped(DASHBOARD)?;
    let unknown: Vec<_> = named(&written).into_iter().filter(|name| !known.contains(*name)).collect();
    ensure!(unknown.is_empty(), "no such metrics: {unknown:?} in {known:?}");
    Ok(())
}
