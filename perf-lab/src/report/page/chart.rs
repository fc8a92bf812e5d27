//! Charts as SVG of our own: lines over an axis in nines or in seconds, and bars of ratios.
//!
//! The lines are stretched to their box and keep their width; all text is HTML beside them, so
//! that it has the size of text on every screen.

use std::fmt::Write;

use super::html::escape;
use super::words;

/// A named line. `tone` chooses colour and dashes.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) tone: usize,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How a value becomes a place between 0 and 1.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Least and greatest value.
    pub(crate) range: (f64, f64),
    pub(crate) scale: Scale,
    /// Values with a line and what stands beside it.
    pub(crate) marks: Vec<(f64, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scale {
    Linear,
    Log,
    /// The closer to 1, the more room: 0.9, 0.99 and 0.999 lie equally far apart.
    Nines,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let on = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Nines => -(1.0 - value).max(1e-12).log10(),
        };
        let (low, high) = (on(self.range.0), on(self.range.1));
        if high > low {
            ((on(value) - low) / (high - low)).clamp(0.0, 1.0)
        } else {
            0.5
        }
    }

    /// From 0 to a round number, with a handful of marks.
    pub(crate) fn from_zero(greatest: f64, label: impl Fn(f64) -> String) -> Self {
        let step = round_up(greatest.max(1e-3) / 4.0);
        let count = (greatest / step).ceil().max(1.0) as u32;
        let marks = (0..=count).map(|at| f64::from(at) * step);
        Self {
            range: (0.0, f64::from(count) * step),
            scale: Scale::Linear,
            marks: marks.map(|value| (value, label(value))).collect(),
        }
    }

    /// Whole decades or parts of them around the values.
    pub(crate) fn log(least: f64, greatest: f64, label: impl Fn(f64) -> String) -> Self {
        let floor = 10_f64.powf(least.max(1.0).log10().floor());
        let mut marks = Vec::new();
        let mut decade = floor;
        while decade <= greatest {
            marks.extend([1.0, 2.0, 5.0].map(|step| step * decade));
            decade *= 10.0;
        }
        marks.push(decade);
        let low = marks.iter().rposition(|mark| *mark <= least).unwrap_or(0);
        let high = marks.iter().position(|mark| *mark >= greatest);
        let shown = &marks[low..=high.unwrap_or(marks.len() - 1)];
        // Too many lines are no help: whole decades then.
        let whole = |mark: &f64| shown.len() <= 8 || is_decade(*mark);
        Self {
            range: (shown[0], shown[shown.len() - 1]),
            scale: Scale::Log,
            marks: shown
                .iter()
                .filter(|mark| whole(mark))
                .map(|mark| (*mark, label(*mark)))
                .collect(),
        }
    }

    /// From the least value to the given quantile.
    pub(crate) fn nines(greatest: f64) -> Self {
        let names = [
            (0.0, "0"),
            (0.9, "90"),
            (0.99, "99"),
            (0.999, "99.9"),
            (0.9999, "99.99"),
            (0.99999, "99.999"),
        ];
        let shown = names.iter().filter(|(value, _)| *value <= greatest + 1e-9);
        Self {
            range: (0.0, greatest),
            scale: Scale::Nines,
            marks: shown
                .map(|(value, name)| (*value, (*name).to_owned()))
                .collect(),
        }
    }
}

fn is_decade(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-6
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let fits = |step: &&f64| **step * decade >= value * 0.999_999;
    steps
        .iter()
        .find(fits)
        .map_or(decade * 10.0, |step| step * decade)
}

/// Lines over two axes, with a title that says the units.
pub(crate) fn lines(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let mut grid = String::new();
    let mut labels = String::new();
    for (value, label) in &y.marks {
        let top = 1_000.0 * (1.0 - y.place(*value));
        write!(grid, "<path d=\"M0 {top:.1}H1000\"/>").expect("a string takes all");
        let (top, label) = (top / 10.0, escape(label));
        write!(
            labels,
            "<span class=\"y\" style=\"top:{top:.2}%\">{label}</span>"
        )
        .expect("a string takes all");
    }
    for (value, label) in &x.marks {
        let left = 1_000.0 * x.place(*value);
        write!(grid, "<path d=\"M{left:.1} 0V1000\"/>").expect("a string takes all");
        let (left, label) = (left / 10.0, escape(label));
        write!(
            labels,
            "<span class=\"x\" style=\"left:{left:.2}%\">{label}</span>"
        )
        .expect("a string takes all");
    }
    let drawn: String = lines.iter().map(|line| path(line, x, y)).collect();
    let title = escape(title);
    format!(
        "<figure class=\"chart\">\n<figcaption>{title}</figcaption>\n<div class=\"plot\">\n\
         <svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{title}\">\n<g class=\"grid\">{grid}</g>\n{drawn}</svg>\n{labels}\n\
         </div>\n</figure>\n"
    )
}

