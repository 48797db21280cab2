//! Requests and responses on a stream: a length (u32, big endian), then that many bytes.
//!
//! Encoding and decoding, with its signature checks, happen here, on the connection's own task: neither the
//! driver nor whoever waits for the replica's lock pays for them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use crate::wire::{self, DecodeError, MAX_SYNC_BYTES, MeshId};

/// Why a message was refused: one word. It is handed to the driver, which counts it; an `io::Error` would only
/// say that a stream broke.
pub(super) type Refused = &'static str;

/// What precedes each message.
const LENGTH_BYTES: u64 = 4;

/// Reads and writes what two replicas say to each other.
#[derive(Debug, Clone)]
pub(super) struct SyncCodec {
    mesh: MeshId,
    bytes: Arc<SyncBytes>,
}

/// How many bytes were exchanged in questions and answers, their lengths included.
#[derive(Debug, Default)]
pub(super) struct SyncBytes {
    received: AtomicU64,
    sent: AtomicU64,
}

impl SyncBytes {
    /// Received and sent.
    pub(super) fn get(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.received), load(&self.sent))
    }
}

impl SyncCodec {
    pub(super) fn new(mesh: MeshId, bytes: Arc<SyncBytes>) -> Self {
        Self { mesh, bytes }
    }
}

impl Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Result<wire::Request, Refused>;
    type Response = Result<wire::Response, Refused>;

    async fn read_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, &self.bytes.received, wire::Request::decode).await
    }

    async fn read_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<Self::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mesh = self.mesh;
        read(stream, &self.bytes.received, |bytes| {
            wire::Response::decode(bytes, &mesh)
        })
        .await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.map_err(io::Error::other)?.encode();
        write(stream, &self.bytes.sent, &request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: Self::Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let response = response.map_err(io::Error::other)?.encode();
        write(stream, &self.bytes.sent, &response).await
    }
}

async fn read<T, M>(
    stream: &mut T,
    received: &AtomicU64,
    decode: impl FnOnce(&[u8]) -> Result<M, DecodeError>,
) -> io::Result<Result<M, Refused>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err("truncated")),
        other => other?,
    }
    let length = u32::from_be_bytes(length);
    if length as usize > MAX_SYNC_BYTES {
        return Ok(Err("oversize"));
    }
    // Grows with what arrives: a length that promises much costs nothing by itself.
    let mut bytes = Vec::new();
    stream.take(length.into()).read_to_end(&mut bytes).await?;
    received.fetch_add(LENGTH_BYTES + bytes.len() as u64, Ordering::Relaxed);
    if bytes.len() < length as usize {
        return Ok(Err("truncated"));
    }
    Ok(decode(&bytes).map_err(|error| error.reason()))
}

async fn write<T: AsyncWrite + Unpin + Send>(
    stream: &mut T,
    sent: &AtomicU64,
    bytes: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).expect("messages are bounded far below 4 GiB");
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(bytes).await?;
    sent.fetch_add(LENGTH_BYTES + u64::from(length), Ordering::Relaxed);
    stream.close().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Incarnation;
    use crate::wire::{About, Answer, Digest, MeshKey, Request, Response};

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    fn codec() -> SyncCodec {
        let mesh = MeshId::derive(&MeshKey::from_bytes([1; 32]), "acme");
        SyncCodec::new(mesh, Arc::default())
    }

    async fn request(bytes: &[u8]) -> Result<Request, Refused> {
        codec()
            .read_request(&PROTOCOL, &mut &bytes[..])
            .await
            .expect("reading from memory")
    }

    #[tokio::test]
    async fn what_is_written_reads_back() {
        let mut bytes = Vec::new();
        let asked = Request::Root(Digest([7; 16]));
        codec()
            .write_request(&PROTOCOL, &mut bytes, Ok(asked.clone()))
            .await
            .expect("writing to memory");
        assert_eq!(request(&bytes).await, Ok(asked));

        let about = About {
            incarnation: Incarnation(1),
            up_ms: 2,
            wall_ms: 3,
        };
        let answered = Response {
            about,
            answer: Answer::Equal,
        };
        let mut bytes = Vec::new();
        codec()
            .write_response(&PROTOCOL, &mut bytes, Ok(answered.clone()))
            .await
            .expect("writing to memory");
        let mut codec = codec();
        let read = codec
            .read_response(&PROTOCOL, &mut &bytes[..])
            .await
            .expect("reading from memory");
        assert_eq!(read, Ok(answered));
        assert_eq!(codec.bytes.get(), (bytes.len() as u64, 0));
    }

    #[tokio::test]
    async fn hostile_bytes_are_refused_by_name() {
        let huge = u32::try_from(MAX_SYNC_BYTES + 1)
            .expect("small")
            .to_be_bytes();
        assert_eq!(request(&huge).await, Err("oversize"));
        assert_eq!(request(&[]).await, Err("truncated"));
        assert_eq!(request(&[0, 0, 1]).await, Err("truncated"));
        assert_eq!(request(&[0, 0, 1, 0, 1, 2, 3]).await, Err("truncated"));
        assert_eq!(request(&[0, 0, 0, 0]).await, Err("malformed"));
        assert_eq!(
            request(&[0, 0, 0, 3, 1, 0xff, 0xff]).await,
            Err("malformed")
        );
        assert_eq!(request(&[0, 0, 0, 3, 200, 0, 0]).await, Err("version"));
    }
}
