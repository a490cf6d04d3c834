//! What is spoken, as openssl sees it.

use std::io::Write;
use std::process::{Command, Stdio};

use tidegate_testkit::raw::Raw;

use crate::rig::{Rig, eventually};

/// What openssl says of a handshake.
fn handshake(rig: &Rig, arguments: &[&str]) -> (bool, String) {
    let address = rig.server.address().to_string();
    let usual = ["s_client", "-connect", &address, "-CAfile", "ca.pem", "-verify_return_error"];
    let ran = rig.run("openssl", &[&usual, arguments].concat());
    (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let rig = Rig::start("versions");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (good, said) = handshake(&rig, &[version]);
        assert!(good && said.contains("Verification: OK"), "{said}");
        assert!(said.contains(&format!("New, {name}, Cipher is ")), "{said}");
    }
    // The level lets openssl itself offer them.
    for version in ["-tls1", "-tls1_1"] {
        let (good, said) = handshake(&rig, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        let refused = said.contains("alert protocol version") || said.contains("alert handshake failure");
        assert!(!good && refused, "{version}: {said}");
    }
}

#[test]
fn ciphers_without_forward_secrecy_are_refused() {
    let rig = Rig::start("ciphers");
    let (good, said) = handshake(&rig, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    assert!(good, "{said}");
    for weak in ["AES128-GCM-SHA256:AES256-SHA", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"] {
        let (good, said) = handshake(&rig, &["-tls1_2", "-cipher", weak]);
        assert!(!good && said.contains("handshake failure"), "{weak}: {said}");
    }
}

#[test]
fn tls_1_2_is_refused_where_1_3_is_the_oldest() {
    let config = "tls: { cert: cert.pem, key: key.pem, min_version: \"1.3\" }\nchannels: { a: { address: a } }\n";
    let rig = Rig::start_as("newest", config);
    assert!(handshake(&rig, &["-tls1_3"]).0);
    let (good, said) = handshake(&rig, &["-tls1_2"]);
    assert!(!good && said.contains("alert protocol version"), "{said}");
}

#[test]
fn of_the_ciphers_only_those_of_the_config_are_spoken_and_the_first_wins() {
    let config = "tls: { cert: cert.pem, key: key.pem, ciphers: [TLS_CHACHA20_POLY1305_SHA256, TLS_AES_256_GCM_SHA384, \
                  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384] }\nchannels: { a: { address: a } }\n";
    let rig = Rig::start_as("chosen", config);
    let (good, said) = handshake(&rig, &["-tls1_3"]);
    assert!(good && said.contains("Cipher is TLS_CHACHA20_POLY1305_SHA256"), "{said}");
    let (good, said) = handshake(&rig, &["-tls1_2"]);
    assert!(good && said.contains("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"), "{said}");
    for other in [
        ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ] {
        let (good, said) = handshake(&rig, &other);
        assert!(!good && said.contains("handshake failure"), "{other:?}: {said}");
    }
}

/// Nothing is compressed (CRIME), and nobody begins a handshake within a connection (CVE-2009-3555, and a cheap load).
#[test]
fn there_is_neither_compression_nor_renegotiation() {
    let rig = Rig::start("steady");
    for version in ["-tls1_2", "-tls1_3"] {
        let (good, said) = handshake(&rig, &[version, "-comp"]);
        assert!(good && said.contains("Compression: NONE"), "{said}");
    }
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &rig.server.address().to_string(), "-CAfile", "ca.pem", "-tls1_2"])
        .current_dir(rig.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    // To openssl a line with this letter is the wish.
    client.stdin.as_mut().expect("piped").write_all(b"R\n").expect("asked");
    let ran = client.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
}

#[test]
fn protocols_inside_are_agreed_on() {
    let rig = Rig::start("alpn");
    for (offered, chosen) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2")] {
        let (good, said) = handshake(&rig, &["-alpn", offered]);
        assert!(good && said.contains(&format!("ALPN protocol: {chosen}\n")), "{offered}: {said}");
    }
    let (good, said) = handshake(&rig, &[]);
    assert!(good && said.contains("No ALPN negotiated"), "{said}");
    let (good, said) = handshake(&rig, &["-alpn", "smtp"]);
    assert!(!good && said.contains("no application protocol"), "{said}");
}

#[test]
fn a_client_without_tls_is_told() {
    let rig = Rig::start("plain");
    let answer = Raw::to(&rig.server).get("/v1/");
    assert_eq!(answer.status, 400);
    let problem = answer.json();
    assert_eq!(problem["code"], "invalid");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("https://")), "{problem}");
    // What it writes comes through a pipe.
    eventually("the operator is told", || rig.server.output().contains("must begin with https://"));
    // And nobody else is bothered.
    assert!(rig.curl(&[&rig.url("/readyz")]).contains("ready"));
}

/// In ten seconds, and fifteen for who says nothing at all.
#[test]
fn half_a_handshake_is_given_up_and_holds_up_nobody() {
    let rig = Rig::start("half");
    let mut half = Raw::to(&rig.server);
    half.write(&[22, 3, 1, 2, 0, 1]);
    let mut silent = Raw::to(&rig.server);
    assert!(rig.curl(&[&rig.url("/readyz")]).contains("ready"));
    assert!(half.ended());
    assert!(silent.ended());
}
