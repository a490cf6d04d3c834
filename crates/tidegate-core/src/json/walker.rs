//! Walks through a text that [`super::validate`] has passed, and checks nothing again: views of a
//! watch look into every event. On any other text it ends early, and never panics.

/// A place in a text, before a value or between two.
pub(crate) struct Walker<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Walker<'t> {
    /// Stands before the value that is all of `text`.
    pub(crate) fn new(text: &'t [u8]) -> Walker<'t> {
        Walker { text, at: 0 }
    }

    /// The members of an object, each name with its quotes; none of another value.
    pub(crate) fn members(object: &'t [u8]) -> impl Iterator<Item = (&'t [u8], &'t [u8])> {
        let mut walker = Walker::into(object, b'{');
        std::iter::from_fn(move || walker.name().map(|name| (name, walker.value())))
    }

    /// The elements of an array; none of another value.
    pub(crate) fn elements(array: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
        let mut walker = Walker::into(array, b'[');
        std::iter::from_fn(move || walker.element().then(|| walker.value()))
    }

    fn into(text: &'t [u8], open: u8) -> Walker<'t> {
        let at = if text.first() == Some(&open) { 1 } else { text.len() };
        Walker { text, at }
    }

    /// The byte that the walker stands before; 0 at the end.
    pub(crate) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Steps into the object or array that the walker stands before.
    pub(crate) fn enter(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
    }

    /// The name of the next member, with its quotes; the walker stands before its value then. After
    /// the last one it stands behind the object.
    pub(crate) fn name(&mut self) -> Option<&'t [u8]> {
        if !self.next(b'}') {
            return None;
        }
        let start = self.at;
        self.string();
        let end = self.at;
        while matches!(self.peek(), b':' | b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        Some(&self.text[start..end])
    }

    /// Whether there is another element; the walker stands before it then, else behind the array.
    pub(crate) fn element(&mut self) -> bool {
        self.next(b']')
    }

    /// Passes the value that the walker stands before.
    pub(crate) fn value(&mut self) -> &'t [u8] {
        let start = self.at;
        match self.peek() {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            _ => {
                self.enter();
                while !matches!(self.peek(), b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' | 0) {
                    self.at += 1;
                }
            }
        }
        &self.text[start..self.at]
    }

    /// Goes to what comes next; past the closing `close` if nothing does.
    fn next(&mut self, close: u8) -> bool {
        while matches!(self.peek(), b',' | b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        let more = self.at < self.text.len() && self.peek() != close;
        if !more {
            self.enter();
        }
        more
    }

    fn nested(&mut self) {
        let mut open = 0_usize;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.enter();
        loop {
            self.at += plain(&self.text[self.at..]);
            match self.peek() {
                b'\\' => self.at = (self.at + 2).min(self.text.len()),
                _ => return self.enter(),
            }
        }
    }
}

/// How many bytes come before the first quote or backslash; all, if there is none.
fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Names and most strings are shorter than two words, so eight bytes at once do more than sixteen.
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ repeated(b'"')) | zero_bytes(word ^ repeated(b'\\'));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let begin = bytes.len() - rest.len();
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).map_or(bytes.len(), |at| begin + at)
}

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of the first byte that is zero, and of none before it.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeated(0x01)) & !word & repeated(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(object: &str) -> Vec<(&str, &str)> {
        let text = |raw| std::str::from_utf8(raw).expect("UTF-8");
        Walker::members(object.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn members_and_elements_are_found_as_they_are_written() {
        let object = r#"{ "a" : 1.50 ,"b\"}":[1,{"c":"]"}],"long name of a member":"a long text \\","":null}"#;
        let expected = [
            (r#""a""#, "1.50"),
            (r#""b\"}""#, r#"[1,{"c":"]"}]"#),
            (r#""long name of a member""#, r#""a long text \\""#),
            (r#""""#, "null"),
        ];
        assert_eq!(members(object), expected);
        let elements: Vec<&[u8]> = Walker::elements(b"[ 1 , [] ,{\"a\":\"]\"},\"\",true]").collect();
        assert_eq!(elements, [&b"1"[..], b"[]", b"{\"a\":\"]\"}", b"\"\"", b"true"]);
        assert!(members("{}").is_empty() && members("[1]").is_empty() && members("").is_empty());
    }

    #[test]
    fn any_text_has_an_end() {
        for text in
            ["{", "[", "[}", "{]", "{\"", "{\"a", "{\"a\\", "{\"a\":", "[,]", "[[}", "{:}", "{1:2}", "]", "[\0\0"]
        {
            let all = Walker::members(text.as_bytes()).count() + Walker::elements(text.as_bytes()).count();
            assert!(all <= text.len(), "{text}");
        }
    }
}
