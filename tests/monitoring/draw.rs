//! Panels as SVG, laid out as the dashboard says and in Grafana's manner.

use crate::Series;
use serde_json::Value;
use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

/// Pixels a column and a row of the grid.
const CELL: (f64, f64) = (50.0, 27.0);
const MARGIN: f64 = 4.0;
/// Of a panel's title, and of a line of its legend.
const LINE: f64 = 17.0;
const COLOURS: [&str; 8] =
    ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff"];

struct Frame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// All panels; lines go from 0 to `range` in time.
pub(crate) fn draw(panels: &[(Value, Vec<Series>)], range: f64) -> String {
    let mut out = String::new();
    let mut bottom = 0.0_f64;
    for (panel, series) in panels {
        let at = |key: &str| panel["gridPos"][key].as_f64().unwrap_or_default();
        let frame = Frame {
            x: at("x") * CELL.0 + MARGIN,
            y: at("y") * CELL.1 + MARGIN,
            width: at("w") * CELL.0 - 2.0 * MARGIN,
            height: at("h") * CELL.1 - 2.0 * MARGIN,
        };
        bottom = bottom.max(frame.y + frame.height + MARGIN);
        let title = panel["title"].as_str().unwrap_or_default();
        if panel["type"] == "row" {
            text(&mut out, (frame.x + 4.0, frame.y + 14.0), 13.0, "#ffffff", "start", title);
            continue;
        }
        rect(&mut out, &frame, "#181b1f", "stroke=\"#2c3235\"");
        text(&mut out, (frame.x + 8.0, frame.y + LINE), 12.0, "#ccccdc", "start", title);
        let inside = Frame {
            x: frame.x + 8.0,
            y: frame.y + LINE + 8.0,
            width: frame.width - 16.0,
            height: frame.height - LINE - 14.0,
        };
        match panel["type"].as_str() {
            Some("stat") => stats(&mut out, &inside, panel, series),
            Some("bargauge") => bars(&mut out, &inside, panel, series),
            Some("state-timeline") => states(&mut out, &inside, panel, series, range),
            _ => lines(&mut out, inside, panel, series, range),
        }
    }
    let width = 24.0 * CELL.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {bottom:.0}\" font-family=\"sans-serif\">\n\
         <rect width=\"{width}\" height=\"{bottom:.0}\" fill=\"#111217\"/>\n{out}</svg>\n"
    )
}

fn rect(out: &mut String, Frame { x, y, width, height }: &Frame, fill: &str, more: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\" rx=\"2\" {more}/>"
    );
}

fn text(out: &mut String, (x, y): (f64, f64), size: f64, colour: &str, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// The number as the panel writes it, and its colour: by a mapping, or else by thresholds.
fn shown(panel: &Value, number: f64) -> (String, &'static str) {
    let defaults = &panel["fieldConfig"]["defaults"];
    let mapped = &defaults["mappings"][0]["options"][format!("{number:.0}")];
    let steps = defaults["thresholds"]["steps"].as_array().cloned().unwrap_or_default();
    let step = steps.iter().rfind(|step| step["value"].as_f64().is_none_or(|from| number >= from));
    let colour = mapped["color"].as_str().or_else(|| step.and_then(|step| step["color"].as_str()));
    let colour = match colour {
        Some("red") => "#c4162a",
        Some("orange") => "#e0752d",
        Some("blue") => "#1f60c4",
        _ => "#37872d",
    };
    let words = mapped["text"].as_str().map(str::to_owned);
    (words.unwrap_or_else(|| with_unit(number, defaults["unit"].as_str().unwrap_or_default())), colour)
}

fn with_unit(number: f64, unit: &str) -> String {
    let plain = |number: f64| match number.abs() {
        1000.0.. => format!("{:.1} k", number / 1000.0),
        10.0.. => format!("{number:.0}"),
        _ if number.fract() == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.1}"),
    };
    match unit {
        "percentunit" => format!("{:.1} %", number * 100.0),
        "s" => format!("{:.1} ms", number * 1000.0),
        "bps" => format!("{}b/s", plain(number)),
        "dateTimeFromNow" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:.0} minutes ago", (now.as_secs_f64() - number / 1000.0) / 60.0)
        }
        _ => plain(number),
    }
}

fn last((_, points): &Series) -> f64 {
    points.last().map_or(0.0, |(_, value)| *value)
}

fn stats(out: &mut String, frame: &Frame, panel: &Value, series: &[Series]) {
    let value = series.first().map_or(0.0, last);
    let (words, colour) = shown(panel, value);
    rect(out, frame, colour, "");
    let size = (frame.width / words.len() as f64 * 1.5).min(24.0).floor();
    let middle = (frame.x + frame.width / 2.0, frame.y + frame.height / 2.0 + size / 3.0);
    text(out, middle, size, "#ffffff", "middle", &words);
}

