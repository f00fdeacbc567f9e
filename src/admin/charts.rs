//! Charts as SVG, 480 by 190 units; style sheets give colours.

use std::fmt::Write;

use crate::queue::HourRow;

const LEFT: f64 = 40.0;
const RIGHT: f64 = 472.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 160.0;
/// Between axes and their labels.
const GAP: f64 = 6.0;

pub struct Chart {
    pub title: &'static str,
    pub svg: String,
    pub summary: String,
    pub series: [Series; 2],
}

pub struct Series {
    pub key: &'static str,
    pub label: &'static str,
}

/// A tick of the hour axis.
fn clock(hour: &HourRow) -> String {
    format!("{:02}:00", hour.begins_at.hour())
}

/// 1, 2, 2.5, 5 or 10 times a power of ten that is not below `most`.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(most.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|top| *top >= most).unwrap_or(most)
}

fn figure(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn step(hours: &[HourRow]) -> f64 {
    (RIGHT - LEFT) / hours.len().max(1) as f64
}

/// The grid and what stands beside it.
fn frame(hours: &[HourRow], top: f64, unit: &str) -> String {
    let mut svg = String::new();
    for part in [0.0, 0.5, 1.0] {
        let (y, label) = (BOTTOM - (BOTTOM - TOP) * part, figure(top * part));
        let _ = write!(
            svg,
            r#"<path class="chart-grid" d="M{LEFT} {y}H{RIGHT}"/><text class="chart-axis" x="{}" y="{}" text-anchor="end">{label}{unit}</text>"#,
            LEFT - GAP,
            y + 4.0
        );
    }
    for (i, hour) in hours.iter().enumerate().filter(|(_, hour)| hour.begins_at.hour() % 6 == 0) {
        let anchor = if i == 0 || i + 1 == hours.len() { "start" } else { "middle" };
        let x = LEFT + step(hours) * i as f64;
        let (y, label) = (BOTTOM + 18.0, clock(hour));
        let _ = write!(svg, r#"<text class="chart-axis" x="{x:.1}" y="{y}" text-anchor="{anchor}">{label}</text>"#);
    }
    svg
}

fn svg(title: &str, inside: &str) -> String {
    format!(r#"<svg viewBox="0 0 480 190" role="img" aria-label="{title}">{inside}</svg>"#)
}

pub fn throughput(hours: &[HourRow]) -> Chart {
    let title = "Pages and failures, last 24 hours";
    let top = round_up(hours.iter().map(|hour| (hour.pages + hour.failed) as f64).fold(0.0, f64::max));
    let mut inside = frame(hours, top, "");
    for (i, hour) in hours.iter().enumerate() {
        let (x, width) = (LEFT + step(hours) * i as f64 + 1.5, step(hours) - 3.0);
        let height = |count: i64| (BOTTOM - TOP) * count as f64 / top;
        let (pages, failed) = (height(hour.pages), height(hour.failed));
        let (label, y) = (clock(hour), BOTTOM - pages);
        let _ = write!(
            inside,
            r#"<g><title>{label}, pages: {}, failures: {}</title><rect class="chart-bar-1" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{pages:.1}"/><rect class="chart-bar-2" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{failed:.1}"/></g>"#,
            hour.pages,
            hour.failed,
            y - failed
        );
    }
    let (pages, failed) = hours.iter().fold((0, 0), |(p, f), hour| (p + hour.pages, f + hour.failed));
    Chart {
        title,
        svg: svg(title, &inside),
        summary: format!("Finished pages: {pages}; failed attempts: {failed}. Times are UTC."),
        series: [Series { key: "bar-1", label: "pages" }, Series { key: "bar-2", label: "failed attempts" }],
    }
}

pub fn latency(hours: &[HourRow]) -> Chart {
    let title = "Time that a job takes, last 24 hours";
    let most = hours.iter().filter_map(|hour| hour.p95).fold(0.0, f64::max);
    let top = round_up(most);
    let mut inside = frame(hours, top, " s");
    for (class, of) in [("chart-line-1", (|hour| hour.p50) as fn(&HourRow) -> Option<f64>), ("chart-line-2", |h| h.p95)]
    {
        let (mut path, mut draws) = (String::new(), false);
        for (i, hour) in hours.iter().enumerate() {
            // An hour without jobs breaks the line.
            let Some(value) = of(hour) else {
                draws = false;
                continue;
            };
            let (x, y) = (LEFT + step(hours) * (i as f64 + 0.5), BOTTOM - (BOTTOM - TOP) * value / top);
            // A stroke of no length shows an hour by itself.
            let _ = match draws {
                true => write!(path, "L{x:.1} {y:.1}"),
                false => write!(path, "M{x:.1} {y:.1}h0.1"),
            };
            draws = true;
        }
        let _ = write!(inside, r#"<path class="{class}" d="{path}"/>"#);
    }
    let summary = match most > 0.0 {
        true => format!("At worst 95 of 100 jobs of an hour took {} s or less.", figure(most)),
        false => "No job has ended in 24 hours.".to_owned(),
    };
    let series = [Series { key: "line-1", label: "half of them" }, Series { key: "line-2", label: "95 of 100" }];
    Chart { title, svg: svg(title, &inside), summary, series }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn hour(n: i64, pages: i64, failed: i64, p50: Option<f64>) -> HourRow {
        let begins_at = OffsetDateTime::UNIX_EPOCH + time::Duration::hours(n);
        HourRow { begins_at, pages, failed, p50, p95: p50.map(|p| 2.0 * p) }
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([0.0, 0.7, 1.0, 3.0, 21.0, 99.0, 100.0].map(round_up), [1.0, 1.0, 1.0, 5.0, 25.0, 100.0, 100.0]);
        assert_eq!([0.5, 2.0, 12.5].map(figure), ["0.5", "2", "12"]);
    }

    #[test]
    fn a_bar_is_as_high_as_its_count() {
        let chart = throughput(&[hour(0, 8, 2, None), hour(1, 0, 0, None)]);
        assert!(
            chart.svg.contains(r#"<rect class="chart-bar-1" x="41.5" y="40.0" width="213.0" height="120.0"/>"#),
            "{}",
            chart.svg
        );
        assert!(chart.svg.contains(r#"<rect class="chart-bar-2" x="41.5" y="10.0" width="213.0" height="30.0"/>"#));
        assert!(chart.svg.contains("00:00, pages: 8, failures: 2") && chart.summary.starts_with("Finished pages: 8;"));
    }

    #[test]
    fn hours_without_jobs_break_the_line() {
        let chart = latency(&[
            hour(0, 1, 0, Some(1.0)),
            hour(1, 0, 0, None),
            hour(2, 1, 0, Some(0.5)),
            hour(3, 1, 0, Some(1.0)),
        ]);
        assert!(chart.svg.contains("chart-line-1\" d=\"M94.0 85.0h0.1M310.0 122.5h0.1L418.0 85.0\""), "{}", chart.svg);
        assert_eq!(latency(&[]).summary, "No job has ended in 24 hours.");
    }
}
