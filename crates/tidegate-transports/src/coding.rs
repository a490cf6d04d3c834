//! Which content coding a client wants (RFC 9110, section 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use tidegate_core::{ErrorCode, Problem};
use tidegate_wire::Coding;

/// How much a client wants each, in thousandths; 0 is not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Accepted {
    gzip: u16,
    zstd: u16,
    identity: Wanted,
}

/// Whether a client takes bytes as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// It said how much.
    Named(u16),
    /// It said nothing, which is yes, after all that it named.
    Unnamed,
}

impl Accepted {
    /// Reads `Accept-Encoding`. What is no such list says nothing, member by member.
    pub(crate) fn read(headers: &HeaderMap) -> Accepted {
        let (mut gzip, mut zstd, mut identity, mut any) = (None, None, None, None);
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for member in values.flat_map(|value| value.split(',')) {
            let (name, quality) = match member.split_once(';') {
                None => (member, Some(1_000)),
                Some((name, parameter)) => (name, quality(parameter)),
            };
            let Some(quality) = quality else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(quality),
                "zstd" => zstd = Some(quality),
                "identity" => identity = Some(quality),
                "*" => any = Some(quality),
                _ => {}
            }
        }
        let named = |own: Option<u16>| own.or(any).unwrap_or(0);
        let identity = match (identity, any) {
            (Some(quality), _) => Wanted::Named(quality),
            // A star is for all that are not named; only one that refuses them says something of this.
            (None, Some(0)) => Wanted::Named(0),
            (None, _) => Wanted::Unnamed,
        };
        Accepted { gzip: named(gzip), zstd: named(zstd), identity }
    }

    /// Whether bytes as they are will do.
    pub(crate) fn plain(self) -> bool {
        self.identity != Wanted::Named(0)
    }

    /// The coding to use where all are to be had, or only none at all; `first` is that of two that are
    /// wanted equally.
    ///
    /// # Errors
    /// `not-acceptable` where the client takes none of them.
    pub(crate) fn choose(self, compress: bool, first: Coding) -> Result<Coding, Problem> {
        let (gzip, zstd) = if compress { (self.gzip, self.zstd) } else { (0, 0) };
        let best = match zstd > gzip || (zstd == gzip && first == Coding::Zstd) {
            true => (zstd, Coding::Zstd),
            false => (gzip, Coding::Gzip),
        };
        match (best, self.identity) {
            ((0, _), Wanted::Named(0)) => {
                Err(Problem::new(ErrorCode::NotAcceptable, "`Accept-Encoding` leaves nothing that can be written")
                    .hint("accept gzip, zstd or identity"))
            }
            ((0, _), _) => Ok(Coding::Identity),
            ((quality, _), Wanted::Named(identity)) if identity > quality => Ok(Coding::Identity),
            ((_, coding), _) => Ok(coding),
        }
    }
}

/// A weight as RFC 9110, section 12.4.2, has it, in thousandths; `None` if it is something else.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{part:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(values: &[&str]) -> Option<Coding> {
        chosen_of(values, Coding::Zstd)
    }

    fn chosen_of(values: &[&str], first: Coding) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).expect("a value"));
        }
        Accepted::read(&headers).choose(true, first).ok()
    }

    #[test]
    fn clients_get_what_they_mean() {
        let (plain, gzip, zstd) = (Some(Coding::Identity), Some(Coding::Gzip), Some(Coding::Zstd));
        let cases: &[(&[&str], Option<Coding>)] = &[
            (&[], plain),
            (&[""], plain),
            (&["gzip"], gzip),
            (&["GZIP"], gzip),
            (&["x-gzip"], gzip),
            (&["gzip, deflate, br, zstd"], zstd),
            (&["gzip, deflate, br"], gzip),
            (&["gzip", "zstd"], zstd),
            (&["gzip;q=1.0, zstd;q=0.5"], gzip),
            (&["gzip ; Q=0.2 , zstd; q=0.1"], gzip),
            (&["br"], plain),
            (&["*"], zstd),
            (&["*;q=0.5, zstd;q=0"], gzip),
            (&["identity"], plain),
            (&["identity;q=0.5, gzip;q=0.4"], plain),
            (&["identity;q=0.4, gzip;q=0.4"], gzip),
            (&["gzip;q=0"], plain),
            (&["gzip;q=0, identity;q=0"], None),
            (&["identity;q=0"], None),
            (&["*;q=0"], None),
            (&["*;q=0, gzip"], gzip),
            (&["*;q=0, identity;q=0.001"], plain),
        ];
        for (values, wanted) in cases {
            assert_eq!(chosen(values), *wanted, "{values:?}");
        }
        for (value, wanted) in [("*", gzip), ("zstd, gzip", gzip), ("zstd", zstd), ("gzip;q=0.9, zstd", zstd)] {
            assert_eq!(chosen_of(&[value], Coding::Gzip), wanted, "{value}");
        }
    }

    #[test]
    fn what_is_no_list_of_codings_says_nothing() {
        let long = "gzip;q=0.".to_owned() + &"9".repeat(10_000);
        let many = "x,".repeat(10_000);
        for value in [
            "gzip;q=2",
            "gzip;q=inf",
            "gzip;q=NaN",
            "gzip;q=-1",
            "gzip;q=0.9999",
            "gzip;q=",
            "gzip;",
            "gzip;level=9",
            ";;;,,,==",
            "gzip gzip",
            &long,
            &many,
        ] {
            assert_eq!(chosen(&[value]), Some(Coding::Identity), "{value:.40}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_bytes(b"gzip\xff").expect("a value"));
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
        assert_eq!(Accepted::read(&headers).choose(true, Coding::Zstd).ok(), Some(Coding::Zstd));
    }

    #[test]
    fn without_compression_only_who_insists_is_refused() {
        let read = |value: &'static str| {
            Accepted::read(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
                .choose(false, Coding::Zstd)
        };
        assert_eq!(read("gzip, zstd").ok(), Some(Coding::Identity));
        assert_eq!(read("gzip, identity;q=0").expect_err("refused").code, ErrorCode::NotAcceptable);
    }
}
