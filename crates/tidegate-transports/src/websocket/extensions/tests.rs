use http::HeaderValue;

use super::*;

fn agreed(lines: &[&str]) -> Result<Option<String>, Malformed> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
    }
    Ok(agree(&headers)?.map(Deflate::answer))
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn what_real_clients_offer_is_accepted() {
    let with_window = format!("{PLAIN}; server_max_window_bits=12");
    for (offer, answer) in [
        ("permessage-deflate; client_max_window_bits", PLAIN),
        ("permessage-deflate", PLAIN),
        ("Permessage-Deflate ; client_no_context_takeover", PLAIN),
        ("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", &with_window),
        ("permessage-deflate; server_max_window_bits=\"15\"", &with_window),
        ("permessage-deflate; server_max_window_bits=\"1\\5\"", &with_window),
        (" , x-webkit-deflate-frame, permessage-deflate;server_no_context_takeover,", PLAIN),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", PLAIN),
        ("other; a=\"b\", permessage-deflate; client_max_window_bits=8", PLAIN),
    ] {
        assert_eq!(agreed(&[offer]), Ok(Some(answer.to_owned())), "{offer}");
    }
    assert_eq!(agreed(&["other", "permessage-deflate"]), Ok(Some(PLAIN.to_owned())));
}

#[test]
fn what_cannot_be_kept_is_declined() {
    for offer in [
        "",
        "other",
        "permessage-deflate; server_max_window_bits=11",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=012",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate-x",
    ] {
        assert_eq!(agreed(&[offer]), Ok(None), "{offer}");
    }
    let many = format!("{}permessage-deflate", "other, ".repeat(OFFERS_MAX));
    assert_eq!(agreed(&[&many]), Ok(None), "beyond the limit");
}

#[test]
fn what_is_no_header_is_refused() {
    for line in [
        ";",
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; a=",
        "permessage-deflate; a=\"",
        "permessage-deflate; a=\"\"",
        "permessage-deflate; a=\"b",
        "permessage-deflate; a=\"b c\"",
        "permessage-deflate; a=\"b\"c",
        "permessage-deflate a",
        "permessage-deflate, é",
        "\"permessage-deflate\"",
    ] {
        assert_eq!(agreed(&[line]), Err(Malformed), "{line}");
    }
}
