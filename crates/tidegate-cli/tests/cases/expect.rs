//! What was expected against what came: names that are bound once and then must be the same.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Values of the names of a case.
#[derive(Default)]
pub struct Names {
    bound: BTreeMap<String, Value>,
}

impl Names {
    /// Replaces each `$name` in a text; a name that is not bound is a mistake in the case.
    pub fn fill(&self, text: &str) -> anyhow::Result<String> {
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let value = self.bound.get(name).with_context(|| format!("`${name}` is not bound yet"))?;
            filled.push_str(value.as_str().with_context(|| format!("`${name}` is {value}, no text"))?);
            filled.push_str(rest);
        }
        Ok(filled)
    }

    /// Binds a name, or compares.
    pub fn bind(&mut self, name: &str, value: &Value) -> anyhow::Result<()> {
        match self.bound.get(name) {
            Some(bound) => ensure!(bound == value, "`${name}` is {bound}, and here {value}"),
            None => drop(self.bound.insert(name.to_owned(), value.clone())),
        }
        Ok(())
    }

    /// Whether `actual` is what was expected; objects may have more members than are named.
    pub fn check(&mut self, expected: &Value, actual: Option<&Value>) -> anyhow::Result<()> {
        if let Some(text) = expected.as_str() {
            return self.check_text(text, actual);
        }
        let actual = actual.context("is not there")?;
        match (expected, actual) {
            (Value::Object(members), Value::Object(own)) => {
                for (name, member) in members {
                    self.check(member, own.get(name)).with_context(|| format!("`{name}`"))?;
                }
            }
            (Value::Array(elements), Value::Array(own)) => {
                for (index, element) in elements.iter().enumerate() {
                    self.check(element, own.get(index)).with_context(|| format!("element {index}"))?;
                }
                ensure!(own.len() == elements.len(), "{} elements, expected {}", own.len(), elements.len());
            }
            (Value::Number(expected), Value::Number(actual)) => {
                ensure!(expected.as_f64() == actual.as_f64(), "is {actual}, expected {expected}");
            }
            _ => ensure!(expected == actual, "is {actual}, expected {expected}"),
        }
        Ok(())
    }

    fn check_text(&mut self, expected: &str, actual: Option<&Value>) -> anyhow::Result<()> {
        match (expected, actual) {
            ("$none", None) => return Ok(()),
            ("$none", Some(actual)) => bail!("is there: {actual}"),
            _ => {}
        }
        let actual = actual.context("is not there")?;
        if expected == "$any" {
            return Ok(());
        }
        if let Some(name) = expected.strip_prefix('$') {
            return self.bind(name, actual);
        }
        let text = actual.as_str().with_context(|| format!("is {actual}, expected `{expected}`"))?;
        match expected.strip_prefix('~') {
            Some(part) => ensure!(text.contains(part), "`{text}` does not contain `{part}`"),
            None => ensure!(text == expected, "is `{text}`, expected `{expected}`"),
        }
        Ok(())
    }
}
