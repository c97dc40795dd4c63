//! Alerts and runbook.

use crate::named;
use crate::scene::{PATIENCE, Scene, policy as watched, shipped};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{command, lab::Lab, policy, program, prometheus::Prometheus, wait, workspace};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

const RULES: &str = "deploy/prometheus/rules.yaml";
const RUNBOOK: &str = "docs/runbook.md";
/// What a paragraph of the runbook has.
const PARTS: [&str; 3] = ["**For subscribers.**", "**Look.**", "**Do.**"];

/// All there are.
const ALERTS: [&str; 12] = [
    "BlockSpike",
    "ClockStepped",
    "ControllerDown",
    "EventsLost",
    "ExceptionExpiring",
    "ExpiredStillUsed",
    "NotEnforcing",
    "NoticeDown",
    "PolicyStale",
    "RelayNameFailing",
    "ReloadRefused",
    "TableNearFull",
];

/// The alerts in the rules.
fn alerts() -> Result<Vec<Value>> {
    let rules: Value = serde_yaml::from_str(&shipped(RULES)?)?;
    let groups = rules["groups"].as_array().context("no groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key} in {value}"))
}

/// The files with cases.
fn cases() -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(workspace().join("deploy/prometheus"))?.flatten().map(|entry| entry.path());
    Ok(entries.filter(|path| path.to_string_lossy().ends_with(".test.yaml")).collect())
}

#[test]
fn promtool_takes_the_rules_and_every_case_is_as_it_says() -> Result<()> {
    let promtool = program("promtool")?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&promtool);
        command.args(arguments).current_dir(workspace().join("deploy/prometheus"));
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
        Ok(())
    };
    run(&["check", "rules", "--lint-fatal", "rules.yaml"])?;
    let files = cases()?;
    let files: Vec<_> = files.iter().filter_map(|file| file.to_str()).collect();
    ensure!(!files.is_empty());
    run(&[&["test", "rules"][..], &files].concat())
}

/// For each alert there is a case in which it fires, with all that it says, and one in which it does not.
#[test]
fn every_alert_has_cases() -> Result<()> {
    let mut seen = BTreeSet::new();
    for file in cases()? {
        let file: Value = serde_yaml::from_str(&fs::read_to_string(file)?)?;
        for case in file["tests"].as_array().into_iter().flatten() {
            for expected in case["alert_rule_test"].as_array().into_iter().flatten() {
                let fires = expected["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
                seen.insert((text(expected, "alertname")?.to_owned(), fires));
            }
        }
    }
    for alert in ALERTS {
        for fires in [true, false] {
            ensure!(seen.contains(&(alert.to_owned(), fires)), "{alert}: no case with fires: {fires}");
        }
    }
    Ok(())
}

#[test]
fn every_alert_says_what_to_do() -> Result<()> {
    let runbook = shipped(RUNBOOK)?;
    let sections: Vec<_> = runbook.split("\n## ").skip(1).filter_map(|part| part.split_once('\n')).collect();
    let mut names = BTreeSet::new();
    for alert in alerts()? {
        let name = text(&alert, "alert")?;
        names.insert(name.to_owned());
        let severity = text(&alert["labels"], "severity")?;
        ensure!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for key in ["summary", "description"] {
            ensure!(!text(&alert["annotations"], key)?.is_empty(), "{name}: {key}");
        }
        let link = text(&alert["annotations"], "runbook_url")?;
        ensure!(link == format!("{RUNBOOK}#{}", name.to_lowercase()), "{name}: {link}");
        let (_, section) = sections
            .iter()
            .find(|(title, _)| *title == name)
            .with_context(|| format!("{RUNBOOK}: no section {name}"))?;
        for part in PARTS {
            ensure!(section.contains(part), "{RUNBOOK}: {name}: no {part}");
        }
        ensure!(section.contains("```sh\n"), "{RUNBOOK}: {name}: no command to copy");
        let row = format!("| [{name}](#{}) | {severity} |", name.to_lowercase());
        ensure!(runbook.contains(&row), "{RUNBOOK}: no {row}");
    }
    ensure!(names.iter().eq(&ALERTS), "{names:?}");
    ensure!(sections.len() == ALERTS.len(), "a section of no alert");
    Ok(())
}

/// Rules by name: `inactive`, `pending` or `firing`; an error if one could not be evaluated.
fn states(prometheus: &Prometheus<'_>) -> Result<Vec<(String, String)>> {
    let answer: Value = serde_json::from_str(&prometheus.api("rules")?)?;
    let groups = answer["data"]["groups"].as_array().context("no groups")?;
    let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
    rules
        .map(|rule| {
            ensure!(rule["lastError"].is_null(), "{rule}");
            ensure!(text(rule, "health")? != "err", "{rule}");
            Ok((text(rule, "name")?.to_owned(), text(rule, "state")?.to_owned()))
        })
        .collect()
}

/// What names metrics: the rules and the documents for users.
fn documents() -> Result<Vec<PathBuf>> {
    let pages = fs::read_dir(workspace().join("docs"))?.flatten().map(|entry| entry.path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let documents: Vec<_> = pages.chain([RULES.into(), "README.md".into()]).collect();
    ensure!(documents.contains(&workspace().join(RUNBOOK)), "{documents:?}");
    Ok(documents)
}

/// `gate25_notice_*` stands for some.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    let begins = |known: &String| name.ends_with('_') && known.starts_with(name);
    known.contains(name) || known.iter().any(begins)
}

/// A real Prometheus sees in the metrics of a real gate what is wrong with it, and nothing else.
#[test]
fn a_real_gate_raises_them() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::start(&lab, &watched())?;
    scene.traffic()?;
    let prometheus = Prometheus::start(&lab)?;
    let raised = |wanted: &[&str]| -> Result<()> {
        let mut seen = Ok(Vec::new());
        let is_so = || {
            seen = states(&prometheus);
            let raised = seen.as_ref().ok()?.iter().filter(|(_, state)| state != "inactive");
            raised.map(|(name, _)| name.as_str()).eq(wanted.iter().copied()).then_some(())
        };
        let found = wait::until(PATIENCE, is_so);
        found
            .with_context(|| format!("{seen:?} instead of {wanted:?}; the gate wrote:\n{}", scene.gate.log()))
    };
    // In the order of the rules. The responder is not there; nor has the exception long.
    let from_the_start = ["ExceptionExpiring", "RelayNameFailing", "NoticeDown"];
    raised(&from_the_start)?;
    policy::write(lab.folder(), "version: 2\n")?;
    raised(&[&["ReloadRefused", "PolicyStale"], &from_the_start[..]].concat())?;
    policy::write(lab.folder(), &watched())?;
    raised(&from_the_start)?;
    let _responder = scene.responder()?;
    raised(&["ExceptionExpiring", "RelayNameFailing"])?;

    let known = scene.metrics()?;
    for path in documents()? {
        let written = shipped(&path)?;
        let unknown: Vec<_> = named(&written).into_iter().filter(|name| !is_known(name, &known)).collect();
        ensure!(unknown.is_empty(), "{}: no such metrics: {unknown:?} in {known:?}", path.display());
    }

    let config = scene.gate.config().display().to_string();
    let detach = command::finish(&lab.edge, command::gate25(["detach", "--config", &config]), PATIENCE)?;
    ensure!(detach.code == Some(0), "{detach:?}");
    raised(&["NotEnforcing", "ExceptionExpiring", "RelayNameFailing"])?;
    Ok(())
}
