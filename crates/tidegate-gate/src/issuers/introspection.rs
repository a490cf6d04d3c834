//! Asking an issuer whether a token is active (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Semaphore;

use super::claims::Claims;
use super::discovery::Discovery;
use crate::cache::Cache;
use crate::config::IntrospectionConfig;
use crate::digest::Digest;
use crate::error::{Reason, Refusal};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::flight::Flights;
use crate::secret::Secret;

/// So many questions at once are asked of one issuer; others wait.
const AT_ONCE_MAX: usize = 32;
/// A token that was not active is not asked about again for the cache time, in a table of this size.
const INACTIVE_BYTES_MAX: usize = 1024 * 1024;

/// One issuer's introspection.
pub(crate) struct Introspection {
    asker: Arc<Asker>,
    cache: Duration,
    inactive: Cache<()>,
    flights: Arc<Flights<Digest, Answer>>,
}

/// The claims of a token that is active, as text: each who waits reads them for itself.
type Answer = Result<bytes::Bytes, Refusal>;

struct Asker {
    issuer: Box<str>,
    place: Place,
    fetcher: Fetcher,
    client_id: String,
    client_secret: Secret,
    at_once: Semaphore,
    wait_max: Duration,
    figures: Arc<Figures>,
}

pub(crate) enum Place {
    Url(String),
    Discovery(Arc<Discovery>),
}

impl Introspection {
    pub(crate) fn new(
        issuer: &str,
        config: &IntrospectionConfig,
        place: Place,
        (fetcher, wait_max): (Fetcher, Duration),
        figures: Arc<Figures>,
    ) -> Introspection {
        let asker = Asker {
            issuer: issuer.into(),
            place,
            fetcher,
            client_id: form_encoded(&config.client_id),
            client_secret: Secret::new(form_encoded(config.client_secret.expose())),
            at_once: Semaphore::new(AT_ONCE_MAX),
            wait_max,
            figures,
        };
        let (inactive, flights) = (Cache::new(INACTIVE_BYTES_MAX), Flights::new());
        Introspection { asker: Arc::new(asker), cache: config.cache, inactive, flights }
    }

    /// For how many seconds an answer holds.
    pub(crate) fn cache_seconds(&self) -> u64 {
        self.cache.as_secs()
    }

    /// The claims of a token that is active. Who asks for one that is being asked about waits for the
    /// same answer.
    ///
    /// # Errors
    /// It is not active, or the issuer cannot be asked.
    pub(crate) async fn ask(&self, token: &str, digest: Digest, now: u64) -> Result<Claims, Refusal> {
        let inactive =
            || Refusal::new(Reason::Inactive, format!("{} says that the token is not active", self.asker.issuer));
        if self.inactive.get(&digest, now).is_some() {
            return Err(inactive());
        }
        let start = || Some(Arc::clone(&self.asker).ask(Secret::new(token)));
        let seat = self.flights.board(digest, start).ok_or_else(|| self.asker.busy())?;
        let answer = seat.answer().await.ok_or_else(|| self.asker.unavailable("the question came to no answer"))?;
        let claims = Claims::parse(answer?).map_err(|error| self.asker.unavailable(error.operator()))?;
        match claims.active {
            Some(true) => Ok(claims),
            Some(false) => {
                self.inactive.put(digest, (), 0, now.saturating_add(self.cache_seconds()));
                Err(inactive())
            }
            None => Err(self.asker.unavailable("an answer without `active`")),
        }
    }
}

impl Asker {
    async fn ask(self: Arc<Self>, token: Secret) -> Answer {
        let permit = tokio::time::timeout(self.wait_max, self.at_once.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(self.busy()) };
        Figures::count(&self.figures.introspections);
        let url = match &self.place {
            Place::Url(url) => url.clone(),
            Place::Discovery(discovery) => {
                let document = discovery.last().await.map_err(|reason| self.unavailable(&reason))?;
                let missing = || self.unavailable("its discovery document has no `introspection_endpoint`");
                document.introspection.clone().ok_or_else(missing)?
            }
        };
        let form = [("token", token.expose()), ("token_type_hint", "access_token")];
        let asked = self.fetcher.post(&url, &form, &self.client_id, &self.client_secret).await;
        asked.map_err(|error| {
            tracing::warn!(issuer = %self.issuer, "it cannot be asked about a token: {error}");
            self.unavailable(&error.to_string())
        })
    }

    fn busy(&self) -> Refusal {
        Refusal::new(Reason::Busy, format!("too many tokens of {} are being asked about", self.issuer))
    }

    fn unavailable(&self, reason: &str) -> Refusal {
        Refusal::new(Reason::Unavailable, format!("{} cannot be asked about a token: {reason}", self.issuer))
    }
}

/// Names and passwords of clients are form-encoded before they are those of Basic (RFC 6749, section
/// 2.3.1); what every encoding leaves alone stays, for the servers that forget to decode.
fn form_encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}
