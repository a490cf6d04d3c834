//! How tokens may be signed, and which keys belong to which way.

use jsonwebtoken::Algorithm as Library;

/// A signature algorithm of RFC 7518 and RFC 8037. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// All.
    pub const ALL: [Algorithm; 12] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The `alg` of a header, to the letter.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Its name in a header.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// Whether it is a code of a shared secret, and no signature that others can check.
    pub fn is_secret(self) -> bool {
        Self::OF_SECRET.contains(&self)
    }

    pub(crate) const OF_SECRET: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    pub(crate) const OF_RSA: &[Algorithm] =
        &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

    /// A secret must have at least as many bytes as the code (RFC 7518, section 3.2).
    pub(crate) fn secret_bytes_min(self) -> usize {
        match self {
            Algorithm::HS256 => 32,
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ => 0,
        }
    }

    pub(crate) fn library(self) -> Library {
        match self {
            Algorithm::HS256 => Library::HS256,
            Algorithm::HS384 => Library::HS384,
            Algorithm::HS512 => Library::HS512,
            Algorithm::RS256 => Library::RS256,
            Algorithm::RS384 => Library::RS384,
            Algorithm::RS512 => Library::RS512,
            Algorithm::PS256 => Library::PS256,
            Algorithm::PS384 => Library::PS384,
            Algorithm::PS512 => Library::PS512,
            Algorithm::ES256 => Library::ES256,
            Algorithm::ES384 => Library::ES384,
            Algorithm::EdDSA => Library::EdDSA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_headers_and_to_the_letter() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
            assert_eq!(format!("{:?}", algorithm.library()), algorithm.as_str());
        }
        for wrong in ["none", "None", "nOnE", "", "hs256", "HS256 ", "ES512"] {
            assert_eq!(Algorithm::parse(wrong), None, "{wrong}");
        }
    }
}
