//! What one connection goes through on its way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Condition;

/// How much one direction of a stalled connection holds, in chunks and bytes each; then its writer waits, as
/// on a full socket.
const HELD_CHUNKS: usize = 64;
const CHUNK_BYTES: usize = 16 * 1024;

/// The condition one connection is in, as it changes.
#[derive(Debug, Clone)]
pub(super) struct Line {
    condition: watch::Receiver<Condition>,
    number: u64,
    /// Of what the dialler sends.
    outward: usize,
}

impl Line {
    pub(super) fn new(condition: watch::Receiver<Condition>, number: u64, outward: usize) -> Self {
        Self {
            condition,
            number,
            outward,
        }
    }

    /// Resolves when a connection can be made; fails while the link is cut.
    pub(super) async fn connect(&mut self) -> io::Result<()> {
        // A cut while the dial hangs ends it.
        self.until(|condition| condition.cut || condition.held == [false; 2])
            .await;
        let condition = *self.condition.borrow();
        if condition.cut {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        // There and back.
        sleep(condition.delay * 2).await;
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.condition.borrow().delay
    }

    /// Whether nothing that is sent from now on will ever arrive.
    fn is_stranded(&self) -> bool {
        self.condition.borrow().stranded >= self.number
    }

    /// Resolves when what goes this way may pass.
    async fn open(&mut self, direction: usize) {
        self.until(|condition| !condition.held[direction]).await;
    }

    async fn cut(&mut self) {
        self.until(|condition| condition.cut).await;
    }

    /// Waits for a condition; for ever, when nobody is left who could change it.
    async fn until(&mut self, wanted: impl FnMut(&Condition) -> bool) {
        if self.condition.wait_for(wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Carries both directions between the dialler's end and the real stream, until both have ended or the link
/// is cut. Then both are dropped, which closes the real stream.
pub(super) async fn relay(far: Near, stream: impl AsyncRead + AsyncWrite + Unpin, line: Line) {
    let mut cut = line.clone();
    let (from_node, to_node) = far.split();
    let (from_net, to_net) = stream.split();
    let outward = line.outward;
    tokio::select! {
        _ = futures::future::join(
            pump(from_node, to_net, line.clone(), outward),
            pump(from_net, to_node, line.clone(), 1 - outward),
        ) => {}
        () = cut.cut() => {}
    }
}

/// Carries one direction. Ends when its source has ended, and passes that on only if the line lets it: the
/// death of a machine behind a dead line stays unknown.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: Line,
    direction: usize,
) {
    let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(HELD_CHUNKS);
    let timing = line.clone();
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let Ok(bytes @ 1..) = from.read(&mut chunk).await else {
                break;
            };
            chunk.truncate(bytes);
            if timing.is_stranded() {
                continue;
            }
            if sender
                .send((Instant::now() + timing.delay(), chunk))
                .await
                .is_err()
            {
                break;
            }
        }
    };
    let write = async move {
        // Once the other end takes no more, what still comes is read and dropped.
        let mut open = true;
        while let Some((due, chunk)) = held.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            line.open(direction).await;
            open = open && to.write_all(&chunk).await.is_ok() && to.flush().await.is_ok();
        }
        line.open(direction).await;
        if open && !line.is_stranded() {
            // Whoever is gone already need not be told.
            let _ = to.close().await;
        }
    };
    futures::future::join(read, write).await;
}

/// One end of a pipe in memory: what libp2p is given in place of the real stream.
#[derive(Debug)]
pub(in crate::net) struct Near(DuplexStream);

impl Near {
    pub(super) fn pair() -> (Self, Self) {
        let (a, b) = tokio::io::duplex(4 * CHUNK_BYTES);
        (Self(a), Self(b))
    }
}

impl AsyncRead for Near {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        let read = Pin::new(&mut self.0).poll_read(context, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::super::Links;
    use super::*;
    use crate::model::ReplicaId;

    /// Enough for anything that comes.
    const LONG: Duration = Duration::from_secs(10);
    /// How long to look for what must not come.
    const SHORT: Duration = Duration::from_millis(150);

    struct Bench {
        links: Links,
        a: ReplicaId,
        b: ReplicaId,
        at_a: Near,
        at_b: Near,
    }

    fn connected() -> Bench {
        let (a, b) = (
            ReplicaId::from_public_key([1; 32]),
            ReplicaId::from_public_key([2; 32]),
        );
        let links = Links::new();
        let ((at_a, far), (stream, at_b)) = (Near::pair(), Near::pair());
        tokio::spawn(relay(far, stream, links.line(a, b)));
        Bench {
            links,
            a,
            b,
            at_a,
            at_b,
        }
    }

    async fn arrives(from: &mut Near, to: &mut Near) -> bool {
        from.write_all(b"x").await.expect("the pipe takes a byte");
        let mut byte = [0];
        matches!(timeout(LONG, to.read(&mut byte)).await, Ok(Ok(1)))
    }

    #[tokio::test]
    async fn a_stall_holds_and_a_release_delivers() {
        let mut bench = connected();
        assert!(arrives(&mut bench.at_a, &mut bench.at_b).await);
        bench.links.stall_one_way(bench.a, bench.b);
        assert!(
            arrives(&mut bench.at_b, &mut bench.at_a).await,
            "the other way is open"
        );
        bench
            .at_a
            .write_all(b"y")
            .await
            .expect("the pipe takes a byte");
        let mut byte = [0];
        assert!(
            timeout(SHORT, bench.at_b.read(&mut byte)).await.is_err(),
            "it is held"
        );
        bench.links.release(bench.a, bench.b);
        assert_eq!(
            timeout(LONG, bench.at_b.read(&mut byte))
                .await
                .expect("in time")
                .expect("what was held"),
            1
        );
    }

    #[tokio::test]
    async fn a_cut_ends_both_sides() {
        let mut bench = connected();
        bench.links.cut(bench.a, bench.b);
        let mut byte = [0];
        assert_eq!(bench.at_a.read(&mut byte).await.expect("an end"), 0);
        assert_eq!(bench.at_b.read(&mut byte).await.expect("an end"), 0);
        assert!(bench.links.line(bench.b, bench.a).connect().await.is_err());
    }

    #[tokio::test]
    async fn the_dead_behind_a_stranded_line_stay_unknown() {
        let mut bench = connected();
        assert!(arrives(&mut bench.at_a, &mut bench.at_b).await);
        bench.links.strand(bench.a);
        drop(bench.at_a);
        let mut byte = [0];
        let end = timeout(SHORT, bench.at_b.read(&mut byte)).await;
        assert!(end.is_err(), "nothing may arrive, not even an end");
        assert!(
            bench.links.line(bench.b, bench.a).connect().await.is_ok(),
            "new connections work"
        );
    }

    #[tokio::test]
    async fn a_delay_takes_its_time() {
        let mut bench = connected();
        bench.links.delay(bench.a, bench.b, SHORT);
        let start = Instant::now();
        assert!(arrives(&mut bench.at_a, &mut bench.at_b).await);
        assert!(start.elapsed() >= SHORT);
    }
}
