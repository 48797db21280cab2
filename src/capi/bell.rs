//! A file descriptor that can be read while something may be there to take.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

/// A pipe that holds one byte while it rings, none while it does not: neither end ever blocks.
#[derive(Debug)]
pub(super) struct Bell {
    pipe: Mutex<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    rings: bool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Bell {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let (reader, writer) = io::pipe()?;
        let pipe = Mutex::new(Pipe {
            rings: false,
            reader,
            writer,
        });
        Ok(Arc::new(Self { pipe }))
    }

    /// The end to be polled. Closed when the bell is dropped.
    pub(super) fn fd(&self) -> RawFd {
        self.with(|pipe| pipe.reader.as_raw_fd())
    }

    pub(super) fn ring(&self) {
        self.with(|pipe| {
            // An empty pipe takes a byte, unless C closed what is not its own.
            if !pipe.rings && pipe.writer.write_all(b"!").is_ok() {
                pipe.rings = true;
            }
        });
    }

    pub(super) fn silence(&self) {
        self.with(|pipe| {
            if pipe.rings && pipe.reader.read_exact(&mut [0]).is_ok() {
                pipe.rings = false;
            }
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Pipe) -> R) -> R {
        work(&mut self.pipe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
