//! The chart: the time of a message by its size, as a multiple of the time of memcpy. Each operation has a panel.

use std::fmt::Write;

use anyhow::Result;

use super::figures::{Figures, label};
use super::participants::{LIMIT, OURS, is_peer};

/// The groups of the panels, with their titles.
const PANELS: [(&str, &str); 2] =
    [("receive: server, binary", "Received by a server"), ("send: masked, borrowed", "Sent by a client, masked")];

/// The colours of the peers. Ours is the colour of text.
const COLOURS: [&str; 9] =
    ["#e6550d", "#3182bd", "#31a354", "#9467bd", "#8c6d31", "#d6616b", "#17a2b8", "#999999", "#bcbd22"];

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 292.0;
/// The distance between the left edges of panels.
const STRIDE: f64 = 430.0;
const LEFT: f64 = 48.0;
const PANEL: f64 = 360.0;
/// The end of the axis. Slower participants are drawn there.
const RATIO_MAX: f64 = 256.0;

/// Draws the chart as SVG, for light and dark backgrounds.
pub(super) fn draw(figures: &Figures) -> Result<String> {
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<style>text {{ fill: #24292f }} .ours {{ stroke: #24292f; fill: #24292f }} .grid {{ stroke: #8c959f; opacity: .35 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .ours {{ stroke: #e6edf3; fill: #e6edf3 }} }}</style>"#
    )?;
    for (i, (group, title)) in PANELS.iter().enumerate() {
        panel(&mut svg, figures, group, title, LEFT + STRIDE * i as f64)?;
    }
    legend(&mut svg, figures)?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn panel(svg: &mut String, figures: &Figures, group: &str, title: &str, left: f64) -> Result<()> {
    let sizes: Vec<_> = figures.sizes(group).into_iter().filter(|&size| size != "0").collect();
    let x = |i: usize| left + PANEL * (i as f64 + 0.5) / sizes.len().max(1) as f64;
    writeln!(svg, r#"<text x="{left}" y="20" font-size="14" font-weight="bold">{title}</text>"#)?;
    writeln!(svg, r#"<text x="{left}" y="36">multiples of the time of memcpy; lower is better</text>"#)?;
    for power in 0..=8 {
        let ratio = 1 << power;
        let (y, right) = (height(f64::from(ratio)), left + PANEL);
        writeln!(svg, r#"<line class="grid" x1="{left}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#)?;
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{ratio}</text>"#, left - 6.0, y + 4.0)?;
    }
    for (i, size) in sizes.iter().enumerate() {
        let (x, y) = (x(i), BOTTOM + 18.0);
        writeln!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{}</text>"#, label(size))?;
    }
    for (name, style) in lines(figures) {
        let points = sizes.iter().enumerate().filter_map(|(i, size)| {
            let ratio = figures.get(group, name, size)?.ratios(figures.get(group, LIMIT, size)?).median();
            Some((x(i), height(ratio)))
        });
        let points: Vec<_> = points.collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(svg, r#"<g {style}><polyline points="{}" style="fill: none"/>"#, path.join(" "))?;
        for (x, y) in points {
            writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.5"/>"#)?;
        }
        svg.push_str("</g>\n");
    }
    Ok(())
}

/// Returns the participants to draw, with their styles. Ours is last, and so above the others.
fn lines(figures: &Figures) -> Vec<(&str, String)> {
    let (group, _) = PANELS[0];
    let peers = figures.participants(group).into_iter().filter(|name| is_peer(name));
    let style = |colour| format!(r#"stroke="{colour}" fill="{colour}" stroke-width="1.5""#);
    let mut lines: Vec<_> = peers.zip(COLOURS.iter().map(style)).collect();
    lines.push((OURS, r#"class="ours" stroke-width="3""#.to_owned()));
    lines
}

fn legend(svg: &mut String, figures: &Figures) -> Result<()> {
    for (i, (name, style)) in lines(figures).iter().rev().enumerate() {
        let (x, y) = (LEFT + 160.0 * (i % 5) as f64, BOTTOM + 56.0 + 24.0 * (i / 5) as f64);
        writeln!(svg, r#"<g {style}><line x1="{x}" y1="{y}" x2="{}" y2="{y}"/></g>"#, x + 20.0)?;
        writeln!(svg, r#"<text x="{}" y="{}">{name}</text>"#, x + 26.0, y + 4.0)?;
    }
    Ok(())
}

/// Returns the height of a multiple of the time of memcpy on the logarithmic axis.
fn height(ratio: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * ratio.clamp(1.0, RATIO_MAX).log2() / RATIO_MAX.log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_logarithmic() {
        assert_eq!((height(1.0), height(RATIO_MAX)), (BOTTOM, TOP));
        assert_eq!(height(16.0), f64::midpoint(BOTTOM, TOP));
    }
}
