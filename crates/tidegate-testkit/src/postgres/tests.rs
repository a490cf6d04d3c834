use super::*;

/// What the tests of the source rely on.
#[test]
fn a_cluster_survives_kills_and_goes_back_to_a_copy() {
    for version in Version::ALL {
        let mut cluster = Cluster::start(version);
        assert!(cluster.sql("postgres", "SHOW server_version").starts_with(&version.to_string()));
        assert_eq!(cluster.sql("postgres", "SHOW wal_level"), "logical");
        cluster.sql("postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
        cluster.kill9();
        cluster.start_again();
        cluster.sql("postgres", "INSERT INTO t VALUES (2)");
        cluster.stop();
        let saved = cluster.save();
        cluster.start_again();
        cluster.sql("postgres", "INSERT INTO t VALUES (3)");
        let numbers = |cluster: &Cluster| cluster.sql("postgres", "SELECT n FROM t ORDER BY n");
        assert_eq!(numbers(&cluster), "1\n2\n3");
        cluster.kill9();
        cluster.restore(&saved);
        cluster.start_again();
        assert_eq!(numbers(&cluster), "1\n2");
        assert!(cluster.try_sql("postgres", "SELECT 1/0").unwrap_err().contains("division by zero"));
    }
}

#[test]
fn a_standby_takes_the_place_of_its_primary() {
    Version::ALL.into_iter().for_each(fail_over);
}

fn fail_over(version: Version) {
    let mut primary = Cluster::start(version);
    primary.sql("postgres", "CREATE TABLE t (n int)");
    let mut standby = primary.standby();
    primary.sql("postgres", "INSERT INTO t VALUES (1)");
    standby.catch_up(&primary);
    let port = primary.port();
    primary.kill9();
    standby.stop();
    standby.start_on(port);
    standby.promote();
    standby.sql("postgres", "INSERT INTO t VALUES (2)");
    assert_eq!(standby.sql("postgres", "SELECT sum(n) FROM t"), "3");
}

#[tokio::test]
async fn nothing_is_left() {
    let (folder, port) = {
        let mut cluster = Cluster::setup(Version::V18).segment_mib(1).start();
        let client = cluster.connect("postgres").await.expect("connected");
        assert_eq!(client.query_one("SELECT 1", &[]).await.expect("a row").get::<_, i32>(0), 1);
        cluster.kill9();
        assert!(client.query_one("SELECT 1", &[]).await.is_err());
        (cluster.folder.path().to_owned(), cluster.port())
    };
    assert!(!folder.exists());
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
}
