//! Revocations between the log, the gate and the list of watches: kept before they hold, and there again after a start.

use std::sync::Arc;

use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::{NewRevocation, Revocation, RevocationError, Revocations};
use tidegate_hub::Hub;
use tidegate_log::{Batch, ReadError};

/// Under what the log keeps them.
const KIND: &str = "revocations";

/// What was revoked before the start.
pub(crate) async fn restore(hub: &Hub) -> Result<Arc<Revocations>, ReadError> {
    let revocations = Arc::new(Revocations::new());
    for (id, entry) in hub.kept(KIND).await? {
        if let Err(error) = revocations.load(&entry) {
            tracing::error!(%id, %error, "a revocation that was kept is not one; it does not hold");
        }
    }
    Ok(revocations)
}

/// Revokes: durably, then for whoever asks, then for those who watch. Returns how many watches it ends.
pub(crate) async fn revoke(
    hub: &Hub,
    revocations: &Revocations,
    new: NewRevocation,
) -> Result<(Arc<Revocation>, usize), Problem> {
    for id in revocations.purge(Millis::now().seconds()) {
        hub.keep(Batch::forgetting(KIND, &id)).await?;
    }
    let (revocation, entry) = revocations.create(new, Millis::now().seconds()).map_err(refused)?;
    hub.keep(Batch::keeping(KIND, &revocation.id, entry.clone())).await?;
    revocations.load(&entry).map_err(refused)?;
    let ended = hub.watches().end_refused();
    tracing::info!(id = &*revocation.id, what = %revocation.what, ended, "revoked");
    Ok((revocation, ended))
}

/// Takes a revocation back. Returns whether it was there.
pub(crate) async fn take_back(hub: &Hub, revocations: &Revocations, id: &str) -> Result<bool, Problem> {
    if !revocations.list(Millis::now().seconds()).iter().any(|own| &*own.id == id) {
        return Ok(false);
    }
    hub.keep(Batch::forgetting(KIND, id)).await?;
    Ok(revocations.remove(id))
}

fn refused(error: RevocationError) -> Problem {
    let code = match error {
        RevocationError::Wrong(_) => ErrorCode::Invalid,
        RevocationError::Full => ErrorCode::RateLimited,
        RevocationError::Entry(_) => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string())
        .hint("GET /revocations lists those that hold; `until` is a time to come, such as 2030-01-01T00:00:00Z")
}
