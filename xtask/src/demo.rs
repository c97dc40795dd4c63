//! `cargo xtask demo`: the main job, watched. Two subscribers speak SMTP to three servers, through a gate that gets
//! another policy half-way, and then one with a zone for each action; what happens is held against what they promise.

mod actions;
mod rows;

use crate::{
    setup,
    shell::{self, release, workspace},
    table::table,
};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::Gate,
    lab::{Lab, Traces},
    metrics::{Samples, moved},
    smtp::Sink,
};
use rows::{Row, Seen};
use signal_hook::{consts::TERM_SIGNALS, iterator::Signals};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A signal came, and the lab is being taken away under the demo.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How long the kernel may take to let go of a lab.
const SETTLE: Duration = Duration::from_secs(30);

/// The metrics whose movement is shown.
const SHOWN: [&str; 5] = [
    "gate25_packets_total",
    "gate25_attempts_total",
    "gate25_actions_total",
    "gate25_rule_packets_total",
    "gate25_rule_attempts_total",
];

/// Prepares, shows, and says what is left behind.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::For::Demo)?;
    if env::var_os("GATE25_BIN").is_none() {
        shell::run(&mut release("build"))?;
    }
    let start = Instant::now();
    let lab = Lab::new()?;
    let traces = lab.traces();
    remove_on_signal(&lab)?;
    eprintln!("demo: a lab of network namespaces stands after {:.1} s", start.elapsed().as_secs_f32());
    let result = show(&lab);
    while INTERRUPTED.load(Ordering::SeqCst) {
        // What failed for that reason is not worth a word; the other thread ends the process.
        thread::park();
    }
    drop(lab);
    let clean = nothing_left(&traces);
    let wrong = result?;
    clean?;
    ensure!(wrong.is_empty(), "demo: not as expected: {}", wrong.join("; "));
    eprintln!("demo: everything as expected, in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// All of the demo; gives the rows that are not as expected.
fn show(lab: &Lab) -> Result<Vec<String>> {
    let servers = [&lab.relay, &lab.university, &lab.stranger];
    let _sinks = servers
        .map(|host| Sink::start(&host.namespace, host.name, &[25, 587]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let policy = put_in_place(lab, "demo.yaml")?;
    let gate = Gate::start(lab, &policy)?;
    eprintln!("demo: gate25 run enforces policies/demo.yaml on the subscriber interface");
    let result = whole(lab, &gate, &policy);
    if result.is_err() && !INTERRUPTED.load(Ordering::SeqCst) {
        eprintln!("demo: the gate wrote:\n{}", gate.log());
    }
    let (seen, actions) = result?;
    let status = gate.stop()?;
    ensure!(status.success(), "gate25 run: {status} after SIGTERM");
    let wrong = seen.iter().filter(|seen| !seen.as_expected()).map(ToString::to_string);
    let wrong_actions = actions.iter().filter(|seen| !seen.as_expected()).map(ToString::to_string);
    Ok(wrong.chain(wrong_actions).collect())
}

/// Another policy, and the wait until it is in force.
fn reload(lab: &Lab, gate: &Gate, name: &str) -> Result<()> {
    let generation = |samples: &Samples| samples.get("gate25_policy_generation").copied();
    let before = gate.metrics()?;
    put_in_place(lab, name)?;
    let start = Instant::now();
    gate.wait_metrics("another policy generation", |now| generation(now) > generation(&before))?;
    eprintln!("demo: policies/{name} in effect {} ms after its rename", start.elapsed().as_millis());
    Ok(())
}

fn whole(lab: &Lab, gate: &Gate, policy: &Path) -> Result<(Vec<Seen>, Vec<actions::Seen>)> {
    let before = gate.metrics()?;
    let mut seen = rows::see(lab, policy, "demo", &Row::before())?;
    reload(lab, gate, "demo-reloaded.yaml")?;
    seen.extend(rows::see(lab, policy, "reloaded", &Row::after())?);
    let after = gate.metrics()?;

    println!("{}", rows::report(&seen));
    let mut report = table(&["metric, on eth1, egress", "moved by"]);
    for (series, change) in moved(&before, &after, &SHOWN) {
        report.add_row([without_constants(&series), format!("{change:+}")]);
    }
    println!("\n{report}");

    reload(lab, gate, "demo-actions.yaml")?;
    let actions = actions::see(lab, gate)?;
    println!("\n{}\n\n{}", actions::report(&actions), actions::reference(gate, &actions)?);
    Ok((seen, actions))
}

/// A series without the labels that are the same in all of them, so that it fits a terminal.
fn without_constants(series: &str) -> String {
    [r#"direction="egress","#, r#"interface="eth1","#, r#",interface="eth1""#]
        .iter()
        .fold(series.to_owned(), |series, label| series.replace(label, ""))
}

/// Puts one of the shipped policies where the gate reads, as careful people do: beside it, then renamed over it.
fn put_in_place(lab: &Lab, name: &str) -> Result<PathBuf> {
    let folder = lab.folder().join("policy");
    fs::create_dir_all(&folder)?;
    let (new, policy) = (folder.join("policy.yaml.new"), folder.join("policy.yaml"));
    let shipped = workspace().join("policies").join(name);
    fs::copy(&shipped, &new).with_context(|| shipped.display().to_string())?;
    fs::rename(new, &policy)?;
    Ok(policy)
}

/// Ctrl-C and its like remove the lab, whatever is going on in it.
fn remove_on_signal(lab: &Lab) -> Result<()> {
    let (reaper, traces) = (lab.reaper(), lab.traces());
    let mut signals = Signals::new(TERM_SIGNALS)?;
    thread::spawn(move || {
        let signal = signals.forever().next().unwrap_or_default();
        INTERRUPTED.store(true, Ordering::SeqCst);
        eprintln!("\ndemo: interrupted: removing the lab");
        reaper.close();
        if let Err(error) = nothing_left(&traces) {
            eprintln!("{error}");
        }
        exit(128 + signal);
    });
    Ok(())
}

fn nothing_left(traces: &Traces) -> Result<()> {
    let left = traces.remaining(SETTLE);
    ensure!(left.is_empty(), "demo: left behind: {}", left.join(", "));
    eprintln!("demo: left behind: nothing (no namespace, mount, file or process of the lab)");
    Ok(())
}
