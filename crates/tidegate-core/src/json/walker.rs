//! Walks through a text that [`super::validate`] has passed, and checks nothing again: views of a
//! watch look into every event. On any other text it ends early, and never panics.

use std::borrow::Cow;

use super::string;

/// A member of an object.
pub(crate) struct Member<'t> {
    pub(crate) name: Name<'t>,
    pub(crate) value: &'t [u8],
    /// From its name to the end of its value.
    text: &'t [u8],
}

/// The name of a member, as it is written.
#[derive(Clone, Copy)]
pub(crate) struct Name<'t> {
    at: usize,
    /// With its quotes.
    pub(crate) quoted: &'t [u8],
    /// Whether there are escapes in it, so that other names may be the same.
    pub(crate) escaped: bool,
}

/// A place in a text, before a value or between two.
pub(crate) struct Walker<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Name<'t> {
    /// Its text: names are compared, not shown, so these are bytes.
    pub(crate) fn text(self) -> Cow<'t, [u8]> {
        if self.escaped {
            Cow::Owned(string(self.quoted).unwrap_or_default().into_bytes())
        } else {
            Cow::Borrowed(self.inner())
        }
    }

    /// Between its quotes; that is its text if there are no escapes in it.
    pub(crate) fn inner(self) -> &'t [u8] {
        self.quoted.get(1..self.quoted.len().saturating_sub(1)).unwrap_or_default()
    }
}

impl<'t> Walker<'t> {
    /// Stands before the value that is all of `text`.
    pub(crate) fn new(text: &'t [u8]) -> Walker<'t> {
        Walker { text, at: 0 }
    }

    /// The members of an object; none of another value.
    pub(crate) fn members(object: &'t [u8]) -> impl Iterator<Item = Member<'t>> {
        let mut walker = Walker::in_object(object);
        std::iter::from_fn(move || walker.member())
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

    /// Stands in the object that is all of `text`; at the end if it is another value.
    pub(crate) fn in_object(text: &'t [u8]) -> Walker<'t> {
        Walker::into(text, b'{')
    }

    /// The next member; `None` behind the last one.
    pub(crate) fn member(&mut self) -> Option<Member<'t>> {
        let name = self.name()?;
        let value = self.value();
        Some(Member { name, value, text: &self.text[name.at..self.at] })
    }

    /// Steps over the next member if it is written exactly like this one of another object: comparing
    /// bytes takes a third of finding where a member ends.
    pub(crate) fn passes(&mut self, member: &Member<'_>) -> bool {
        if !self.next(b'}') {
            return false;
        }
        let rest = &self.text[self.at..];
        // Behind `1` may be another digit.
        let ends = matches!(rest.get(member.text.len()), Some(b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n'));
        let passes = ends && rest.starts_with(member.text);
        self.at += if passes { member.text.len() } else { 0 };
        passes
    }

    /// Steps into the object or array that the walker stands before.
    pub(crate) fn enter(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
    }

    /// The name of the next member; the walker stands before its value then. After the last one it stands
    /// behind the object.
    pub(crate) fn name(&mut self) -> Option<Name<'t>> {
        if !self.next(b'}') {
            return None;
        }
        let start = self.at;
        let escaped = self.string();
        let end = self.at;
        while matches!(self.peek(), b':' | b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        Some(Name { at: start, quoted: &self.text[start..end], escaped })
    }

    /// Whether there is another element; the walker stands before it then, else behind the array.
    pub(crate) fn element(&mut self) -> bool {
        self.next(b']')
    }

    /// Passes the value that the walker stands before.
    pub(crate) fn value(&mut self) -> &'t [u8] {
        let start = self.at;
        match self.peek() {
            b'"' => drop(self.string()),
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

    /// Whether there are escapes in it.
    fn string(&mut self) -> bool {
        let mut escaped = false;
        self.enter();
        loop {
            self.at += plain(&self.text[self.at..]);
            if self.peek() != b'\\' {
                self.enter();
                return escaped;
            }
            escaped = true;
            self.at = (self.at + 2).min(self.text.len());
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
        Walker::members(object.as_bytes()).map(|member| (text(member.name.quoted), text(member.value))).collect()
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
    fn a_member_is_passed_where_it_is_written_the_same() {
        let member = Walker::in_object(b"{\"a\":1}").member().expect("a member");
        for (object, passes) in
            [("{\"a\":1}", true), ("{ \"a\":1 ,\"b\":2}", true), ("{\"a\":12}", false), ("{}", false)]
        {
            assert_eq!(Walker::in_object(object.as_bytes()).passes(&member), passes, "{object}");
        }
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
