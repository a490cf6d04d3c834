//! The page and the browser client, part of the binary.

use tidegate_transports::{Asset, Assets};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// All files; `/` is the page, at every address too.
pub(crate) fn assets() -> Assets {
    let file = |path, content_type, body| Asset { path, content_type, body };
    Assets(vec![
        file("/", "text/html; charset=utf-8", include_bytes!("../../../portal/index.html")),
        file("/tidegate.js", JAVASCRIPT, include_bytes!("../../../portal/tidegate.js")),
        file("/_assets/page.js", JAVASCRIPT, include_bytes!("../../../portal/page.js")),
        file("/_assets/view.js", JAVASCRIPT, include_bytes!("../../../portal/view.js")),
        file("/_assets/filter.js", JAVASCRIPT, include_bytes!("../../../portal/filter.js")),
        file("/_assets/proof.js", JAVASCRIPT, include_bytes!("../../../portal/proof.js")),
        file("/_assets/page.css", "text/css; charset=utf-8", include_bytes!("../../../portal/page.css")),
        file("/_assets/icon.svg", "image/svg+xml", include_bytes!("../../../portal/icon.svg")),
    ])
}
