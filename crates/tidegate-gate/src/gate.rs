//! The one question: who is this?

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_core::Millis;
use tidegate_core::principal::{Principal, Shown, Vouched};

use crate::cache::IDLE_SECONDS;
use crate::config::{ConfigError, GateConfig};
use crate::credential::{CREDENTIAL_BYTES_MAX, Credential};
use crate::error::{Reason, Refusal};
use crate::figures::Figures;
use crate::issuers::Issuers;
use crate::keys::ApiKeys;
use crate::revocations::Revocations;
use crate::tickets::Tickets;

/// Answers for every request, from memory where it can. Made anew when the config changes; the API
/// keys and the revocations outlive it.
pub struct Gate {
    issuers: Issuers,
    keys: Arc<ApiKeys>,
    revocations: Arc<Revocations>,
    certificates: bool,
    tickets: Tickets,
    figures: Arc<Figures>,
}

impl Gate {
    /// Checks the config. Reads files of keys, and fetches nothing yet.
    ///
    /// # Errors
    /// What in it cannot be meant.
    pub fn new(config: &GateConfig, keys: Arc<ApiKeys>) -> Result<Gate, ConfigError> {
        let figures = Arc::new(Figures::default());
        let issuers = Issuers::new(config, Arc::clone(&figures))?;
        let (revocations, tickets) = (Arc::default(), Tickets::new(config.ticket_age));
        Ok(Gate { issuers, keys, revocations, certificates: config.certificates, tickets, figures })
    }

    /// The same, with revocations of others in place of none.
    #[must_use]
    pub fn with_revocations(self, revocations: Arc<Revocations>) -> Gate {
        Gate { revocations, ..self }
    }

    /// What was good, and is not any more.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Reads the keys of all issuers, so that the first callers need not wait for them. An issuer that
    /// cannot be reached is logged, and asked again when a token of it comes.
    pub async fn warm(&self) {
        self.issuers.warm().await;
    }

    /// Who this is. Whether that is enough is decided elsewhere: a caller that shows nothing is the
    /// anonymous principal, and no refusal. But a credential that is shown and not good is one, also
    /// where none was needed: a client whose token has expired wants to know.
    ///
    /// Answers without waiting, but for keys that have to be read first and for introspection; both
    /// end within the time of [`FetchConfig`](crate::FetchConfig).
    ///
    /// # Errors
    /// Why it is nobody.
    pub async fn identify(&self, credential: &Credential) -> Result<Principal, Refusal> {
        self.identify_at(credential, Millis::now().seconds()).await
    }

    /// The same, in a given second since 1970.
    pub(crate) async fn identify_at(&self, credential: &Credential, now: u64) -> Result<Principal, Refusal> {
        let principal = match credential {
            Credential::None => return Ok(Principal::anonymous()),
            Credential::Bearer(text) | Credential::ApiKey(text) if text.expose().len() > CREDENTIAL_BYTES_MAX => {
                Err(Refusal::new(Reason::TooLong, format!("a credential of {} bytes", text.expose().len())))
            }
            // Some hundred bytes of state for each of a hundred thousand tokens are not worth waking up for.
            Credential::Bearer(text) => Box::pin(self.issuers.identify(text, now)).await,
            Credential::ApiKey(text) => self.keys.identify(text, now),
            Credential::Certificate { subject, expires } => self.certificate(subject, *expires, now),
        }?;
        self.revocations.check(&principal, now)?;
        Ok(principal)
    }

    /// Whether who was identified before is still taken: a connection that stays asks again.
    ///
    /// # Errors
    /// [`Reason::Revoked`].
    pub fn check(&self, principal: &Principal) -> Result<(), Refusal> {
        self.keys.check(principal)?;
        self.issuers.check(principal)?;
        self.revocations.check(principal, Millis::now().seconds())
    }

    /// How often [`forget_idle`](Gate::forget_idle) is worth calling.
    pub const IDLE: Duration = Duration::from_secs(IDLE_SECONDS);

    /// Forgets tokens that nobody has shown for a while. Returns how many these are; none where it is called too often.
    pub fn forget_idle(&self) -> usize {
        self.issuers.forget_idle(Millis::now().seconds())
    }

    /// Whether issuers are asked about tokens.
    pub fn asks_issuers(&self) -> bool {
        self.issuers.are_asked()
    }

    /// Asks issuers again about tokens by whose digests somebody goes on, those whose answers end within `soon`. Returns how
    /// many are not active any more: [`check`](Gate::check) refuses whose they are, and long-polls hear of it.
    pub async fn ask_again(&self, live: &HashSet<[u8; 32]>, soon: Duration) -> usize {
        let lost = self.issuers.ask_again(live, soon.as_secs(), Millis::now().seconds()).await;
        if lost > 0 {
            self.revocations.tell();
        }
        lost
    }

    /// Tickets of watches.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// What has been done so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    fn certificate(&self, subject: &str, expires: u64, now: u64) -> Result<Principal, Refusal> {
        if !self.certificates {
            return Err(Refusal::new(Reason::Certificate, "a client certificate, which the config does not take"));
        }
        if subject.is_empty() || now >= expires {
            return Err(Refusal::new(Reason::Certificate, "a client certificate without a subject, or of the past"));
        }
        let vouched = Vouched {
            shown: Shown::Certificate,
            subject: Some(subject.into()),
            claims: json!({ "sub": subject }).to_string().into(),
            expires: Some(expires),
            ..Vouched::default()
        };
        Ok(vouched.into())
    }
}
