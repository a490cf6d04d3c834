//! The address of a channel as the config writes it: `markets/{symbol}/trades`.

use std::fmt;

use crate::address::{Address, AddressError, Pattern, SEGMENTS_MAX, canonical_segment, check_segment, decode_segment};

/// Literal segments and named parameters; a parameter stands for one whole segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    /// Canonical text.
    Literal(String),
    Parameter(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A literal segment that no address can have.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// `{}` or a name that is not an identifier.
    #[error("`{{{0}}}` is no parameter name: letters, digits and `_`, not first a digit")]
    Name(String),
    /// A brace inside a segment.
    #[error("a parameter stands for one whole segment; `{0}` mixes it with text")]
    Mixed(String),
    /// `{a}/{a}`.
    #[error("the parameter `{0}` stands twice")]
    Twice(String),
    /// The first segment begins with `_`, which is ours.
    #[error("addresses whose first segment begins with `_` are reserved")]
    Reserved,
}

impl Template {
    /// Reads the text of a config.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut segments = Vec::new();
        for part in text.split('/') {
            segments.push(Segment::parse(part)?);
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(AddressError::Deep.into());
        }
        match &segments[0] {
            Segment::Literal(first) if first.starts_with('_') => return Err(TemplateError::Reserved),
            _ => {}
        }
        let template = Template { text: text.to_owned(), segments };
        let names: Vec<&str> = template.parameters().collect();
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(TemplateError::Twice((*name).to_owned()));
        }
        Ok(template)
    }

    /// The text as the config has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether an address fits.
    pub fn fits(&self, address: &Address) -> bool {
        let mut parts = address.as_str().split('/');
        let fits = |segment: &Segment| match (segment, parts.next()) {
            (Segment::Literal(text), Some(part)) => text == part,
            (Segment::Parameter(_), part) => part.is_some(),
            (Segment::Literal(_), None) => false,
        };
        self.segments.iter().all(fits) && parts.next().is_none()
    }

    /// The parameters of an address that fits, decoded, in order; `None` if it does not fit.
    pub fn extract(&self, address: &Address) -> Option<Vec<(&str, String)>> {
        let mut parts = address.as_str().split('/');
        let mut found = Vec::new();
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => found.push((name.as_str(), decode_segment(part).ok()?)),
            }
        }
        parts.next().is_none().then_some(found)
    }

    /// Builds the address for parameter values, decoded; `value` returns `None` for a missing one.
    ///
    /// # Errors
    /// The name of the first parameter that is missing or cannot stand in an address, with why.
    pub fn render<'v>(
        &self,
        mut value: impl FnMut(&str) -> Option<&'v str>,
    ) -> Result<Address, (String, Option<AddressError>)> {
        let mut decoded: Vec<String> = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => {
                    decoded.push(decode_segment(text).map_err(|error| (text.clone(), Some(error)))?)
                }
                Segment::Parameter(name) => {
                    let text = value(name).ok_or_else(|| (name.clone(), None))?;
                    check_segment(decoded.len(), text).map_err(|error| (name.clone(), Some(error)))?;
                    decoded.push(text.to_owned());
                }
            }
        }
        Address::from_segments(decoded.iter().map(String::as_str)).map_err(|error| (self.text.clone(), Some(error)))
    }

    /// Whether a pattern can match an address of this template.
    pub fn meets(&self, pattern: &Pattern) -> bool {
        let parts: Vec<&str> = pattern.as_str().split('/').collect();
        parts.len() == self.segments.len()
            && parts.iter().zip(&self.segments).all(|(part, segment)| match segment {
                Segment::Literal(text) => *part == "*" || text == part,
                Segment::Parameter(_) => true,
            })
    }

    /// The parameters as a pattern that it [meets](Template::meets) has them, decoded, in order; `None` for those that the
    /// pattern leaves open.
    pub fn bound(&self, pattern: &Pattern) -> Vec<(&str, Option<String>)> {
        let parts = pattern.as_str().split('/').map(|part| (part != "*").then_some(part));
        let pairs = self.segments.iter().zip(parts);
        let found = pairs.filter_map(|(segment, part)| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some((name.as_str(), part.and_then(|part| decode_segment(part).ok()))),
        });
        found.collect()
    }

    /// Whether one address can fit both templates, which would make its channel a matter of luck.
    pub fn overlaps(&self, other: &Template) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                _ => true,
            })
    }

    /// The pattern that matches every address of this template: each parameter a `*`.
    pub fn pattern(&self) -> String {
        let parts: Vec<&str> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Parameter(_) => "*",
            })
            .collect();
        parts.join("/")
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Segment, TemplateError> {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && name.chars().next().is_some_and(|c| !c.is_ascii_digit());
            return if identifier {
                Ok(Segment::Parameter(name.to_owned()))
            } else {
                Err(TemplateError::Name(name.to_owned()))
            };
        }
        if part.contains(['{', '}']) {
            return Err(TemplateError::Mixed(part.to_owned()));
        }
        Ok(Segment::Literal(canonical_segment(part)?))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Target;

    fn template(text: &str) -> Template {
        Template::parse(text).expect(text)
    }

    #[test]
    fn parameters_come_out_decoded_and_go_in_encoded() {
        let rooms = template("rooms/{room}/messages");
        let address = Address::parse("rooms/a%20b/messages").expect("address");
        assert_eq!(rooms.extract(&address), Some(vec![("room", "a b".to_owned())]));
        assert_eq!(rooms.render(|_| Some("a b")).expect("render"), address);
        assert_eq!(rooms.render(|_| None), Err(("room".to_owned(), None)));
        assert_eq!(rooms.render(|_| Some("a/b")), Err(("room".to_owned(), Some(AddressError::Slash))));
    }

    #[test]
    fn overlap_is_found_where_one_address_fits_both() {
        assert!(template("a/{x}").overlaps(&template("{y}/b")));
        assert!(!template("a/{x}").overlaps(&template("b/{x}")));
        assert!(!template("a/{x}").overlaps(&template("a/{x}/c")));
    }

    #[test]
    fn a_pattern_meets_a_template() {
        let Ok(Target::Pattern(pattern)) = Target::parse("rooms/*/messages") else { panic!("pattern") };
        assert!(template("rooms/{room}/messages").meets(&pattern));
        assert!(!template("rooms/{room}/members").meets(&pattern));
    }

    #[test]
    fn broken_templates_say_why() {
        assert!(matches!(Template::parse("a/{x}b"), Err(TemplateError::Mixed(_))));
        assert!(matches!(Template::parse("a/{1}"), Err(TemplateError::Name(_))));
        assert!(matches!(Template::parse("{a}/{a}"), Err(TemplateError::Twice(_))));
        assert!(matches!(Template::parse("_ws"), Err(TemplateError::Reserved)));
        assert!(matches!(Template::parse("%5Fws"), Err(TemplateError::Reserved)));
        assert!(Template::parse("a/_b/{_c}").is_ok());
        assert!(matches!(Template::parse("a//b"), Err(TemplateError::Address(AddressError::Empty))));
    }
}
