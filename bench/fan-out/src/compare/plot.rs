//! Plots as SVG, legible in the light and in the dark: lines over a logarithmic axis of listeners.

use std::fmt::Write as _;

use super::figure::{DELIVERIES, Figure, PER_LISTENER, PER_STREAM};
use super::results::Results;
use super::row::{IDLE_SIZES, SIZES};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 64.0;

/// Colours, the second for a dark page; lines of one colour differ by their dashes.
const COLOURS: [(&str, &str); 7] = [
    ("#0550ae", "#79c0ff"),
    ("#cf222e", "#ff7b72"),
    ("#1a7f37", "#56d364"),
    ("#8250df", "#d2a8ff"),
    ("#9a6700", "#e3b341"),
    ("#bf3989", "#ff9bce"),
    ("#57606a", "#b1bac4"),
];
const DASHES: [&str; 7] = ["none", "8 4", "2 4", "10 3 2 3", "5 5", "12 4", "3 3"];

/// One plot.
#[derive(Debug)]
pub(crate) struct Plot {
    /// The group that it belongs to.
    pub(crate) group: char,
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    y_title: &'static str,
    /// Whether the upright axis has decades, too.
    is_log: bool,
    series: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// A way from numbers to places on the page.
#[derive(Debug)]
struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    /// Where `from` and `to` are.
    start: f64,
    end: f64,
}

