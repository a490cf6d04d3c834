//! The attacks that the gate stands, one test for each, named after it.
//!
//! Tokens are signed here by the bare algorithms, with whatever header and claims an attack wants; key
//! sets come from a server that says what an attack wants. What issuers really do is tested with a real
//! one, in `tests/provider.rs`.

mod algorithms;
mod cached;
mod claims;
mod fetching;
mod headers;
mod hooks;
mod introspecting;
mod keys;
mod mint;
mod site;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Algorithm, ApiKeys, Credential, Gate, GateConfig, IssuerConfig, KeySource, Principal, Reason, RefreshConfig,
    Refusal, Secret, TokenTypes,
};
use mint::Signer;

/// The time of all tests.
const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://tide.example";

/// An issuer of public keys, as most are.
fn issuer(algorithms: &[Algorithm], keys: KeySource) -> IssuerConfig {
    IssuerConfig {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: algorithms.to_vec(),
        keys: Some(keys),
        introspection: None,
        types: TokenTypes::Any,
        leeway: Duration::ZERO,
        refresh: RefreshConfig {
            age: Duration::from_secs(600),
            interval: Duration::from_secs(600),
            ..RefreshConfig::default()
        },
    }
}

fn gate(issuers: Vec<IssuerConfig>) -> Gate {
    Gate::new(&GateConfig { issuers, ..GateConfig::default() }, Arc::new(ApiKeys::new())).expect("a config")
}

/// A gate with one issuer, whose keys are those of a file.
fn gate_of(algorithms: &[Algorithm], signers: &[&Signer]) -> Gate {
    let file = key_file(&json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string());
    gate(vec![issuer(algorithms, KeySource::File(file.path().to_owned()))])
}

/// A file of keys; the gate has read it when it is dropped.
fn key_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("write the file");
    file
}

/// Claims that are good.
fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "jti": "t1", "scope": "read write" })
}

/// Good claims with one of them changed, or taken away by `null`.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

async fn show(gate: &Gate, token: &str) -> Result<Principal, Refusal> {
    gate.identify_at(&Credential::Bearer(Secret::new(token)), NOW).await
}

/// Shows a token that is refused, and returns what for.
async fn refused(gate: &Gate, token: &str) -> Reason {
    show(gate, token).await.expect_err("a token that is refused").reason()
}
