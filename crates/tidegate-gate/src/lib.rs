//! The gate: who is this, and is it good?
//!
//! [`Gate::identify`] makes a [`Principal`] of a [`Credential`], or a [`Refusal`]. It knows no server,
//! no socket and no log: a transport brings what the client has shown, and turns a refusal into its own
//! kind of answer.
//!
//! ```text
//!  Authorization: Bearer …      message, cookie          TLS
//!            │                        │                   │
//!            ▼                        ▼                   ▼
//!   Credential::from_authorization  from_text    Credential::Certificate
//!            │
//!    ┌───────┴───────────┬──────────────────────────┬──────────────┬──────────────┐
//!    │ tgk_…             │ a JWT                    │ other text   │ certificate  │ nothing
//!    ▼                   ▼                          ▼              ▼              ▼
//!  ApiKeys         known by its hash? ── yes ──► its key still   taken, where  anonymous
//!  by its id;        │ no                        the issuer's?   the config
//!  SHA-256 of the    ▼                             │ yes         says so
//!  secret, compared  `iss` chooses an issuer       │
//!  in constant time  of the config, or none        │
//!    │               ▼                             │
//!    │             alg, typ, crit, aud, exp, nbf   │
//!    │               ▼                             │
//!    │             keys ◄── file, URL, discovery   │   one issuer that
//!    │               ▼                             │   takes such text
//!    │             signature                       │      │
//!    │               ▼                             │      │
//!    │             introspection, if configured ◄──┼──────┘  asked once, kept a while
//!    │               ▼                             │
//!    └──────────► Principal ◄─────────────────┘
//!                     │
//!                     ▼
//!        revoked? by subject, token id, API key
//! ```
//!
//! # What holds
//!
//! - **A token says nothing about how it is verified.** The algorithms are those of the config, and each
//!   key has those of its type: a secret of the config has HS256, HS384 and HS512 and nothing else, a
//!   key that was read from anywhere never has them, and a config that mixes the two is refused. The
//!   header's `alg` only has to be one that both allow; there is no `none`. `jwk`, `jku`, `x5c` and
//!   `x5u` are not read, `crit` is refused.
//! - **An issuer vouches for itself alone.** `iss` chooses among those of the config and is believed
//!   only after a key of that issuer has verified it. A discovery document has to be of the issuer that
//!   it was asked of. Text that names no issuer is shown to the one that the config names for it, and to
//!   nobody else.
//! - **Claims are read strictly**: one JSON object, no two members of one name, the types of the RFCs.
//!   `iss`, `aud`, `exp` and somebody (`sub` or `client_id`) are required. A token that is bound to a
//!   key of its client (`cnf`) is refused, for as a bearer token it would be weaker than it was meant.
//! - **No flood of tokens becomes a flood of requests.** Keys are read by one at a time, and once in
//!   [`RefreshConfig::interval`], whatever for; who shows the same opaque token waits for one answer.
//! - **An issuer that is down stops nobody** whose key is known, up to [`RefreshConfig::stale_max`]. A
//!   credential that cannot be judged is no wrong one: [`Reason::Unavailable`] tells the client to come
//!   back as it is.
//! - **What is remembered never outlives what it rests on**: a token is known until it expires, until
//!   its key is gone from its issuer's set, and with introspection until the cache time is over.
//! - **A revocation is asked for every time**, also of what is known already: it holds from the moment at which
//!   [`Revocations::load`] has it.
//! - **Nothing fetched leads inside.** TLS, no redirects, no proxy, public addresses as the name resolves
//!   when it is connected to; else the config has to name the host.
//! - **No secret is printed or kept.** [`Secret`] has no text of its own in logs; of API keys and of
//!   tokens that are known only hashes are held. The client is told what to do, the operator what was
//!   wrong.
//!
//! # Limits
//!
//! | | |
//! |---|---|
//! | a credential | 16 KiB ([`CREDENTIAL_BYTES_MAX`]) |
//! | a document of an issuer | 256 KiB, 5 s ([`FetchConfig`]) |
//! | keys of an issuer; tried for one token | 64; 8 |
//! | issuers | 64 |
//! | questions about tokens at once | 32 to an issuer; 1,024 wait |
//! | tokens that are known | 32 MiB ([`GateConfig::cache_bytes_max`]) |
//! | tickets | 100,000, each for [`GateConfig::ticket_age`] |
//! | API keys | 100,000 ([`KEYS_MAX`]) |
//! | addresses, subjects and API keys of which a rate remembers what is left to them | 100,000 each ([`PARTIES_MAX`]) |
//! | revocations | 100,000 ([`REVOCATIONS_MAX`]) |
//!
//! Not here: DPoP and certificate-bound tokens, encrypted tokens, signed introspection answers (RFC
//! 9701), RFC 8414 documents that are not at OpenID's address, ES512 and Ed448.

mod algorithm;
#[cfg(test)]
mod attacks;
mod cache;
mod config;
mod credential;
mod digest;
mod error;
mod fetch;
mod figures;
mod flight;
mod gate;
mod hooks;
mod issuers;
mod keys;
mod limits;
mod revocations;
mod secret;
mod step_up;
mod tickets;

pub use algorithm::Algorithm;
pub use config::{
    ConfigError, FetchConfig, GateConfig, IntrospectionConfig, IssuerConfig, KeySource, RefreshConfig, TokenTypes,
};
pub use credential::{CREDENTIAL_BYTES_MAX, Credential};
pub use digest::SecretHash;
pub use error::{Reason, Refusal};
pub use figures::Figures;
pub use gate::Gate;
pub use hooks::{Allowed, Denied, Hook, Hooks, HooksConfig};
pub use keys::{ApiKeys, CreatedKey, KEYS_MAX, KeyError, ListedKey, NewKey, PREFIX, SCOPES_MAX, TEXT_BYTES_MAX};
pub use limits::{Account, Fields, Limit, Limits, LimitsConfig, PARTIES_MAX, PartyLimits, Place, Rate, Who, network};
pub use revocations::{NewRevocation, REVOCATIONS_MAX, Revocation, RevocationError, Revocations, Revoked};
pub use secret::Secret;
pub use step_up::StepUp;
pub use tickets::{IssuedTicket, ShownTicket, Tickets, Use};
pub use tidegate_core::principal::{Principal, Shown, Vouched};
