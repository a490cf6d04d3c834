//! What a client still sends when it has been answered.
//!
//! To end a request whose body has not come, the server resets its stream without an error (RFC
//! 9113, section 8.1). Some clients take that for a failure and show no answer, curl before version
//! 8 among them. So what comes is read for a while and forgotten, as on a socket of HTTP/1.1.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::stream::{LINGER, LINGER_BYTES_MAX};

/// Reads on in a task of its own, if there is something to come on a stream of HTTP/2.
pub(crate) fn discard(request: Request<Incoming>) {
    if request.version() != Version::HTTP_2 || request.body().is_end_stream() {
        return;
    }
    let mut body = request.into_body();
    tokio::spawn(tokio::time::timeout(LINGER, async move {
        let mut bytes = 0;
        while bytes < LINGER_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    }));
}
