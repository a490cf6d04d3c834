//! The provider, the server that trusts it, and what those who take part tell each other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_testkit::process::Server;
use tidegate_testkit::provider::Provider;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::block_in_place;

const RESOURCE: &str = "https://tide.example";
const OPAQUE: &str = "https://tide.example/opaque";
/// What is watched.
pub(crate) const ADDRESS: &str = "ticks/a";
/// Nothing here takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Tests,
    Others,
}

/// What the provider is to do.
enum Wish {
    Token(Who),
    Opaque,
    Revoke(String),
    Rotate,
}

/// Shared by all who take part.
#[derive(Clone)]
pub(crate) struct Rig {
    server: Arc<Server>,
    wishes: mpsc::Sender<(Wish, oneshot::Sender<String>)>,
    /// How many watch.
    watching: Arc<watch::Sender<usize>>,
    /// How many have heard the last event, and its number.
    heard: Arc<watch::Sender<usize>>,
    last: Arc<watch::Sender<Option<u64>>>,
    enough: Arc<watch::Sender<bool>>,
}

impl Rig {
    /// With tokens that last so many seconds. `cache`: how long the provider's answers about opaque tokens are held; without,
    /// tokens are JWTs whose keys are found by discovery.
    pub(crate) fn start(tokens_last: u64, cache: &str) -> Rig {
        let (provider, server) = block_in_place(|| {
            let mut provider = Provider::start("ES256");
            provider.lasts(tokens_last);
            let (id, secret) = provider.client();
            let trusted = match cache {
                "" => format!("audience: {RESOURCE}, algorithms: ES256, discovery: true"),
                cache => format!(
                    "audience: {OPAQUE}, introspection: {{ client_id: {id}, client_secret: \"{secret}\", cache: {cache}, opaque: true }}"
                ),
            };
            let config = format!(
                "gate:\n  issuers:\n    provider: {{ issuer: \"{}\", {trusted} }}\nchannels:\n  ticks:\n    address: ticks/{{name}}\n    \
                 access: {{ read: \"has(claims.sub) || has(claims.client_id)\", publish: \"true\" }}\n",
                provider.issuer()
            );
            let own = || PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
            let binary = std::env::var_os("TIDEGATE_BIN").map_or_else(own, PathBuf::from);
            (provider, Server::start(&binary, &config))
        });
        let (wishes, wished) = mpsc::channel(1);
        std::thread::spawn(|| fulfil(provider, wished));
        Rig {
            server: Arc::new(server),
            wishes,
            watching: Arc::new(watch::channel(0).0),
            heard: Arc::new(watch::channel(0).0),
            last: Arc::new(watch::channel(None).0),
            enough: Arc::new(watch::channel(false).0),
        }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.server.admin()
    }

    /// A fresh token of the provider.
    pub(crate) async fn token(&self, who: Who) -> String {
        self.provider(Wish::Token(who)).await
    }

    /// One that only the provider can read.
    pub(crate) async fn opaque(&self) -> String {
        self.provider(Wish::Opaque).await
    }

    pub(crate) async fn provider_revokes(&self, token: &str) {
        self.provider(Wish::Revoke(token.to_owned())).await;
    }

    pub(crate) async fn rotate(&self) {
        self.provider(Wish::Rotate).await;
    }

    async fn provider(&self, wish: Wish) -> String {
        let (answer, answered) = oneshot::channel();
        self.wishes.send((wish, answer)).await.expect("the provider runs");
        answered.await.expect("it answers")
    }

    /// One more watches.
    pub(crate) fn watches(&self) {
        self.watching.send_modify(|count| *count += 1);
    }

    pub(crate) async fn all_watch(&self, count: usize) {
        reached(&self.watching, count).await;
    }

    /// The number of the last event is known; nobody has heard it yet, as far as anybody knows.
    pub(crate) fn over(&self, last: u64) {
        self.heard.send_replace(0);
        self.last.send_replace(Some(last));
    }

    pub(crate) fn last(&self) -> watch::Receiver<Option<u64>> {
        self.last.subscribe()
    }

    /// One more has heard the last event.
    pub(crate) fn has_heard(&self) {
        self.heard.send_modify(|count| *count += 1);
    }

    pub(crate) async fn all_have_heard(&self, count: usize) {
        reached(&self.heard, count).await;
    }

    /// Who still watches may stop.
    pub(crate) fn enough(&self) {
        self.enough.send_replace(true);
    }

    pub(crate) fn has_enough(&self) -> watch::Receiver<bool> {
        self.enough.subscribe()
    }
}

/// Does one thing after the other, as long as anybody may ask.
fn fulfil(mut provider: Provider, mut wishes: mpsc::Receiver<(Wish, oneshot::Sender<String>)>) {
    while let Some((wish, answer)) = wishes.blocking_recv() {
        let text = match wish {
            Wish::Token(Who::Tests) => provider.token(RESOURCE, "read"),
            Wish::Token(Who::Others) => provider.token_of_others(RESOURCE, "read"),
            Wish::Opaque => provider.token(OPAQUE, "read"),
            Wish::Revoke(token) => {
                provider.revoke(&token);
                token
            }
            Wish::Rotate => {
                provider.rotate();
                String::new()
            }
        };
        // Who asked may have gone.
        let _ = answer.send(text);
    }
}

async fn reached(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    let all = counter.wait_for(|reached| *reached >= count);
    drop(tokio::time::timeout(PATIENCE, all).await.expect("all of them in time").expect("somebody counts"));
}