fn bars(out: &mut String, frame: &Frame, panel: &Value, series: &[Series]) {
    let (names, values) = (150.0, 50.0);
    let most = panel["fieldConfig"]["defaults"]["max"].as_f64();
    let most = most.unwrap_or_else(|| series.iter().map(last).fold(1.0, f64::max));
    let step = (frame.height / series.len().max(1) as f64).min(36.0);
    for (place, one) in series.iter().enumerate() {
        let y = frame.y + place as f64 * step;
        let (words, colour) = shown(panel, last(one));
        let room = frame.width - names - values;
        let bar = |width| Frame { x: frame.x + names, y: y + 3.0, width, height: step - 6.0 };
        rect(out, &bar(room), "#22252b", "");
        rect(out, &bar(room * (last(one) / most).clamp(0.004, 1.0)), colour, "");
        let base = y + step / 2.0 + 4.0;
        text(out, (frame.x + names - 8.0, base), 12.0, "#ccccdc", "end", &one.0);
        text(out, (frame.x + frame.width, base), 12.0, "#ccccdc", "end", &words);
    }
}

fn states(out: &mut String, frame: &Frame, panel: &Value, series: &[Series], range: f64) {
    let names = 130.0;
    let step = (frame.height / series.len().max(1) as f64).min(44.0);
    for (place, (name, points)) in series.iter().enumerate() {
        let y = frame.y + place as f64 * step;
        text(out, (frame.x + names - 8.0, y + step / 2.0 + 4.0), 12.0, "#ccccdc", "end", name);
        // A run of equal states is one box.
        for run in points.chunk_by(|(_, before), (_, after)| (before - after).abs() < 0.5) {
            let [(from, value), .., (to, _)] = *run else { continue };
            let x = |time: f64| frame.x + names + time / range * (frame.width - names);
            let (words, colour) = shown(panel, value);
            let state = Frame { x: x(from), y: y + 4.0, width: x(to) - x(from), height: step - 8.0 };
            rect(out, &state, colour, "");
            text(out, (state.x + 6.0, y + step / 2.0 + 4.0), 12.0, "#ffffff", "start", &words);
        }
    }
}

fn lines(out: &mut String, mut frame: Frame, panel: &Value, series: &[Series], range: f64) {
    // The legend is below, in as many lines as it needs.
    let mut places = Vec::new();
    let (mut x, mut row) = (0.0, 0.0);
    for (name, _) in series {
        let width = 24.0 + 6.2 * name.len() as f64;
        if x > 0.0 && x + width > frame.width {
            (x, row) = (0.0, row + 1.0);
        }
        places.push((x, row));
        x += width;
    }
    let legend = frame.y + frame.height - row * LINE - 4.0;
    for ((name, _), ((x, row), colour)) in series.iter().zip(places.iter().zip(COLOURS.iter().cycle())) {
        let (x, y) = (frame.x + x, legend + row * LINE);
        rect(out, &Frame { x, y: y - 5.0, width: 12.0, height: 3.0 }, colour, "");
        text(out, (x + 16.0, y), 11.0, "#ccccdc", "start", name);
    }
    (frame.x, frame.width, frame.height) = (frame.x + 56.0, frame.width - 56.0, legend - 20.0 - frame.y);

    let custom = &panel["fieldConfig"]["defaults"]["custom"];
    let is_stacked = custom["stacking"]["mode"] == "normal";
    let fill = custom["fillOpacity"].as_f64().unwrap_or_default() / 100.0;
    let mut below = std::collections::BTreeMap::<i64, f64>::new();
    let mut curves = Vec::new();
    for (_, points) in series {
        let points = points.iter().filter(|(_, value)| value.is_finite()).map(|(time, value)| {
            let base = below.entry(time.round() as i64).or_default();
            let from = if is_stacked { *base } else { 0.0 };
            *base = from + value;
            (*time, from, from + value)
        });
        curves.push(points.collect::<Vec<_>>());
    }
    let most = curves.iter().flatten().map(|(.., top)| *top).fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.1;
    let x = |time: f64| frame.x + time / range * frame.width;
    let y = |value: f64| frame.y + frame.height * (1.0 - value / most);
    for part in [0.0, 0.5, 1.0] {
        let height = y(part * most);
        rect(out, &Frame { x: frame.x, y: height, width: frame.width, height: 0.5 }, "#33383f", "");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        let words = with_unit(part * most, unit);
        text(out, (frame.x - 6.0, height + 4.0), 10.0, "#8e8e9a", "end", &words);
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let over = curve.iter().map(|(time, _, top)| format!("{:.1},{:.1}", x(*time), y(*top)));
        let under = curve.iter().rev().map(|(time, from, _)| format!("{:.1},{:.1}", x(*time), y(*from)));
        let (line, area) =
            (over.clone().collect::<Vec<_>>().join(" "), over.chain(under).collect::<Vec<_>>().join(" "));
        let _ = writeln!(out, "<polygon points=\"{area}\" fill=\"{colour}\" fill-opacity=\"{fill}\"/>");
        let _ = writeln!(
            out,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>"
        );
    }
}
