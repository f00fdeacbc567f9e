//! MODEL_CARD.md beside a model: Markdown, with metadata before it as the Hugging Face Hub's model cards have it.

use serde::{Deserialize, Serialize};

/// What people are shown of a card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelCard {
    /// The first paragraph, as plain text.
    pub summary: String,
    pub figures: Vec<Figure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: String,
}

/// `model-index` of the metadata: results on datasets, with their metrics.
#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "model-index")]
    index: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    results: Vec<Results>,
}

#[derive(Deserialize)]
struct Results {
    dataset: Option<Named>,
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Metric {
    name: Option<String>,
    r#type: String,
    value: serde_yaml_ng::Value,
}

impl ModelCard {
    /// What cannot be read is left out: a card is for people.
    pub fn parse(text: &str) -> Self {
        let parts = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
        let (metadata, body) = parts.unwrap_or(("", text));
        let metadata: Metadata = serde_yaml_ng::from_str(metadata).unwrap_or_default();
        let results = metadata.index.into_iter().flat_map(|entry| entry.results);
        let figures = results.flat_map(|result| {
            let on = result.dataset.map(|dataset| format!(" ({})", dataset.name)).unwrap_or_default();
            result.metrics.into_iter().filter_map(move |metric| {
                let value = match metric.value {
                    serde_yaml_ng::Value::Number(number) => number.to_string(),
                    serde_yaml_ng::Value::String(text) => text,
                    _ => return None,
                };
                Some(Figure { name: metric.name.unwrap_or(metric.r#type) + &on, value })
            })
        });
        Self { summary: first_paragraph(body), figures: figures.collect() }
    }
}

/// Without headings, and without what Markdown adds to words.
fn first_paragraph(body: &str) -> String {
    let lines = body.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let paragraph: Vec<&str> = lines.take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    without_links(&paragraph.join(" ").replace(['`', '*'], "")).chars().take(500).collect()
}

/// `[text](address)` is the text.
fn without_links(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?.1))) {
            Some((name, rest)) => plain.extend([name, rest]),
            None => plain.extend(["[", part]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card() {
        let text = "---\nlicense: mit\nmodel-index:\n- name: m\n  results:\n  - dataset: {name: Pages, type: pages}\n    metrics:\n    \
                    - {type: map, name: AP, value: 0.5}\n    - {type: other, value: 12 ms}\n---\n# Title\n\nA *small*\n`model`, [not large](../l.md) [x].\n\nMore.\n";
        let card = ModelCard::parse(text);
        assert_eq!(card.summary, "A small model, not large [x].");
        let figures: Vec<_> = card.figures.iter().map(|f| (f.name.as_str(), f.value.as_str())).collect();
        assert_eq!(figures, [("AP (Pages)", "0.5"), ("other (Pages)", "12 ms")]);
        assert_eq!(ModelCard::parse("---\n: [\n---\n# Only a title").figures, []);
        assert_eq!(ModelCard::parse(""), ModelCard::default());
    }
}
