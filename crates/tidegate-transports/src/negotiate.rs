//! Which of the representations of an address a client wants.

use tidegate_core::{ErrorCode, Problem};

/// What an address can be answered as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Representation {
    Json,
    Sse,
    Ndjson,
    Html,
    /// JSON, and the client means to poll: `as=poll`.
    Poll,
}

impl Representation {
    /// The words of `as=`.
    pub(crate) const WORDS: [(&'static str, Representation); 5] = [
        ("json", Representation::Json),
        ("sse", Representation::Sse),
        ("ndjson", Representation::Ndjson),
        ("poll", Representation::Poll),
        ("html", Representation::Html),
    ];

    fn of_media_type(text: &str) -> Option<Representation> {
        Some(match text {
            "application/json" | "application/*" | "*/*" => Representation::Json,
            "text/event-stream" => Representation::Sse,
            "application/x-ndjson" | "application/jsonl" | "application/ndjson" => Representation::Ndjson,
            "text/html" | "application/xhtml+xml" | "text/*" => Representation::Html,
            _ => return None,
        })
    }
}

/// Reads `Accept` (RFC 9110, section 12.5.1): the highest quality wins, among equals the first.
/// Without one, and for `*/*`, the answer is JSON.
pub(crate) fn accepted(accept: Option<&str>) -> Result<Representation, Problem> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(Representation::Json) };
    // As programs write it: one, and nothing else.
    if let Some(representation) = Representation::of_media_type(accept) {
        return Ok(representation);
    }
    let mut best: Option<(f32, Representation)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
        if let Some(representation) = Representation::of_media_type(&media_type)
            && quality > best.map_or(0.0, |(quality, _)| quality)
        {
            best = Some((quality, representation));
        }
    }
    best.map(|(_, representation)| representation)
        .ok_or_else(|| Problem::new(ErrorCode::NotAcceptable, format!("nothing in `Accept: {accept}` can be written")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_they_mean() {
        let cases = [
            (None, Representation::Json),
            (Some("*/*"), Representation::Json),
            (Some("text/event-stream"), Representation::Sse),
            (Some("application/x-ndjson"), Representation::Ndjson),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Representation::Html),
            (Some("application/json;q=0.5, text/event-stream"), Representation::Sse),
            (Some("image/png, */*;q=0.1"), Representation::Json),
        ];
        for (accept, wanted) in cases {
            assert_eq!(accepted(accept).expect("acceptable"), wanted, "{accept:?}");
        }
        assert_eq!(accepted(Some("image/png")).expect_err("refused").code, ErrorCode::NotAcceptable);
        assert!(accepted(Some("application/json;q=0")).is_err());
    }
}
