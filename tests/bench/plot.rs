//! SVG of figures, for light and dark pages.

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::{fs, path::Path};

const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xfe);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
/// What becomes of those three on a dark page.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) { [fill=\"#24292F\"] { fill: #e6edf3 } \
                    [stroke=\"#24292F\"] { stroke: #e6edf3 } [fill=\"#FFFFFE\"] { fill: #0d1117 } \
                    [stroke=\"#D8DEE4\"] { stroke: #30363d } }</style>\n";
/// Told apart by all kinds of eyes, on white and on black (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x8f, 0xd5),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x8c, 0x8c, 0x8c),
    RGBColor(0x56, 0xb4, 0xe9),
];
const WIDTH: i32 = 760;
const FONT: &str = "sans-serif";

/// A line: its name, and its points.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) is_dashed: bool,
    /// Which colour; lines may share one.
    pub(crate) colour: usize,
}

/// Some bars that belong together: what they are of, and a value for each name, where there is one.
pub(crate) struct Bars {
    pub(crate) what: String,
    pub(crate) values: Vec<Option<f64>>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Lines over sizes from 10 to a million, both axes logarithmic.
pub(crate) fn lines(path: &Path, title: &str, (x, y): (&str, &str), lines: &[Line]) -> Result<()> {
    let values =
        || lines.iter().flat_map(|line| &line.points).map(|point| point.1).filter(|value| *value > 0.0);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if values().count() == 0 {
        return Ok(());
    }
    draw(path, 420, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 17).into_font().color(&INK))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (8.0..1_300_000.0_f64).log_scale(),
                (least * 0.7..most * 1.5 * (most / least).powf(0.3)).log_scale(),
            )
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 13).into_font().color(&INK))
            .axis_desc_style((FONT, 13).into_font().color(&INK))
            .x_labels(6)
            .y_labels(8)
            .x_label_formatter(&|value| crate::report::grouped(format!("{value:.0}")))
            .y_label_formatter(&|value| crate::report::short(*value))
            .x_desc(x)
            .y_desc(y)
            .draw()
            .map_err(failed)?;
        for line in lines {
            let style = COLOURS[line.colour % COLOURS.len()].stroke_width(2);
            let points = || line.points.iter().copied();
            let drawn = if line.is_dashed {
                chart.draw_series(DashedLineSeries::new(points(), 6, 4, style)).map_err(failed)?
            } else {
                chart.draw_series(LineSeries::new(points(), style)).map_err(failed)?
            };
            // A dash, too.
            let width = if line.is_dashed { 7 } else { 18 };
            drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + width, y)], style));
            let dots = points().map(|point| Circle::new(point, 3, style.color.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font((FONT, 13).into_font().color(&INK))
            .background_style(PAPER.filled())
            .draw()
            .map_err(failed)
    })
}

/// Horizontal bars, one group under the other.
pub(crate) fn bars(path: &Path, title: &str, unit: &str, names: &[&str], groups: &[Bars]) -> Result<()> {
    const LEFT: i32 = 210;
    const BAR: i32 = 15;
    let count = |bars: &Bars| (bars.values.iter().flatten().count() as u32).cast_signed();
    let most =
        groups.iter().flat_map(|bars| &bars.values).flatten().fold(0.0_f64, |most, value| most.max(*value));
    let height = 76 + groups.iter().map(|bars| BAR * count(bars) + 18).sum::<i32>();
    draw(path, height, |area| {
        let text = |words: &str, size: i32, at: (i32, i32), side: HPos| {
            let style = (FONT, size).into_font().color(&INK).pos(Pos::new(side, VPos::Center));
            area.draw_text(words, &style, at).map_err(failed)
        };
        text(title, 17, (14, 20), HPos::Left)?;
        let mut x = 14;
        for (number, name) in names.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()].filled();
            area.draw(&Rectangle::new([(x, 40), (x + 11, 51)], colour)).map_err(failed)?;
            text(name, 13, (x + 16, 46), HPos::Left)?;
            x += 34 + 7 * (name.len() as u32).cast_signed();
        }
        let mut y = 66;
        for group in groups {
            text(&group.what, 13, (LEFT - 8, y + BAR * count(group) / 2), HPos::Right)?;
            for (number, value) in group.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let length = (f64::from(WIDTH - LEFT - 90) * value.max(0.0) / most) as i32;
                let corners = [(LEFT, y), (LEFT + length.max(1), y + BAR - 2)];
                let colour = COLOURS[number % COLOURS.len()].filled();
                area.draw(&Rectangle::new(corners, colour)).map_err(failed)?;
                let label = format!("{} {unit}", crate::report::short(*value));
                text(&label, 12, (LEFT + length + 6, y + BAR / 2), HPos::Left)?;
                y += BAR;
            }
            y += 18;
        }
        Ok(())
    })
}

fn draw(path: &Path, height: i32, work: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH.cast_unsigned(), height.cast_unsigned()))
            .into_drawing_area();
        area.fill(&PAPER).map_err(failed)?;
        work(&area)?;
        area.present().map_err(failed)?;
    }
    // The style comes behind the first tag.
    let begin = svg.find(">\n").ok_or_else(|| anyhow!("no SVG"))? + 2;
    svg.insert_str(begin, DARK);
    Ok(fs::write(path, svg)?)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}
