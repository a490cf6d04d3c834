//! permessage-deflate (RFC 7692), the client's side, without context takeover.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What a client offers that wants each message on its own.
pub const OFFER: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
/// What the server answers to it.
pub const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// What a message leaves out at its end.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// No message of a test inflates to more.
const CONTENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The content of a deflated message.
///
/// # Errors
/// What is wrong with it.
pub fn inflate(payload: &[u8]) -> Result<Vec<u8>, String> {
    let input = [payload, &TAIL].concat();
    let mut inflater = Decompress::new(false);
    let mut content = Vec::new();
    while content.len() < CONTENT_BYTES_MAX {
        content.reserve(content.len().max(4096));
        let left = &input[inflater.total_in() as usize..];
        inflater.decompress_vec(left, &mut content, FlushDecompress::Sync).map_err(|error| error.to_string())?;
        if content.len() < content.capacity() {
            let all = inflater.total_in() == input.len() as u64;
            return if all { Ok(content) } else { Err("data behind the end".to_owned()) };
        }
    }
    Err(format!("more than {CONTENT_BYTES_MAX} bytes"))
}

/// A message as a client deflates it.
///
/// # Panics
/// Never: there is room.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut deflater = Compress::new(Compression::default(), false);
    let mut payload = Vec::with_capacity(content.len() + 1024);
    deflater.compress_vec(content, &mut payload, FlushCompress::Sync).expect("there is room");
    assert!(payload.ends_with(&TAIL), "there is room");
    payload.truncate(payload.len() - TAIL.len());
    payload
}
