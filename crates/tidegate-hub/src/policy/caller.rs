//! Who asks, as policies see it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_cel::{Json, Map, Shared, Value};
use tidegate_core::{Millis, Principal, Problem, json};
use tidegate_gate::StepUp;

/// The largest claims of a caller. They are folded into row rules, which live as long as watches do.
const CLAIMS_BYTES_MAX: usize = 16 * 1024;

/// Who asks: the claims about the caller that were verified. Cheap to clone; claims are never printed.
#[derive(Clone, Default)]
pub struct Caller {
    /// `None`: nothing is known.
    claims: Option<Arc<Value<'static>>>,
    /// Whose they are; `None`: of nobody who has signed in.
    principal: Option<Principal>,
}

/// Why claims are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// They are no JSON, or no object.
    #[error("claims are a JSON object")]
    NoObject,
    /// They are too large.
    #[error("claims have at most {CLAIMS_BYTES_MAX} bytes")]
    TooLarge,
}

/// What an anonymous caller claims.
static NOTHING: Value<'static> = Value::Map(Map::Values(Shared::Borrowed(&[])));

impl Caller {
    /// Somebody of whom nothing is known: `claims` is empty.
    pub const fn anonymous() -> Caller {
        Caller { claims: None, principal: None }
    }

    /// Whom the gate has identified.
    ///
    /// # Errors
    /// What is claimed is too large.
    pub fn of(principal: Principal) -> Result<Caller, ClaimsError> {
        if principal.is_anonymous() {
            return Ok(Caller::anonymous());
        }
        let claims = principal.derive(|| read(principal.claims().into()))?;
        Ok(Caller { claims: Some(claims), principal: Some(principal) })
    }

    /// Somebody of whom this is known, a JSON object.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn with_claims(claims: impl Into<Bytes>) -> Result<Caller, ClaimsError> {
        Ok(Caller { claims: Some(Arc::new(read(claims.into())?)), principal: None })
    }

    /// Whether nothing is known.
    pub fn is_anonymous(&self) -> bool {
        self.claims.is_none()
    }

    /// Whether its sign-in is strong and recent enough.
    pub(super) fn enough(&self, requires: &StepUp, now: Millis) -> Result<(), Problem> {
        if requires.is_nothing() {
            return Ok(());
        }
        let checked = match &self.principal {
            Some(principal) => requires.check(principal, now.seconds()),
            None => requires.check(&Principal::anonymous(), now.seconds()),
        };
        checked.map_err(|refusal| {
            let problem = refusal.problem();
            match refusal.challenge(None) {
                Some(challenge) => problem.challenge(challenge),
                None => problem,
            }
        })
    }

    /// When its sign-in is too old.
    pub(crate) fn sign_in_ends(&self, requires: &StepUp) -> Option<Millis> {
        let until = requires.until(self.principal.as_ref()?)?;
        Some(Millis::of_seconds(until))
    }

    pub(super) fn claims(&self) -> Value<'_> {
        self.claims.as_deref().unwrap_or(&NOTHING).borrowed()
    }
}

fn read(claims: Bytes) -> Result<Value<'static>, ClaimsError> {
    if claims.len() > CLAIMS_BYTES_MAX {
        return Err(ClaimsError::TooLarge);
    }
    let claims = json::validate(&claims).map_err(|_| ClaimsError::NoObject)?;
    match Json::decode(&claims) {
        Some(object @ Json::Object(_)) => Ok(Value::from(&object).into_owned()),
        _ => Err(ClaimsError::NoObject),
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_anonymous() { "Caller(anonymous)" } else { "Caller(known)" })
    }
}
