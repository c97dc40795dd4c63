//! Samples of a scrape.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// Every series as the exposition writes it (`name{label="value",…}`), and its value.
pub type Samples = BTreeMap<String, f64>;

/// Reads Prometheus' text format, without timestamps.
pub fn parse(text: &str) -> Result<Samples> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').with_context(|| format!("not a sample: {line}"))?;
            let value = value.parse().with_context(|| format!("not a value: {line}"))?;
            Ok((series.to_owned(), value))
        })
        .collect()
}

/// The sum over the series of that metric that have all those labels.
#[must_use]
pub fn sum(samples: &Samples, metric: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |series: &str, (name, value): &(&str, &str)| {
        ["{", ","].iter().any(|before| series.contains(&format!("{before}{name}=\"{value}\"")))
    };
    samples
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(metric))
        .filter(|(series, _)| labels.iter().all(|label| has(series, label)))
        .map(|(_, value)| value)
        .sum()
}

/// What was added to each series of those metrics, where something was.
#[must_use]
pub fn moved(before: &Samples, after: &Samples, metrics: &[&str]) -> Samples {
    after
        .iter()
        .filter(|(series, _)| series.split('{').next().is_some_and(|metric| metrics.contains(&metric)))
        .map(|(series, value)| (series.clone(), value - before.get(series).unwrap_or(&0.0)))
        .filter(|(_, change)| *change != 0.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_takes_whole_names_and_values() -> Result<()> {
        let text = "# HELP hits Help.\nhits{kind=\"a\",zone=\"west\"} 1\nhits{kind=\"ab\",zone=\"west\"} 2\n\
                    hits{sub_kind=\"a\"} 4\nhits_total{kind=\"a\"} 8\nplain 16\n";
        let samples = parse(text)?;
        let total = |labels: &[(&str, &str)]| sum(&samples, "hits", labels);
        assert!(
            [(total(&[]), 7.0), (total(&[("kind", "a")]), 1.0), (total(&[("zone", "west")]), 3.0)]
                .iter()
                .all(|(found, wanted)| (found - wanted).abs() < f64::EPSILON)
        );
        assert_eq!(samples.get("plain"), Some(&16.0));
        assert!(parse("plain\n").is_err());
        Ok(())
    }

    #[test]
    fn only_what_moved_is_shown() -> Result<()> {
        let (before, after) = (parse("a 1\nb 1\nc 1\n")?, parse("a 1\nb 3\nc 5\nd 7\n")?);
        let wanted = Samples::from([("b".into(), 2.0), ("d".into(), 7.0)]);
        assert_eq!(moved(&before, &after, &["a", "b", "d"]), wanted);
        Ok(())
    }
}
