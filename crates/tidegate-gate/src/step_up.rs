//! What a channel asks of a sign-in beyond that there was one (RFC 9470).

use crate::error::{Reason, Refusal};
use tidegate_core::Principal;

/// A requirement on how and how recently somebody signed in. An empty one asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepUp {
    /// One of these classes of authentication; the first is preferred. Empty: any.
    pub acr: Vec<String>,
    /// The sign-in may be at most this old, in seconds.
    pub max_age: Option<u64>,
}

impl StepUp {
    /// Whether a principal's sign-in is enough. API keys and certificates are no sign-in of a person,
    /// and never enough.
    ///
    /// # Errors
    /// `step-up-required` with the challenge that says what is needed; `unauthenticated` for a caller
    /// that showed nothing.
    pub fn check(&self, principal: &Principal, now: u64) -> Result<(), Refusal> {
        if self.is_nothing() {
            return Ok(());
        }
        if principal.is_anonymous() {
            return Err(Refusal::new(Reason::Missing, "no credential where a strong sign-in is needed"));
        }
        let strong =
            self.acr.is_empty() || principal.acr().is_some_and(|own| self.acr.iter().any(|wanted| wanted == own));
        let recent = self.max_age.is_none_or(|max_age| {
            principal
                .auth_time()
                .is_some_and(|at| at <= now.saturating_add(FUTURE_MAX) && now.saturating_sub(at) <= max_age)
        });
        if strong && recent {
            return Ok(());
        }
        let what = if strong { "an older sign-in than" } else { "a weaker sign-in than" };
        Err(Refusal::new(Reason::StepUp, format!("{what} the channel asks for")).step_up(self.clone()))
    }
}

impl StepUp {
    /// Whether it asks nothing.
    pub fn is_nothing(&self) -> bool {
        *self == StepUp::default()
    }

    /// When a sign-in that is enough now is too old, in seconds since 1970; `None`: never.
    pub fn until(&self, principal: &Principal) -> Option<u64> {
        Some(principal.auth_time()?.saturating_add(self.max_age?).saturating_add(1))
    }
}

/// A sign-in this many seconds ahead of our clock is one of now; further ahead it never was.
const FUTURE_MAX: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::principal::{Shown, Vouched};

    fn signed_in(acr: Option<&str>, auth_time: Option<u64>) -> Principal {
        Vouched { shown: Shown::Token, acr: acr.map(Into::into), auth_time, ..Vouched::default() }.into()
    }

    #[test]
    fn strength_and_age_are_both_needed() {
        let step_up = StepUp { acr: vec!["mfa".into(), "hwk".into()], max_age: Some(300) };
        let table = [
            (signed_in(Some("mfa"), Some(900)), true),
            (signed_in(Some("hwk"), Some(700)), true),
            (signed_in(Some("hwk"), Some(699)), false),
            (signed_in(Some("pwd"), Some(900)), false),
            (signed_in(None, Some(900)), false),
            (signed_in(Some("mfa"), None), false),
            (signed_in(Some("mfa"), Some(5_000)), false),
        ];
        for (principal, enough) in table {
            assert_eq!(step_up.check(&principal, 1_000).is_ok(), enough, "{principal:?}");
        }
    }

    #[test]
    fn an_empty_requirement_asks_nothing_and_a_real_one_asks_nobody_to_show_something() {
        assert!(StepUp::default().check(&Principal::anonymous(), 0).is_ok());
        let step_up = StepUp { acr: vec!["mfa".into()], max_age: None };
        let refusal = step_up.check(&Principal::anonymous(), 0).expect_err("refused");
        assert_eq!(refusal.reason(), Reason::Missing);
    }

    #[test]
    fn a_sign_in_is_enough_to_the_second_that_was_told() {
        let step_up = StepUp { acr: Vec::new(), max_age: Some(300) };
        let principal = signed_in(None, Some(700));
        let until = step_up.until(&principal).expect("an end");
        assert!(step_up.check(&principal, until - 1).is_ok());
        assert!(step_up.check(&principal, until).is_err());
        assert_eq!(StepUp { max_age: None, ..step_up }.until(&principal), None);
    }

    #[test]
    fn the_challenge_says_what_is_needed() {
        let step_up = StepUp { acr: vec!["mfa".into(), "hwk".into()], max_age: Some(300) };
        let refusal = step_up.check(&signed_in(Some("pwd"), Some(0)), 1_000).expect_err("refused");
        assert_eq!(
            refusal.challenge(None).as_deref(),
            Some(
                "Bearer realm=\"tidegate\", error=\"insufficient_user_authentication\", \
                 error_description=\"the channel asks for a stronger or fresher sign-in\", \
                 acr_values=\"mfa hwk\", max_age=\"300\""
            )
        );
    }
}