/// Those for which there are figures.
pub(crate) fn all(results: &Results) -> Vec<Plot> {
    let lines = |names: &[(&'static str, &str, Figure)], group: char, sizes: &[usize]| {
        let line = |(name, peer, figure): &(&'static str, &str, Figure)| {
            let point = |size: &usize| {
                Some((*size as f64, results.median(&format!("{group}-{size}"), peer, *figure)?))
            };
            Series { name, points: sizes.iter().filter_map(point).collect() }
        };
        names.iter().map(line).filter(|series| series.points.len() > 1).collect::<Vec<_>>()
    };
    let growing = ["eric", "bare-join", "nchan", "axum-broadcast"].map(|peer| (peer, peer, DELIVERIES));
    let idle = [
        ("eric", "eric", PER_STREAM),
        ("eric, with its listener", "eric", PER_LISTENER),
        ("eric-file", "eric-file", PER_STREAM),
        ("nchan", "nchan", PER_STREAM),
        ("axum-broadcast", "axum-broadcast", PER_STREAM),
        ("bare-join", "bare-join", PER_STREAM),
    ];
    let plots = [
        Plot {
            group: 'd',
            file: "idle.svg",
            title: "Memory of an idle stream by the number of streams",
            y_title: "server's memory per stream, bytes",
            is_log: true,
            series: lines(&idle, 'd', &IDLE_SIZES),
        },
        Plot {
            group: 'h',
            file: "growth.svg",
            title: "Deliveries by the number of listeners, 32 messages under way",
            y_title: "deliveries/s",
            is_log: false,
            series: lines(&growing, 'h', &SIZES),
        },
    ];
    plots.into_iter().filter(|plot| !plot.series.is_empty()).collect()
}

impl Plot {
    /// The plot as a document.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let most = points().map(|point| point.1).fold(1.0, f64::max);
        let (first, last) = points()
            .fold((f64::MAX, 1.0_f64), |(first, last), point| (first.min(point.0), last.max(point.0)));
        let x = Axis { from: first, to: last, is_log: true, start: LEFT, end: WIDTH - RIGHT };
        let (from, to) = if self.is_log { (10.0, decade_above(most)) } else { (0.0, most * 1.05) };
        let y = Axis { from, to, is_log: self.is_log, start: HEIGHT - BOTTOM, end: TOP };
        let mut text = head(self.title);
        self.write_axes(&mut text, &x, &y);
        for (number, series) in self.series.iter().enumerate() {
            series.write(&mut text, number, &x, &y);
        }
        text.push_str("</svg>\n");
        text
    }

    fn write_axes(&self, text: &mut String, x: &Axis, y: &Axis) {
        let (left, right, bottom) = (x.start, x.end, y.start);
        for value in y.ticks() {
            let at = y.place(value);
            let _ =
                writeln!(text, r#"<line class="grid" x1="{left}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#);
            let (x, y) = (left - 8.0, at + 4.0);
            let _ = writeln!(text, r#"<text x="{x}" y="{y:.1}" text-anchor="end">{}</text>"#, short(value));
        }
        let mut sizes: Vec<f64> =
            self.series.iter().flat_map(|series| &series.points).map(|point| point.0).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        for value in sizes {
            let (at, top, low) = (x.place(value), y.end, bottom + 20.0);
            let _ =
                writeln!(text, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{top}" y2="{bottom}"/>"#);
            let _ =
                writeln!(text, r#"<text x="{at:.1}" y="{low}" text-anchor="middle">{}</text>"#, short(value));
        }
        let _ = writeln!(text, r#"<path class="axis" d="M{left} {} V{bottom} H{right}"/>"#, y.end);
        let (middle, low) = (f64::midpoint(left, right), HEIGHT - 18.0);
        let _ = writeln!(
            text,
            r#"<text x="{middle}" y="{low}" text-anchor="middle">listeners (logarithmic)</text>"#
        );
        let (middle, scale) = (f64::midpoint(bottom, y.end), if self.is_log { " (logarithmic)" } else { "" });
        let _ = writeln!(
            text,
            r#"<text transform="translate(22 {middle}) rotate(-90)" text-anchor="middle">{}{scale}</text>"#,
            self.y_title
        );
    }
}

impl Series {
    fn write(&self, text: &mut String, number: usize, x: &Axis, y: &Axis) {
        let class = number % COLOURS.len();
        let places: Vec<(f64, f64)> =
            self.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(text, r#"<polyline class="s{class}" points="{}"/>"#, path.join(" "));
        for (x, y) in places {
            let _ = writeln!(text, r#"<circle class="s{class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#);
        }
        let (at, left) = (TOP + 10.0 + 22.0 * number as f64, x.end + 16.0);
        let _ = writeln!(text, r#"<polyline class="s{class}" points="{left},{at} {},{at}"/>"#, left + 28.0);
        let _ = writeln!(text, r#"<text x="{}" y="{}">{}</text>"#, left + 36.0, at + 4.0, self.name);
    }
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.is_log { value.max(self.from).log10() } else { value };
        let share = (scaled(value) - scaled(self.from)) / (scaled(self.to) - scaled(self.from));
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Decades; or about five of 1, 2 or 5 times a power of ten.
    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let decades = std::iter::successors(Some(self.from), |value| Some(value * 10.0));
            return decades.take_while(|value| *value <= self.to * 1.001).collect();
        }
        let power = 10.0_f64.powf((self.to / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter();
        let step = step.clone().find(|step| self.to / step <= 6.0).unwrap_or(10.0 * power);
        (0..).map(|count| f64::from(count) * step).take_while(|value| *value <= self.to).collect()
    }
}

/// The document's beginning: its colours, its ground, its title.
fn head(title: &str) -> String {
    let mut style = "text{font:13px sans-serif;fill:#1f2328}.title{font-weight:bold}.ground{fill:#fff}.grid{stroke:#d1d9e0}\
                     .axis{stroke:#59636e;fill:none}polyline{fill:none;stroke-width:2}"
        .to_owned();
    let mut dark =
        "text{fill:#e6edf3}.ground{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#9198a1}".to_owned();
    for (number, ((light, other), dash)) in COLOURS.into_iter().zip(DASHES).enumerate() {
        let _ = write!(style, ".s{number}{{stroke:{light};stroke-dasharray:{dash}}}");
        let _ = write!(style, "circle.s{number}{{fill:{light};stroke:none}}");
        let _ = write!(dark, ".s{number}{{stroke:{other}}}circle.s{number}{{fill:{other}}}");
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{style}@media (prefers-color-scheme:dark){{{dark}}}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" class=\"title\">{title}</text>\n"
    )
}

fn decade_above(value: f64) -> f64 {
    10.0_f64.powf(value.log10().ceil())
}

/// A round number, briefly.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::sample;
    use super::*;

    fn growth() -> Plot {
        let mut results = Results::default();
        for (number, size) in SIZES.into_iter().enumerate() {
            for peer in ["eric", "nchan"] {
                let row = format!("h-{size}");
                results.samples.push(sample(&row, peer, 1, 400_000.0 + 1e5 * number as f64));
            }
        }
        let mut plots = all(&results);
        assert_eq!(plots.len(), 1, "nothing is known of memory");
        plots.remove(0)
    }

    #[test]
    fn a_plot_is_well_formed() {
        let svg = growth().svg();
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').unwrap();
            assert!(!text.contains('>') && !text.contains('&'), "{text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name.to_owned()));
            } else if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        assert_eq!(open, Vec::<String>::new());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_plot_has_titles_units_and_a_legend() {
        let svg = growth().svg();
        for text in [">deliveries/s<", ">listeners (logarithmic)<", ">eric<", ">nchan<", ">18 k<", ">800 k<"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
    }

    #[test]
    fn places_follow_the_axis() {
        let axis = Axis { from: 10.0, to: 1_000.0, is_log: true, start: 0.0, end: 100.0 };
        assert!((axis.place(100.0) - 50.0).abs() < 1e-9);
        assert!(axis.place(-5.0).abs() < 1e-9, "what is less than can be shown is at the edge");
        assert_eq!(axis.ticks(), [10.0, 100.0, 1_000.0]);
        let axis = Axis { from: 0.0, to: 900_000.0, is_log: false, start: 0.0, end: 100.0 };
        assert_eq!(axis.ticks(), [0.0, 200_000.0, 400_000.0, 600_000.0, 800_000.0]);
    }
}
