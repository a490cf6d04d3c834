use std::path::Path;

use pgwire_replication::{ReplicationClient, ReplicationConfig};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio_postgres::Config;

use super::*;

#[test]
fn the_provider_is_aws_lc_rs() {
    provider();
    provider();
    let installed = rustls::crypto::CryptoProvider::get_default().expect("a provider");
    assert!(format!("{:?}", installed.secure_random).contains("AwsLcRs"), "{installed:?}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let error = |mode, root| Tls::of(mode, root).err().expect("refused");
    assert!(error(Some("on"), None).contains("`verify-full`"));
    assert!(error(None, Some("/ca.pem")).contains("sslmode=verify-full"));
    assert!(error(Some("require"), Some("system")).contains("sslmode=verify-full"));
    assert!(error(Some("verify-ca"), Some("/no%20such.pem")).contains("/no such.pem"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(error(Some("verify-full"), file.path().to_str()).contains("no certificate"));
    assert!(Tls::of(None, None).is_ok_and(|tls| tls.mode == Mode::Prefer));
    assert!(Tls::of(Some("disable"), None).is_ok_and(|tls| tls.tokio_mode() == SslMode::Disable));
}

/// Whether SQL and replication connections are encrypted, or why there are none.
async fn both(cluster: &Cluster, host: &str, sslmode: &str, root: Option<&Path>) -> Result<bool, String> {
    let root = root.map(|path| path.to_str().expect("UTF-8"));
    let tls = Tls::of(Some(sslmode), root)?;
    const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

    let mut config = Config::new();
    config.host(host).port(cluster.port()).user("app").password("secret").dbname("postgres").ssl_mode(tls.tokio_mode());
    let sql = match config.connect(tls.connector()).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(client.query_one(ENCRYPTED, &[]).await.expect("a row").get::<_, bool>(0))
        }
        Err(error) => Err(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)),
    };
    let replication = match tls.replication(host, cluster.port()).await {
        Ok(route) => {
            let config = ReplicationConfig::new(route.host(), "app", "secret", "postgres", "none", "none");
            let config = config.with_port(route.port());
            let mut client = ReplicationClient::connect_gated(config).await.expect("a client");
            let rows = client.simple_query(ENCRYPTED).await.expect("a row");
            let folder = Path::new(route.host());
            assert!(!folder.is_absolute() || !folder.exists(), "the socket is gone when it has been used");
            Ok(rows[0][0].as_deref() == Some(b"t"))
        }
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(sql.is_ok(), replication.is_ok(), "{sql:?} {replication:?}");
    if let (Ok(sql), Ok(replication)) = (&sql, &replication) {
        assert_eq!(sql, replication);
    }
    replication
}

#[tokio::test]
async fn modes_mean_what_libpq_means() {
    // With TLS the server offers to tie the password to the certificate, which is not taken up.
    let mut cluster = Cluster::setup(Version::V15).hba("hostssl all app all scram-sha-256").start();
    cluster.sql("postgres", "CREATE ROLE app LOGIN REPLICATION PASSWORD 'secret'");
    let plain = |mode| both(&cluster, "127.0.0.1", mode, None);
    assert_eq!(plain("disable").await, Ok(false));
    assert_eq!(plain("prefer").await, Ok(false));
    assert!(plain("require").await.is_err_and(|why| why.contains("does not speak TLS")));

    // The server's own user makes the files, so that it may read them. It writes to the program, which has to read.
    let shell =
        |line: &str| cluster.sql("postgres", &format!("COPY (SELECT) TO PROGRAM $$ {line} && cat > /dev/null $$"));
    let authority = |name: &str| {
        shell(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN={name} -days 2 -keyout {name}.key -out {name}.crt"
        ));
    };
    authority("ours");
    authority("other");
    shell("openssl req -newkey rsa:2048 -nodes -subj /CN=db -keyout server.key -out server.csr");
    shell("echo subjectAltName=DNS:localhost > names");
    shell(
        "openssl x509 -req -in server.csr -CA ours.crt -CAkey ours.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
    // As in the manual: it signs itself. And one of the first version, which cannot be read by all.
    shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=self -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout self.key -out self.crt",
    );
    shell("openssl req -newkey rsa:2048 -nodes -subj /CN=old -keyout old.key -out old.csr");
    shell("openssl x509 -req -in old.csr -signkey old.key -days 2 -out old.crt");
    let data = cluster.data();
    let (ours, other, own) = (data.join("ours.crt"), data.join("other.crt"), data.join("self.crt"));
    let (ours, other, own) = (Some(ours.as_path()), Some(other.as_path()), Some(own.as_path()));

    let mut serve = |name: &str| {
        cluster.stop();
        cluster.set("ssl", "on");
        cluster.set("ssl_cert_file", &format!("{name}.crt"));
        cluster.set("ssl_key_file", &format!("{name}.key"));
        cluster.start_again();
    };
    serve("server");
    let encrypted = |host, mode, root| both(&cluster, host, mode, root);
    assert_eq!(encrypted("127.0.0.1", "disable", None).await, Ok(false));
    assert_eq!(encrypted("127.0.0.1", "prefer", None).await, Ok(true));
    assert_eq!(encrypted("127.0.0.1", "require", None).await, Ok(true));
    assert_eq!(encrypted("127.0.0.1", "verify-ca", ours).await, Ok(true));
    assert_eq!(encrypted("localhost", "verify-full", ours).await, Ok(true));
    let why = encrypted("127.0.0.1", "verify-full", ours).await.expect_err("another name");
    assert!(why.contains("not valid for name"), "{why}");
    for mode in ["require", "verify-ca", "verify-full"] {
        let why = encrypted("localhost", mode, other).await.expect_err("another authority");
        assert!(why.contains("UnknownIssuer"), "{why}");
    }
    assert!(encrypted("localhost", "verify-full", None).await.is_err(), "the system does not know it");
    let require = Tls::of(Some("require"), None).expect("a mode");
    let unused = require.replication("127.0.0.1", cluster.port()).await.expect("a route");
    let folder = std::path::PathBuf::from(unused.host());
    assert!(folder.exists());
    drop(unused);
    while folder.exists() {
        tokio::task::yield_now().await;
    }
    let route = require.replication("127.0.0.1", cluster.port()).await.expect("a route");
    let config = ReplicationConfig::new(route.host(), "app", "secret", "postgres", "none", "none");
    let mut client = ReplicationClient::connect_gated(config.with_port(route.port())).await.expect("a client");
    client.simple_query("SELECT 1").await.expect("a row");

    let mut serve = |name: &str| {
        cluster.stop();
        cluster.set("ssl_cert_file", &format!("{name}.crt"));
        cluster.set("ssl_key_file", &format!("{name}.key"));
        cluster.start_again();
    };
    serve("self");
    client.simple_query("SELECT 1").await.expect_err("the server that it was connected to has ended");
    let encrypted = |host, mode, root| both(&cluster, host, mode, root);
    assert_eq!(encrypted("127.0.0.1", "verify-full", own).await, Ok(true));
    assert_eq!(encrypted("localhost", "verify-ca", own).await, Ok(true));
    assert!(encrypted("localhost", "verify-full", own).await.is_err());
    assert!(encrypted("127.0.0.1", "verify-ca", other).await.is_err());
}
