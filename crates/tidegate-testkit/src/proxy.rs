//! A TCP proxy that does to a connection what networks do: delay, trickle, stall, cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A running proxy; dropped, it cuts everything.
pub struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    stalled: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What is done to each connection from now on; it may change while connections are open.
#[derive(Debug)]
pub struct Faults {
    latency_ms: AtomicU64,
    /// Bytes of the server that a connection carries in all before it is cut.
    cut_after: AtomicU64,
    bytes_per_second: AtomicU64,
}

impl FaultProxy {
    /// A proxy before `target`, on a free port of loopback, without any fault.
    ///
    /// # Errors
    /// No port.
    pub async fn start(target: SocketAddr) -> std::io::Result<FaultProxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let unlimited = || AtomicU64::new(u64::MAX);
        let faults =
            Arc::new(Faults { latency_ms: AtomicU64::new(0), cut_after: unlimited(), bytes_per_second: unlimited() });
        let (stalled, stalls) = watch::channel(false);
        let task = tokio::spawn(accept(listener, target, faults.clone(), stalls));
        Ok(FaultProxy { address, faults, stalled, task })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Each piece waits so long, both ways.
    pub fn latency(&self, latency: Duration) {
        self.faults.latency_ms.store(latency.as_millis() as u64, Ordering::Relaxed);
    }

    /// A connection is cut when it has carried so many bytes of the server.
    pub fn cut_after(&self, bytes: Option<u64>) {
        self.faults.cut_after.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// So many bytes a second, each way.
    pub fn rate(&self, bytes_per_second: Option<u64>) {
        self.faults.bytes_per_second.store(bytes_per_second.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Half open: both ends stay connected, nothing moves.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, faults: Arc<Faults>, stalled: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, target, faults.clone(), stalled.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(mut client: TcpStream, target: SocketAddr, faults: Arc<Faults>, stalled: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    // Whatever ends first ends both: the proxy cuts, it does not close half.
    tokio::select! {
        _ = carry(from_client, to_server, &faults, stalled.clone(), false) => {}
        _ = carry(from_server, to_client, &faults, stalled, true) => {}
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    faults: &Faults,
    mut stalled: watch::Receiver<bool>,
    counts: bool,
) -> std::io::Result<()> {
    let mut carried = 0;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let rate = faults.bytes_per_second.load(Ordering::Relaxed);
        let piece = rate.div_ceil(20).clamp(1, buffer.len() as u64) as usize;
        let mut got = from.read(&mut buffer[..piece]).await?;
        if got == 0 {
            return Ok(());
        }
        let left = faults.cut_after.load(Ordering::Relaxed).saturating_sub(carried);
        let cut = counts && got as u64 >= left;
        if cut {
            got = left as usize;
        }
        drop(stalled.wait_for(|stalled| !stalled).await);
        let latency = Duration::from_millis(faults.latency_ms.load(Ordering::Relaxed));
        let pace = Duration::from_secs_f64(got as f64 / rate as f64);
        if !(latency + pace).is_zero() {
            tokio::time::sleep(latency + pace).await;
        }
        to.write_all(&buffer[..got]).await?;
        carried += got as u64;
        if cut {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Sends back what comes.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        address
    }

    async fn connected(proxy: &FaultProxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.expect("connect")
    }

    #[tokio::test]
    async fn a_connection_is_cut_after_so_many_bytes() {
        let proxy = FaultProxy::start(echo().await).await.expect("start");
        proxy.cut_after(Some(5));
        let mut stream = connected(&proxy).await;
        stream.write_all(b"0123456789").await.expect("write");
        let mut got = Vec::new();
        drop(stream.read_to_end(&mut got).await);
        assert_eq!(got, b"01234");
    }

    #[tokio::test]
    async fn a_stalled_connection_goes_on_afterwards() {
        let proxy = FaultProxy::start(echo().await).await.expect("start");
        let mut stream = connected(&proxy).await;
        proxy.stall(true);
        stream.write_all(b"abc").await.expect("write");
        let mut got = [0; 3];
        assert!(timeout(Duration::from_millis(100), stream.read_exact(&mut got)).await.is_err());
        proxy.stall(false);
        stream.read_exact(&mut got).await.expect("read");
        assert_eq!(&got, b"abc");
    }

    #[tokio::test]
    async fn a_rate_and_a_latency_are_felt() {
        let proxy = FaultProxy::start(echo().await).await.expect("start");
        proxy.rate(Some(1_000));
        proxy.latency(Duration::from_millis(10));
        let mut stream = connected(&proxy).await;
        let begun = std::time::Instant::now();
        stream.write_all(&[7; 200]).await.expect("write");
        stream.read_exact(&mut [0; 200]).await.expect("read");
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    }
}
