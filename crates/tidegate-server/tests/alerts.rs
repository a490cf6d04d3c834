//! The alert rules that are shipped fit the metrics that are served.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

#[test]
fn every_metric_of_the_alerts_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts.yml");
    let text = std::fs::read_to_string(path).expect("the rules");
    let rules: Value = serde_saphyr::from_str(&text).expect("YAML");
    let page = tidegate_server::docs::pages().into_iter().find(|page| page.path == "docs/metrics.md").expect("page");
    // By name: the labels, as the page has them.
    let served: BTreeMap<&str, &str> = page.text.lines().filter_map(row).collect();

    let groups = rules["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert!(rules.len() > 5, "the rules are gone");
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        for (part, field) in [("labels", "severity"), ("annotations", "summary"), ("annotations", "description")] {
            assert!(rule[part][field].is_string(), "{name} has no {field}");
        }
        let expression = rule["expr"].as_str().expect("an expression");
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<&str> = words.filter(|word| word.starts_with("tidegate_")).collect();
        assert!(!metrics.is_empty(), "{name} looks at nothing of ours");
        for metric in metrics {
            assert!(served.contains_key(metric), "{name} looks at {metric}, which is not served");
        }
        for (metric, label) in expression.split("tidegate_").filter_map(matcher) {
            let metric = format!("tidegate_{metric}");
            let labels = served[&*metric];
            assert!(
                labels.contains(&format!("`{label}`")),
                "{name} looks at `{label}` of {metric}, which has {labels}"
            );
        }
    }
}

/// `| `name` | kind | labels | meaning |`
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.split(" | ");
    let name = cells.next()?.strip_prefix("| `")?.strip_suffix('`')?;
    Some((name, cells.nth(1)?))
}

/// The metric, without its beginning, and the label that it is matched by, if by one: `…{label!="value"}`.
fn matcher(expression: &str) -> Option<(&str, &str)> {
    let (metric, rest) = expression.split_once('{')?;
    let label = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    metric.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some((metric, label))
}
