//! Our own commands: `check` reads the files, `watch` and `publish` speak TLS.

use std::process::Output;

use tidegate_testkit::tls::{Authority, Pair};

use crate::common::binary;
use crate::rig::Rig;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// What `check` says of these files.
fn check(change: impl FnOnce(&Authority, &std::path::Path)) -> (bool, String) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    authority.issue("live.example").write(folder.path());
    change(&authority, folder.path());
    let config = "tls: { cert: cert.pem, key: key.pem }\nchannels:\n  a: { address: a, access: { read: \"true\" } }\n";
    std::fs::write(folder.path().join("tidegate.yaml"), config).expect("written");
    let ran = std::process::Command::new(binary()).arg("check").current_dir(folder.path()).output().expect("ran");
    (ran.status.success(), text(&ran))
}

#[test]
fn check_reads_the_certificate() {
    let (good, said) = check(|_, _| {});
    assert!(good && said.contains("CN=live.example, valid until "), "{said}");

    let (good, said) = check(|authority, folder| drop(authority.issue_expired("old").write(folder)));
    assert!(good && said.contains("warning  the certificate has expired on 2020-01-01"), "{said}");

    let (good, said) = check(|authority, folder| {
        let (one, other) = (authority.issue("one"), authority.issue("other"));
        drop(Pair { cert: one.cert, key: other.key }.write(folder));
    });
    assert!(!good && said.contains("is not that of the first certificate"), "{said}");

    let (good, said) = check(|_, folder| std::fs::remove_file(folder.join("key.pem")).expect("removed"));
    assert!(!good && said.contains("tls.key: cannot read ") && said.contains("key.pem"), "{said}");

    let (good, said) = check(|authority, folder| {
        let pair = authority.issue("swapped");
        drop(Pair { cert: pair.key, key: pair.cert }.write(folder));
    });
    assert!(!good && said.contains("tls.cert: ") && said.contains("there is no certificate in it"), "{said}");

    let (good, said) = check(|_, folder| {
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        std::fs::write(folder.join("key.pem"), key).expect("written");
    });
    assert!(!good && said.contains("openssl pkey -in OLD -out NEW"), "{said}");
}

#[test]
fn watch_and_publish_speak_tls_and_look_who_answers() {
    let rig = Rig::start("commands");
    let (url, ca) = (rig.url(""), rig.ca());
    let ca = ca.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| rig.run(binary().to_str().expect("UTF-8"), arguments);
    let published = run(&["publish", "rooms/c/messages", r#"{"n":1}"#, "--url", &url, "--ca", ca]);
    assert!(published.status.success(), "{}", text(&published));
    let watched =
        run(&["watch", "rooms/c/messages", "--from", "start", "--count", "1", "--json", "--url", &url, "--ca", ca]);
    assert!(watched.status.success() && text(&watched).contains(r#""data":{"n":1}"#), "{}", text(&watched));

    let stranger = run(&["watch", "rooms/c/messages", "--url", &url]);
    assert!(!stranger.status.success() && text(&stranger).contains("--ca FILE"), "{}", text(&stranger));
    let other = rig.folder().join("other.pem");
    std::fs::write(&other, Authority::new().pem()).expect("written");
    let other = run(&["watch", "rooms/c/messages", "--url", &url, "--ca", other.to_str().expect("UTF-8")]);
    assert!(!other.status.success() && text(&other).contains("invalid peer certificate"), "{}", text(&other));
}
