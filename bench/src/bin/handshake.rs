//! What it costs to take in a watcher, at least, with an HTTP library: hyper reads the request and
//! writes the head of a stream in which nothing ever comes. It is a ruler, and never a server.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move {
            let service = service_fn(|_: Request<hyper::body::Incoming>| async { Ok::<_, Infallible>(stream()) });
            // A watcher that leaves is no error of the server's.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

type Nothing = futures_util::stream::Pending<Result<Frame<Bytes>, Infallible>>;

fn stream() -> Response<StreamBody<Nothing>> {
    let mut answer = Response::new(StreamBody::new(futures_util::stream::pending()));
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    answer
}
