//! Attacks by name, each with the test that stops it: those over the running server are here, those that are stopped deeper
//! inside stand where that is. [`SUITE`] is the list, and a test keeps it true.

mod requests;
mod rig;
mod tokens;
mod views;

use std::path::Path;

/// The attack, the file of its test from `crates/`, and the name of the test.
const SUITE: &[(&str, &str, &str)] = &[
    // Tokens.
    ("alg=none", "tidegate-cli/tests/attacks/tokens.rs", "alg_none"),
    ("alg=none, in every spelling", "tidegate-gate/src/attacks/algorithms.rs", "alg_none"),
    ("algorithm confusion", "tidegate-cli/tests/attacks/tokens.rs", "algorithm_confusion"),
    (
        "a public key as the secret of HS256",
        "tidegate-gate/src/attacks/algorithms.rs",
        "algorithm_confusion_a_public_key_as_the_secret_of_hs256",
    ),
    ("algorithm confusion by config", "tidegate-gate/src/attacks/algorithms.rs", "algorithm_confusion_is_no_config"),
    (
        "another algorithm of the same family",
        "tidegate-gate/src/attacks/algorithms.rs",
        "algorithm_confusion_within_a_family",
    ),
    ("a secret in a key set", "tidegate-gate/src/attacks/algorithms.rs", "a_secret_in_a_key_set_is_none"),
    ("wrong issuer", "tidegate-cli/tests/attacks/tokens.rs", "wrong_issuer"),
    (
        "a token of one issuer in the name of another",
        "tidegate-gate/src/attacks/claims.rs",
        "a_token_of_one_issuer_in_the_name_of_another",
    ),
    ("wrong audience", "tidegate-cli/tests/attacks/tokens.rs", "wrong_audience"),
    ("expired", "tidegate-cli/tests/attacks/tokens.rs", "expired"),
    ("not yet valid", "tidegate-cli/tests/attacks/tokens.rs", "not_yet_valid"),
    ("unknown kid flood", "tidegate-cli/tests/attacks/tokens.rs", "unknown_kid_flood"),
    (
        "unknown kid flood, at most one refetch",
        "tidegate-gate/src/attacks/fetching.rs",
        "unknown_kid_flood_is_at_most_one_refetch",
    ),
    ("a key of the token's own", "tidegate-gate/src/attacks/headers.rs", "embedded_jwk_jku_x5u_and_x5c_are_ignored"),
    (
        "a key id that is a path",
        "tidegate-gate/src/attacks/headers.rs",
        "key_ids_that_are_paths_or_queries_are_only_texts",
    ),
    ("an id token for an access token", "tidegate-gate/src/attacks/headers.rs", "a_jwt_that_is_no_access_token"),
    ("oversized token", "tidegate-gate/src/attacks/claims.rs", "oversized_token"),
    (
        "replayed ticket",
        "tidegate-cli/tests/gate/tickets.rs",
        "a_replayed_ticket_is_refused_and_a_reconnect_replaces_the_watch",
    ),
    ("token in URL", "tidegate-cli/tests/attacks/tokens.rs", "token_in_url"),
    ("two tokens in one request", "tidegate-cli/tests/attacks/tokens.rs", "two_credentials"),
    (
        "timing of key comparison",
        "tidegate-gate/src/attacks/keys.rs",
        "timing_of_key_comparison_is_constant_by_construction",
    ),
    // Requests that the server makes.
    ("SSRF through a JWKS URL", "tidegate-gate/src/attacks/fetching.rs", "ssrf_by_a_discovery_document"),
    ("SSRF by a redirect of a JWKS URL", "tidegate-gate/src/attacks/fetching.rs", "redirect_of_the_jwks_url"),
    ("SSRF to addresses inside", "tidegate-gate/src/fetch/address.rs", "ssrf_addresses_that_are_not_public"),
    ("SSRF through a hook URL", "tidegate-gate/src/attacks/hooks.rs", "ssrf_through_a_hook_url"),
    ("SSRF by a redirect of a hook", "tidegate-gate/src/attacks/hooks.rs", "a_hook_that_redirects_inside"),
    ("a key set without end", "tidegate-gate/src/attacks/fetching.rs", "a_document_without_end"),
    // Requests that it gets.
    (
        "cross-site WebSocket",
        "tidegate-cli/tests/hostile.rs",
        "a_page_of_another_origin_may_neither_write_nor_open_a_websocket",
    ),
    (
        "cross-site WebSocket with the user's cookie",
        "tidegate-cli/tests/attacks/requests.rs",
        "cross_site_websocket_with_a_cookie",
    ),
    ("forged Forwarded", "tidegate-cli/tests/limits.rs", "attack_forged_forwarded"),
    ("a forged PROXY header", "tidegate-cli/tests/limits.rs", "attack_a_proxy_header_of_a_stranger"),
    ("DNS rebinding", "tidegate-cli/tests/hostile.rs", "a_wrong_host_reads_nothing"),
    ("header smuggling", "tidegate-cli/tests/attacks/requests.rs", "header_smuggling"),
    ("slowloris", "tidegate-cli/tests/hostile.rs", "half_open_requests_are_closed_and_hold_up_nobody"),
    (
        "slowloris amid the handshake of TLS",
        "tidegate-cli/tests/tls/versions.rs",
        "half_a_handshake_is_given_up_and_holds_up_nobody",
    ),
    ("header bomb", "tidegate-cli/tests/hostile.rs", "header_bomb"),
    ("oversized frames", "tidegate-cli/tests/hostile.rs", "broken_websocket_frames_close_with_the_right_code"),
    ("oversized body", "tidegate-cli/tests/hostile.rs", "oversized_body_is_refused_before_and_while_it_comes"),
    ("decompression bomb", "tidegate-cli/tests/attacks/requests.rs", "decompression_bomb_of_a_body"),
    (
        "decompression bomb on a WebSocket",
        "tidegate-transports/src/websocket/codec/tests.rs",
        "a_bomb_is_refused_and_its_limit_is_exact",
    ),
    ("path tricks in addresses", "tidegate-cli/tests/attacks/requests.rs", "path_tricks_in_addresses"),
    ("path tricks, by publishing too", "tidegate-cli/tests/hostile.rs", "dots_slashes_and_controls_in_addresses"),
    // Views.
    (
        "a filter that reads a masked column",
        "tidegate-cli/tests/attacks/views.rs",
        "a_filter_that_reads_a_masked_column",
    ),
    ("a row that leaks by its delete", "tidegate-cli/tests/attacks/views.rs", "a_row_that_leaks_by_its_delete"),
    ("a row that leaks by a patch", "tidegate-cli/tests/attacks/views.rs", "a_row_that_leaks_by_a_patch"),
    ("a cursor stolen from another principal", "tidegate-cli/tests/attacks/views.rs", "a_stolen_cursor"),
    (
        "an ETag that tells of a masked column",
        "tidegate-transports/src/read/tests/owned.rs",
        "a_masked_column_does_not_leak_by_an_etag",
    ),
];

#[test]
fn every_attack_has_its_test() {
    for (attack, file, test) in SUITE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{attack}: {file}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "{attack}: there is no test `{test}` in {file}");
    }
}
