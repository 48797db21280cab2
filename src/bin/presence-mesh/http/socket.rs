//! A connection to a client that may be slow, or no client at all.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::Problem;

/// Who has not taken by then what was to be sent is let go; what it held is free again. Nobody who reads at all is
/// this slow: it is 64 KiB of a stream, or the rest of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// In the head of every answer of ours, see [`super::guard`].
const OURS: &[u8] = b"x-content-type-options";

/// Gives up on who takes nothing, and says in words what is wrong with what is no HTTP.
#[derive(Debug)]
pub struct Socket {
    stream: TokioIo<TcpStream>,
    /// Bytes that were not taken when they were offered, and until when they have to be.
    behind: Option<(usize, Pin<Box<Sleep>>)>,
    timeout: Duration,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream: TokioIo::new(stream),
            behind: None,
            timeout: WRITE_TIMEOUT,
        }
    }

    /// Of `offered` bytes those were taken that `result` says.
    fn mind(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let taken = match result {
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => 0,
        };
        match &mut self.behind {
            Some((left, _)) if *left > taken => *left -= taken,
            _ if offered == taken => self.behind = None,
            behind => *behind = Some((offered - taken, Box::pin(sleep(self.timeout)))),
        }
        if result.is_pending()
            && let Some((_, timeout)) = &mut self.behind
            && timeout.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }

    /// hyper refuses what is no HTTP with an empty answer. That is written with words, as any refusal is.
    fn refuse(
        &mut self,
        context: &mut Context<'_>,
        offered: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        let status = offered.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
        let ours = offered.windows(OURS.len()).any(|part| part == OURS);
        if ours || self.behind.is_some() || !offered.ends_with(b"\r\n\r\n") {
            return None;
        }
        let answer = match status {
            b"14" => refusal(StatusCode::URI_TOO_LONG, "the path is too long"),
            b"31" => refusal(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the headers are too long or too many",
            ),
            _ => refusal(StatusCode::BAD_REQUEST, "this is no HTTP request"),
        };
        let written = Pin::new(&mut self.stream).poll_write(context, &answer);
        // The connection ends with this: were it not taken as a whole, there would be nobody to take the rest.
        Some(written.map_ok(|_| offered.len()))
    }
}

/// A whole answer, after which the connection ends.
pub fn refusal(status: StatusCode, detail: &str) -> Vec<u8> {
    let body = Problem::new(status, detail).to_json();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(refused) = self.refuse(context, bytes) {
            return refused;
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.mind(context, bytes.len(), result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [head] = parts
            && let Some(refused) = self.refuse(context, head)
        {
            return refused;
        }
        let offered = parts.iter().map(|part| part.len()).sum();
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.mind(context, offered, result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A socket that waits for 100 ms, and its client.
    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let mut socket = Socket::new(accepted.unwrap().0);
        socket.timeout = Duration::from_millis(100);
        (socket, client.unwrap())
    }

    async fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|context| Pin::new(&mut *socket).poll_write(context, bytes)).await
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (mut socket, _client) = pair().await;
        let bytes = vec![7; 64 * 1024];
        let error = loop {
            if let Err(error) = write(&mut socket, &bytes).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// However much more there always is to send: only what was offered then has to be taken in time.
    #[tokio::test]
    async fn who_takes_it_slowly_is_not() {
        let (mut socket, mut client) = pair().await;
        let reading = tokio::spawn(async move {
            let mut taken = vec![0; 256 * 1024];
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while client.read(&mut taken).await.is_ok_and(|read| read > 0) {
                pace.tick().await;
            }
        });
        let bytes = vec![7; 64 * 1024];
        let (start, mut behind) = (tokio::time::Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(500) {
            assert!(write(&mut socket, &bytes).await.is_ok());
            behind += u32::from(socket.behind.is_some());
        }
        assert!(behind > 0, "all fitted: the test must write more");
        drop(socket);
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_refused_below_us_is_refused_in_words() {
        let (mut socket, mut client) = pair().await;
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(write(&mut socket, bare).await.unwrap(), bare.len());
        let ours = refusal(StatusCode::NOT_FOUND, "no");
        assert_eq!(write(&mut socket, &ours).await.unwrap(), ours.len());
        drop(socket);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("too long or too many"));
        assert!(
            answer.ends_with(&String::from_utf8(ours).unwrap()),
            "{answer}"
        );
    }
}
