//! The server that is attacked: two issuers, one with a secret and one with a key of a file, and channels that are closed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Ended, Publish, Publisher, Transport, Watch, get_json_as};
use tidegate_testkit::process::Server;
use tidegate_testkit::token::{mint, seconds_from_now};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ISSUER: &str = "https://id.example.org";
/// Signs with a key whose public half is in a file.
pub(crate) const OTHER_ISSUER: &str = "https://keys.example.org";
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// Nothing here takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What is closed to all but ann.
pub(crate) const VAULT: &str = "vault/gold";

pub(crate) struct Rig {
    pub(crate) server: Server,
    /// The key set of [`OTHER_ISSUER`], which everybody may know.
    pub(crate) jwks: String,
    _files: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn start() -> Rig {
        let files = tempfile::tempdir().expect("a temp folder");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let point = key.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "x": part(1..33), "y": part(33..65) });
        let jwks = json!({ "keys": [jwk] }).to_string();
        let file = files.path().join("keys.json");
        std::fs::write(&file, &jwks).expect("write the keys");
        let config = format!(
            r#"
gate:
  issuers:
    test: {{ issuer: "{ISSUER}", audience: tidegate, algorithms: HS256, secret: {SECRET}, leeway: 1s }}
    other: {{ issuer: "{OTHER_ISSUER}", audience: tidegate, algorithms: ES256, keys_file: {} }}
channels:
  vault:
    address: vault/{{thing}}
    access: {{ read: "claims.sub == \"ann\"", publish: "claims.sub == \"ann\"" }}
  docs:
    address: docs/{{room}}
    key: id
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"writer\"", rows: "data.owner == claims.sub", mask: [cost, pay.iban] }}
  feed:
    address: feed/{{room}}
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"writer\"", rows: "data.owner == claims.sub" }}
"#,
            file.display()
        );
        let server = Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &config);
        Rig { server, jwks, _files: files }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a token gets: each way to read and write the vault is asked.
    pub(crate) async fn refuses(&self, token: &str) {
        let answer = get_json_as(self.at(), &format!("/v1/{VAULT}"), Some(token)).await.expect("an answer");
        assert_eq!(answer.head.status, 401, "{answer:?}");
        let publish = Publish::post(VAULT, types::JSON, "1".to_owned()).by(token);
        let answer = Publisher::new(self.at()).send(&publish).await.expect("an answer");
        assert_eq!(answer.head.status, 401, "{answer:?}");
        for transport in Transport::ALL {
            let ask = Ask { token: Some(token.to_owned()), ..Ask::new(VAULT, false, Kind::History) };
            assert_eq!(self.refused(transport, &ask).await.0, 401, "{transport:?}");
        }
    }

    /// The status and the problem of a watch that is not let in.
    pub(crate) async fn refused(&self, transport: Transport, ask: &Ask) -> (u16, Value) {
        match self.opened(transport, ask).await {
            Ok(_) => panic!("{transport:?} {ask:?} is let in"),
            Err(refused) => refused,
        }
    }

    /// A watch, and its first frame; or the refusal.
    pub(crate) async fn opened(&self, transport: Transport, ask: &Ask) -> Result<(Watch, Value), (u16, Value)> {
        let opening = tokio::time::timeout(PATIENCE, async {
            let mut watch = Watch::open(self.at(), transport, ask).await?;
            let first = watch.next_frame().await?;
            Ok((watch, first))
        });
        match opening.await.expect("an answer in time") {
            Ok(opened) => Ok(opened),
            Err(Ended::Refused(answer)) => Err((answer.head.status, answer.body)),
            Err(ended) => panic!("{transport:?}: {ended:?}"),
        }
    }

    /// Writes a row of `docs/a`, or deletes it.
    pub(crate) async fn write(&self, id: &str, row: Option<Value>) {
        let publish = match row {
            Some(row) => Publish::put("docs/a", id, row.to_string()),
            None => Publish::delete("docs/a", id),
        };
        let answer = Publisher::new(self.at()).send(&publish.by(&token(&json!({ "sub": "writer" })))).await;
        let answer = answer.expect("an answer");
        assert!(matches!(answer.head.status, 200 | 204), "{answer:?}");
    }
}

/// A good token with these claims.
pub(crate) fn token(claims: &Value) -> String {
    let mut all = json!({ "iss": ISSUER, "aud": "tidegate", "exp": seconds_from_now(HOUR) });
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    mint(SECRET, &all)
}

/// What follows until a frame is the one that is looked for, with that one.
pub(crate) async fn until(watch: &mut Watch, mut is: impl FnMut(&Value) -> bool) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, watch.next_frame()).await;
        frames.push(frame.expect("a frame in time").expect("a frame"));
        if is(frames.last().expect("one")) {
            return frames;
        }
    }
}
