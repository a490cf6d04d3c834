//! Watches by tokens whose issuers are asked about them: they are asked again, and what is not active any more ends.

use std::sync::Arc;
use std::time::Duration;

use tidegate_gate::Gate;
use tidegate_hub::Hub;

/// How often is looked for tokens that are due.
const LOOK: Duration = Duration::from_secs(1);

/// Runs for the life of a server.
pub(crate) async fn again(gate: Arc<Gate>, hub: Hub) {
    if !gate.asks_issuers() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let live = hub.watches().principals(|principal| Some(principal.asked()?.digest));
        if gate.ask_again(&live, LOOK).await > 0 {
            let ended = hub.watches().end_refused();
            tracing::info!(ended, "watches end whose tokens are not active any more");
        }
    }
}
