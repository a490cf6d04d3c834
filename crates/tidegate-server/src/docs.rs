//! Generated pages: what the code knows best about itself.

use serde_json::Value;

use crate::{config, metrics};

/// One page, and where it stands in the repository.
pub struct Page {
    /// From the root of the repository.
    pub path: &'static str,
    /// Its text.
    pub text: String,
}

/// All pages that are made of the server's own tables.
pub fn pages() -> Vec<Page> {
    let page = |path, text| Page { path, text };
    vec![
        page("protocol/schemas/config.schema.json", pretty(&config::json_schema())),
        page("protocol/schemas/frame.schema.json", pretty(&frame_schema())),
        page("docs/config.md", config::reference()),
        page("docs/metrics.md", metrics::page()),
    ]
}

fn frame_schema() -> Value {
    schemars::schema_for!(tidegate_core::frame::schema::WireFrame).to_value()
}

fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}
