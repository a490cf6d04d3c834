//! How a principal is held: by every watch for as long as it lasts, so as little as can be.

use std::any::Any;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use super::claims::Claims;
use super::texts::Texts;
use super::{Asked, Principal, Shown, Vouched};

/// What rules see of claims takes so many times their text, and the text itself.
const DERIVED_TIMES: usize = 8;

/// Places among its own texts.
pub(super) mod own {
    pub(in crate::principal) const SUBJECT: usize = 0;
    pub(in crate::principal) const TOKEN_ID: usize = 1;
    pub(in crate::principal) const API_KEY_ID: usize = 2;
}

/// Places among the texts that many have in common.
pub(super) mod common {
    pub(in crate::principal) const ISSUER: usize = 0;
    pub(in crate::principal) const ACR: usize = 1;
    pub(in crate::principal) const SCOPES: usize = 2;
}

/// See [`Principal`].
pub(super) struct Held {
    pub(super) shown: Shown,
    pub(super) expires: Option<NonZeroU64>,
    /// Of the past, so four bytes are enough until 2106.
    pub(super) auth_time: Option<NonZeroU32>,
    pub(super) asked: Option<Box<Asked>>,
    /// Behind them what is its own of the claims.
    pub(super) own: Texts,
    /// Behind them what is not its own of the claims.
    pub(super) common: Arc<Texts>,
    /// Which of its own texts are claims too, and stand there only.
    pub(super) claimed: Claimed,
    /// `None` of one that is settled.
    pub(super) beside: Option<Box<Beside>>,
}

/// What is remembered with a principal for as long as the gate remembers who it is.
#[derive(Default)]
pub(super) struct Beside {
    /// See [`Principal::settle`].
    pub(super) settled: OnceLock<Principal>,
    /// See [`Principal::derive`].
    pub(super) derived: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// Somebody has asked for what is derived.
    pub(super) asked_for: AtomicBool,
}

/// Whether `sub` and `jti` of the claims are the subject and the id of the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) subject: bool,
    pub(super) token_id: bool,
}

impl Held {
    pub(super) fn of(vouched: Vouched) -> Held {
        let Vouched { shown, subject, issuer, token_id, api_key_id, scopes, claims, expires, auth_time, acr, asked } =
            vouched;
        let scopes: Vec<&str> = scopes.iter().map(|scope| &**scope).filter(|scope| !scope.contains(' ')).collect();
        let scopes = scopes.join(" ");
        let parted = Claims::part(&claims, subject.as_deref(), token_id.as_deref());
        // The second 0 is as long ago as the second 1.
        let expires = expires.map(|time| NonZeroU64::new(time).unwrap_or(NonZeroU64::MIN));
        let short = |time| NonZeroU32::new(u32::try_from(time).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        Held {
            shown,
            expires,
            auth_time: auth_time.map(short),
            asked: asked.map(Box::new),
            // In the order of their places.
            own: Texts::new([subject.as_deref(), token_id.as_deref(), api_key_id.as_deref()], &parted.own),
            common: Texts::new([issuer.as_deref(), acr.as_deref(), Some(&scopes)], &parted.common).share(),
            claimed: Claimed { subject: parted.subject, token_id: parted.token_id },
            beside: Some(Box::default()),
        }
    }

    /// The same in new memory, with nothing remembered beside it.
    pub(super) fn copied(&self) -> Held {
        let Held { shown, expires, auth_time, asked, own, common, claimed, beside: _ } = self;
        Held {
            shown: *shown,
            expires: *expires,
            auth_time: *auth_time,
            asked: asked.clone(),
            own: own.clone(),
            common: common.clone(),
            claimed: *claimed,
            beside: None,
        }
    }

    /// See [`Principal::weight`].
    pub(super) fn weight(&self) -> usize {
        let Held { own, common, asked, .. } = self;
        let fixed = size_of::<Held>() + size_of::<Beside>() + size_of_val(&**common);
        fixed + asked.as_deref().map_or(0, size_of_val) + DERIVED_TIMES * (own.bytes() + common.bytes())
    }
}

/// All that it is, wherever it is.
impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        let Held { shown, expires, auth_time, asked, own, common, claimed, beside: _ } = self;
        (*shown, *expires, *auth_time, *claimed) == (other.shown, other.expires, other.auth_time, other.claimed)
            && (asked, own, common) == (&other.asked, &other.own, &other.common)
    }
}

impl Eq for Held {}