fn path(line: &Line, x: &Axis, y: &Axis) -> String {
    let mut d = String::new();
    for (at, (from, value)) in line.points.iter().enumerate() {
        let (left, top) = (x.place(*from) * 1_000.0, (1.0 - y.place(*value)) * 1_000.0);
        let letter = if at == 0 { 'M' } else { 'L' };
        write!(d, "{letter}{left:.1} {top:.1}").expect("a string takes all");
    }
    let (tone, name) = (line.tone, escape(&line.name));
    format!("<path class=\"line t{tone}\" d=\"{d}\"><title>{name}</title></path>\n")
}

/// Which line is which.
pub(crate) fn legend<'a>(lines: impl Iterator<Item = (&'a str, usize)>) -> String {
    let items: String = lines
        .map(|(name, tone)| format!("<li>{}</li>\n", key(name, tone)))
        .collect();
    format!("<ul class=\"legend\">\n{items}</ul>\n")
}

/// A name with the stroke that stands for it.
pub(crate) fn key(name: &str, tone: usize) -> String {
    let name = escape(name);
    format!(
        "<svg class=\"key\" width=\"26\" height=\"10\" aria-hidden=\"true\">\
         <path class=\"line t{tone}\" d=\"M1 5H25\"/></svg>{name}"
    )
}

/// A bar with its interval.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) tone: usize,
    pub(crate) value: f64,
    pub(crate) interval: Option<(f64, f64)>,
}

/// Bars of ratios over a line at 1.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let ends = bars
        .iter()
        .map(|bar| bar.interval.map_or(bar.value, |(_, high)| high));
    let greatest = ends.fold(1.0, f64::max) * 1.04;
    let rows: String = bars.iter().map(|bar| bar_row(bar, greatest)).collect();
    let title = escape(title);
    format!(
        "<figure class=\"bars\">\n<figcaption>{title}</figcaption>\n<div class=\"rows\">\n{rows}\
         </div>\n</figure>\n"
    )
}

fn bar_row(bar: &Bar, greatest: f64) -> String {
    let share = |value: f64| format!("{:.2}%", value / greatest * 100.0);
    let (name, tone) = (escape(&bar.name), bar.tone);
    let (width, one) = (share(bar.value), share(1.0));
    let whisker = bar.interval.map_or_else(String::new, |(low, high)| {
        let (low, high) = (share(low), share(high));
        format!(
            "<line class=\"whisker\" x1=\"{low}\" x2=\"{high}\" y1=\"50%\" y2=\"50%\"/>\
             <line class=\"whisker\" x1=\"{low}\" x2=\"{low}\" y1=\"28%\" y2=\"72%\"/>\
             <line class=\"whisker\" x1=\"{high}\" x2=\"{high}\" y1=\"28%\" y2=\"72%\"/>"
        )
    });
    let value = words::ratio(bar.value);
    format!(
        "<span class=\"name\">{name}</span>\
         <svg class=\"track\" role=\"img\" aria-label=\"{name} {value}\">\
         <rect class=\"bar t{tone}\" y=\"15%\" width=\"{width}\" height=\"70%\" rx=\"2\"/>\
         <line class=\"one\" x1=\"{one}\" x2=\"{one}\" y1=\"0\" y2=\"100%\"/>{whisker}</svg>\
         <span class=\"value\">{value}</span>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{Axis, Scale};

    #[test]
    fn axes_hold_their_values_and_have_few_marks() {
        let label = |value: f64| format!("{value}");
        let zero = Axis::from_zero(73.0, label);
        assert_eq!(zero.range, (0.0, 80.0));
        assert_eq!(zero.marks.len(), 5);
        let log = Axis::log(67_000.0, 1_528_000.0, label);
        assert_eq!(log.range, (50_000.0, 2_000_000.0));
        assert!(log.place(67_000.0) > 0.0 && log.place(1_528_000.0) < 1.0);
        let wide = Axis::log(1_000.0, 9e9, label);
        assert!(wide.marks.len() <= 9, "{:?}", wide.marks);
        assert_eq!(Axis::from_zero(0.0, label).place(0.0), 0.0);
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let axis = Axis::nines(0.999);
        let places = [0.0, 0.9, 0.99, 0.999].map(|value| axis.place(value));
        let apart = places.windows(2).map(|two| two[1] - two[0]);
        assert!(apart.into_iter().all(|gap| (gap - 1.0 / 3.0).abs() < 1e-9));
        assert_eq!(axis.scale, Scale::Nines);
        assert_eq!(axis.marks.len(), 4);
    }
}
