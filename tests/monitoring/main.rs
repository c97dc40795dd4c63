//! What `deploy/` has for people who watch: alerts, their runbook and a dashboard, before promtool and before a real Prometheus that
//! scrapes a real gate.

mod alerts;
mod dashboard;
mod scene;

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{http, smtp, wait};
use scene::{LIMIT, PATIENCE, Scene};
use std::collections::BTreeSet;

impl Scene<'_> {
    /// Mail that passes and mail that is blocked, from both zones.
    fn traffic(&self) -> Result<()> {
        for from in [&self.lab.alice, &self.lab.bob] {
            for (to, is_delivered) in
                [(&self.lab.relay, true), (&self.lab.university, true), (&self.lab.stranger, false)]
            {
                let outcomes = smtp::knock(from, to, LIMIT);
                let is_right = outcomes.iter().all(|outcome| outcome.is_delivered() == is_delivered);
                ensure!(is_right, "{} to {}: {outcomes:?}\n{}", from.name, to.name, self.gate.log());
            }
        }
        Ok(())
    }

    /// The names of all metrics of the gate and of the responder.
    fn metrics(&self) -> Result<BTreeSet<String>> {
        let notice = "127.0.0.1:9126".parse()?;
        let page = || self.lab.edge.run(|| http::get(notice, "/metrics")).ok();
        let (_, notice) = wait::until(PATIENCE, page).context("no metrics of gate25 notice")?;
        let text = self.gate.scrape()? + &notice;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        Ok(types.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect())
    }
}

/// Every `gate25_…` in a text that could be a metric, but for what Prometheus adds to the name of a histogram.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
        .filter(|word| word.starts_with("gate25_"))
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
        .collect()
}
