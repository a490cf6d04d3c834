//! Text that must never be seen: a token, a key, a client's secret.

/// Says nothing of itself in a log. It has no `==`: what compares secrets does so in constant time,
/// by their hashes.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<Box<str>>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that needs it: an API key is shown once to whom it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
