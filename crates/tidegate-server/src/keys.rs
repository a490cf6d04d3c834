//! API keys between the log, the gate and the list of watches: kept before they are told, and there again after a start.

use std::sync::Arc;

use tidegate_core::{ErrorCode, Millis, Problem};
use tidegate_gate::{ApiKeys, CreatedKey, KeyError, NewKey};
use tidegate_hub::Hub;
use tidegate_log::{Batch, ReadError};

/// Under what the log keeps them.
const KIND: &str = "keys";

/// The keys that there were before the start.
pub(crate) async fn restore(hub: &Hub) -> Result<Arc<ApiKeys>, ReadError> {
    let keys = Arc::new(ApiKeys::new());
    for (id, entry) in hub.kept(KIND).await? {
        if let Err(error) = keys.load(&entry) {
            tracing::error!(%id, %error, "an API key that was kept is not one; nobody has it");
        }
    }
    Ok(keys)
}

/// Makes a key. It is durable, and taken, when this returns.
pub(crate) async fn create(hub: &Hub, keys: &ApiKeys, new: &NewKey) -> Result<CreatedKey, Problem> {
    let created = keys.create(new, Millis::now().seconds()).map_err(refused)?;
    hub.keep(Batch::keeping(KIND, &created.id, created.entry.clone())).await?;
    keys.load(&created.entry).map_err(refused)?;
    tracing::info!(id = created.id, name = new.name, "an API key was made");
    Ok(created)
}

/// Ends a key: for whoever asks and who watches at once, and then durably. Returns how many watches it ends; `None`: there
/// is no such key.
pub(crate) async fn revoke(hub: &Hub, keys: &ApiKeys, id: &str) -> Result<Option<usize>, Problem> {
    let Some(entry) = keys.revoke(id, Millis::now().seconds()).map_err(refused)? else { return Ok(None) };
    let ended = hub.watches().end_refused();
    hub.keep(Batch::keeping(KIND, id, entry)).await.map_err(|problem| {
        problem.hint("the key is refused now, but a restart would take it again: repeat this when the log is well")
    })?;
    tracing::info!(id, ended, "an API key was revoked");
    Ok(Some(ended))
}

/// Takes a key off the list; it is refused as one that never was. Returns whether it was there.
pub(crate) async fn forget(hub: &Hub, keys: &ApiKeys, id: &str) -> Result<bool, Problem> {
    if !keys.forget(id) {
        return Ok(false);
    }
    hub.watches().end_refused();
    hub.keep(Batch::forgetting(KIND, id)).await?;
    tracing::info!(id, "an API key was forgotten");
    Ok(true)
}

fn refused(error: KeyError) -> Problem {
    let code = match error {
        KeyError::Wrong(_) => ErrorCode::Invalid,
        KeyError::Full => ErrorCode::RateLimited,
        KeyError::Random | KeyError::Entry(_) => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string())
        .hint("GET /keys lists the keys; DELETE /keys/{id}?forget=true takes one off the list")
}
