//! Which figures become plots.

use crate::{
    classes,
    contenders::{EMPTY, GATE25, TRIES},
    loading, lookup,
    plot::{self, Bars, Line},
    report::{Figure, Report, grouped},
    rivals::{netfilter::Netfilter, xdp_filter::Variant},
    throughput,
    traffic::Kind,
};
use anyhow::Result;
use std::{fs, path::Path};

/// Writes all of them into that folder; a part that was not measured makes none.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    prefixes(report, &folder.join("prefixes.svg"))?;
    packets(report, &folder.join("classes.svg"))?;
    rates(report, &folder.join("throughput.svg"))?;
    loads(report, &folder.join("loading.svg"))
}

/// The medians of a row, by size.
fn points(report: &Report, part: &str, what: &str, contender: &str) -> Vec<(f64, f64)> {
    let is_of =
        |figure: &&Figure| figure.part == part && figure.what == what && figure.contender == contender;
    let figures = report.figures.iter().filter(is_of);
    figures.filter_map(|figure| Some((figure.size? as f64, figure.spread.median))).collect()
}

fn prefixes(report: &Report, path: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for (colour, who) in [GATE25, TRIES].into_iter().enumerate() {
        for (keys, is_dashed) in [("random", false), ("inside prefixes", true)] {
            let points = points(report, lookup::PART, &format!("destinations IPv4, {keys}"), who);
            let name = format!("{who}, {} addresses", if is_dashed { "listed" } else { "random" });
            lines.push(Line { name, points, is_dashed, colour });
        }
    }
    lines.retain(|line| !line.points.is_empty());
    let axes = ("prefixes (half of them hosts)", "ns a packet over an empty program");
    plot::lines(path, "A packet to port 25, by the number of IPv4 destinations in the policy", axes, &lines)
}

fn packets(report: &Report, path: &Path) -> Result<()> {
    let names = [GATE25, TRIES, Variant::Default.name(), Variant::Least.name()];
    let rows = [
        "TCP/443, IPv4",
        "TCP/443, IPv6",
        "TCP/443, one tag",
        "TCP/443, QinQ",
        "TCP/443, PPPoE",
        "SMTP, relay",
        "SMTP, exception, permanent",
        "SMTP, default, drop",
    ];
    let groups = rows.map(|what| Bars {
        what: what.to_owned(),
        values: names.iter().map(|who| report.median(classes::PART, what, None, who)).collect(),
    });
    grouped_bars(path, "What a packet costs over an empty XDP program", "ns", &names, groups.into())
}

fn rates(report: &Report, path: &Path) -> Result<()> {
    let [ingress, prerouting, iptables] = Netfilter::ALL.map(Netfilter::name);
    let names = [GATE25, TRIES, EMPTY, Variant::Default.name(), ingress, prerouting, iptables];
    let is_of = |figure: &&Figure| figure.part == throughput::PART && figure.unit == throughput::MPPS;
    let mut rows: Vec<_> =
        report.figures.iter().filter(is_of).map(|figure| (figure.what.clone(), figure.size)).collect();
    rows.dedup();
    // The sizes of a row beside each other.
    rows.sort_by_key(|(what, _)| Kind::ALL.iter().position(|kind| kind.label() == what));
    let groups = rows.into_iter().map(|(what, size)| Bars {
        values: names
            .iter()
            .map(|who| {
                let mut of = report.figures.iter().filter(is_of);
                of.find(|figure| (&figure.what, figure.size, &figure.contender) == (&what, size, who))
                    .map(|figure| figure.spread.median)
            })
            .collect(),
        what: format!("{what}; {}", grouped(size.unwrap_or_default())),
    });
    let title = "Packets a second, one processor that also makes them; by the number of prefixes";
    grouped_bars(path, title, "Mpps", &names, groups.collect())
}

fn loads(report: &Report, path: &Path) -> Result<()> {
    let rows = [
        ("gate25: start until it enforces", loading::START, GATE25),
        ("gate25: reload, ten changed", loading::CHANGED, GATE25),
        ("nft -f", loading::LOAD, Netfilter::Ingress.name()),
        ("ipset restore", loading::LOAD, Netfilter::Iptables.name()),
    ];
    let lines = rows.into_iter().enumerate().map(|(colour, (name, what, who))| Line {
        name: name.to_owned(),
        points: points(report, loading::PART, what, who),
        is_dashed: false,
        colour,
    });
    let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
    plot::lines(path, "Loading a list", ("prefixes in the list", "seconds"), &lines)
}

/// Without rows and names of which there is nothing.
fn grouped_bars(path: &Path, title: &str, unit: &str, names: &[&str], mut groups: Vec<Bars>) -> Result<()> {
    groups.retain(|bars| bars.values.iter().any(Option::is_some));
    let is_there = |number: usize| groups.iter().any(|bars| bars.values[number].is_some());
    let kept: Vec<_> = (0..names.len()).filter(|number| is_there(*number)).collect();
    let names: Vec<_> = kept.iter().map(|number| names[*number]).collect();
    for bars in &mut groups {
        bars.values = kept.iter().map(|number| bars.values[*number]).collect();
    }
    if groups.is_empty() {
        return Ok(());
    }
    plot::bars(path, title, unit, &names, &groups)
}
