//! A real OpenID provider as a process: npm `oidc-provider`, led by lines on its standard input, which
//! end it when the handle is dropped. What it understands is said in `tests/provider/provider.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::tls::Authority;

/// A running provider.
pub struct Provider {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    issuer: String,
    client: (String, String),
    /// Node reads some of them only when it needs them.
    _certificates: Option<tempfile::TempDir>,
}

impl Provider {
    /// Starts one on a free port of loopback, which signs with `algorithm`.
    ///
    /// # Panics
    /// If it does not start: `cargo xtask setup` brings what it needs.
    pub fn start(algorithm: &str) -> Provider {
        Provider::launch(Command::new("node").args(["provider.mjs", algorithm]))
    }

    /// The same over TLS, with a certificate of `authority`.
    ///
    /// # Panics
    /// As [`start`](Provider::start).
    pub fn start_tls(algorithm: &str, authority: &Authority) -> Provider {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (cert, key) = authority.issue("provider").write(folder.path());
        let trusted = folder.path().join("authority.pem");
        std::fs::write(&trusted, authority.pem()).expect("write a file of PEM");
        let mut command = Command::new("node");
        // It asks itself for tokens, so it has to trust itself.
        command.env("NODE_EXTRA_CA_CERTS", trusted).args(["provider.mjs", algorithm]).args([cert, key]);
        let mut provider = Provider::launch(&mut command);
        provider._certificates = Some(folder);
        provider
    }

    fn launch(command: &mut Command) -> Provider {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/provider");
        assert!(folder.join("node_modules/oidc-provider").exists(), "`cargo xtask setup` brings the OpenID provider");
        let mut child = command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start node");
        let commands = child.stdin.take().expect("a standard input");
        let answers = BufReader::new(child.stdout.take().expect("a standard output"));
        let (issuer, client) = (String::new(), Default::default());
        let mut provider = Provider { child, commands, answers, issuer, client, _certificates: None };
        let first = provider.answer();
        let text = |name: &str| first[name].as_str().expect("a text of the first line").to_owned();
        provider.issuer = text("issuer");
        provider.client = (text("client_id"), text("client_secret"));
        provider
    }

    /// Its name, which is where it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The id and the password of its one client, which may also ask about tokens.
    pub fn client(&self) -> (&str, &str) {
        (&self.client.0, &self.client.1)
    }

    /// A token of the client: a JWT, or opaque text where the resource ends with `/opaque`.
    ///
    /// # Panics
    /// If there is none.
    pub fn token(&mut self, resource: &str, scope: &str) -> String {
        let answer = self.command(&json!({ "do": "token", "resource": resource, "scope": scope }));
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// A token of its other client, `others`.
    ///
    /// # Panics
    /// If there is none.
    pub fn token_of_others(&mut self, resource: &str, scope: &str) -> String {
        let command = json!({ "do": "token", "resource": resource, "scope": scope, "client": "others" });
        self.command(&command)["token"].as_str().expect("a token").to_owned()
    }

    /// From now on its tokens last so long.
    pub fn lasts(&mut self, seconds: u64) {
        self.command(&json!({ "do": "lasts", "seconds": seconds }));
    }

    /// Revokes a token.
    pub fn revoke(&mut self, token: &str) {
        self.command(&json!({ "do": "revoke", "token": token }));
    }

    /// From now on it has other keys.
    pub fn rotate(&mut self) {
        self.command(&json!({ "do": "rotate" }));
    }

    /// Closes its port and all connections.
    pub fn stop(&mut self) {
        self.command(&json!({ "do": "stop" }));
    }

    /// Opens its port again.
    pub fn resume(&mut self) {
        self.command(&json!({ "do": "start" }));
    }

    fn command(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").expect("the provider reads");
        self.answer()
    }

    /// The next line that is an answer: the library prints its warnings among them.
    fn answer(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("the provider answers");
            assert!(read > 0, "the provider has ended");
            if let Ok(answer) = serde_json::from_str::<Value>(&line) {
                assert!(answer.get("error").is_none(), "the provider: {answer}");
                return answer;
            }
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
