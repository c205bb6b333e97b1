//! A line chart with names at the ends of the lines.

use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Text};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 560;
/// The width for the names of the lines.
const NAMES_WIDTH: u32 = 210;
const NAME_HEIGHT: i32 = 19;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);

pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

pub struct Axis {
    pub label: &'static str,
    pub is_log: bool,
    /// Formats a tick.
    pub tick: fn(f64) -> String,
    /// The ticks, instead of powers of ten or round numbers.
    pub ticks: Option<Vec<f64>>,
}

pub struct Line {
    pub name: String,
    pub color: RGBColor,
    pub is_bold: bool,
    pub has_points: bool,
    pub points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

impl Chart {
    pub fn draw(&self, path: &Path) -> Result<()> {
        let root = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut plot = ChartBuilder::on(&root)
            .caption(&self.title, (FONT, 20).into_font().color(&INK))
            .margin(12)
            .margin_right(NAMES_WIDTH)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d(
                self.x.scale(self.values(|point| point.0)),
                self.y.scale(self.values(|point| point.1)),
            )?;
        self.draw_axes(&mut plot)?;
        let mut ends = Vec::new();
        for line in &self.lines {
            let end = self.draw_line(&mut plot, line)?;
            ends.extend(end.map(|end| (line, end)));
        }
        name_lines(&root, ends)?;
        Ok(root.present()?)
    }

    fn draw_axes(&self, plot: &mut Plot) -> Result<()> {
        plot.configure_mesh()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|position| (self.x.tick)(self.x.value(*position)))
            .y_label_formatter(&|position| (self.y.tick)(self.y.value(*position)))
            .label_style((FONT, 14).into_font().color(&INK))
            .axis_desc_style((FONT, 15).into_font().color(&INK))
            .draw()?;
        Ok(())
    }

    /// Draws a line; returns its end.
    fn draw_line(&self, plot: &mut Plot, line: &Line) -> Result<Option<(i32, i32)>> {
        let points = line.points.iter().map(|(x, y)| (self.x.position(*x), self.y.position(*y)));
        let points: Vec<_> = points.collect();
        let style = ShapeStyle::from(line.color).stroke_width(if line.is_bold { 4 } else { 2 });
        plot.draw_series(LineSeries::new(points.iter().copied(), style))?;
        if line.has_points {
            plot.draw_series(points.iter().map(|point| Circle::new(*point, 3, line.color.filled())))?;
        }
        Ok(points.last().map(|end| plot.backend_coord(end)))
    }

    fn values(&self, of: fn(&(f64, f64)) -> f64) -> Vec<f64> {
        self.lines.iter().flat_map(|line| line.points.iter().map(of)).collect()
    }
}

/// Writes the name of each line next to its end, without overlaps.
fn name_lines(root: &Area, mut ends: Vec<(&Line, (i32, i32))>) -> Result<()> {
    ends.sort_by_key(|(_, (_, y))| *y);
    let wanted: Vec<i32> = ends.iter().map(|(_, (_, y))| *y).collect();
    let edge = (WIDTH - NAMES_WIDTH) as i32;
    for ((line, (x, y)), at) in ends.iter().zip(spaced(&wanted, NAME_HEIGHT, HEIGHT as i32 - 70)) {
        let lead = PathElement::new([(*x + 4, *y), (edge + 12, at)], line.color.mix(0.4));
        root.draw(&lead)?;
        let font = (FONT, if line.is_bold { 16 } else { 14 }).into_font();
        let style = TextStyle::from(font).color(&line.color).pos(Pos::new(HPos::Left, VPos::Center));
        let text = Text::new(line.name.clone(), (edge + 16, at), style);
        root.draw(&text)?;
    }
    Ok(())
}

/// Moves sorted positions down to be at least `gap` apart, and up again if they exceed `bottom`.
fn spaced(wanted: &[i32], gap: i32, bottom: i32) -> Vec<i32> {
    let mut places = wanted.to_vec();
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + gap);
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(limit);
        limit = *place - gap;
    }
    places
}

struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (position - self.range.start) / (self.range.end - self.range.start);
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl Axis {
    /// Returns the position of a value on a linear axis.
    fn position(&self, value: f64) -> f64 {
        if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    fn value(&self, position: f64) -> f64 {
        if self.is_log { 10f64.powf(position) } else { position }
    }

    fn scale(&self, values: Vec<f64>) -> Scale {
        let positions = || values.iter().map(|value| self.position(*value));
        let least = positions().fold(f64::INFINITY, f64::min);
        let most = positions().fold(f64::NEG_INFINITY, f64::max);
        if !least.is_finite() {
            return Scale { range: 0.0..1.0, ticks: Vec::new() };
        }
        if let Some(ticks) = &self.ticks {
            let ticks: Vec<f64> = ticks.iter().map(|value| self.position(*value)).collect();
            return Scale { range: least..most.max(least + 1e-9), ticks };
        }
        if self.is_log {
            let (low, high) = (least.floor(), most.ceil().max(least.floor() + 1.0));
            let powers = (low as i32..=high as i32).map(f64::from);
            // Few powers leave space for ticks between them.
            let between: &[f64] = if high - low > 2.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let ticks = powers.flat_map(|power| between.iter().map(move |times| power + times.log10()));
            return Scale { range: low..high, ticks: ticks.filter(|tick| *tick <= high).collect() };
        }
        let step = round_step(most / 5.0);
        let ticks = (0..=5).map(|number| f64::from(number) * step).collect();
        Scale { range: 0.0..most.max(1e-9), ticks }
    }
}

/// Returns 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-9).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= step * (1.0 - 1e-9));
    power * times.unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_meet() {
        assert_eq!(spaced(&[10, 12, 100], 20, 500), [10, 30, 100]);
        assert_eq!(spaced(&[480, 490, 499], 20, 500), [460, 480, 500]);
        assert_eq!(spaced(&[], 20, 500), Vec::<i32>::new());
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(round_step(200_000.0), 200_000.0);
        assert_eq!(round_step(210_000.0), 500_000.0);
        assert_eq!(round_step(0.3), 0.5);
    }

    #[test]
    fn a_chart_is_drawn_with_its_names() {
        let axis = |label| Axis { label, is_log: true, tick: |value| format!("{value}"), ticks: None };
        let line = Line {
            name: "a line".to_owned(),
            color: INK,
            is_bold: true,
            has_points: true,
            points: vec![(1.0, 10.0), (100.0, 30.0)],
        };
        let chart = Chart { title: "a title".to_owned(), x: axis("an x"), y: axis("a y"), lines: vec![line] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chart.svg");
        chart.draw(&path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        for text in ["a line", "a title", "an x", "a y"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
