//! systemd's journal: a line that says all, and each thing it says as a field to look for.

use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

const SOCKET: &str = "/run/systemd/journal/socket";
/// The names of what is ours begin so.
const PREFIX: &str = "MESH_";
/// Longer values are cut: an entry travels as one datagram, of which 200 KiB is what Linux lets through.
const VALUE_BYTES: usize = 4096;

/// Tells the journal. `MESSAGE` is what stands on a line elsewhere, the sentence and its data, since that is all that
/// `journalctl` and `systemctl status` show; the sentence alone is `MESH_EVENT`.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// # Errors
    /// When no journal listens.
    pub fn reach() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // An empty one is thrown away.
        socket.send_to(&[], SOCKET)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("the span is new");
        let mut data = Data::default();
        attributes.record(&mut data);
        span.extensions_mut().insert(data);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("the span is open");
        if let Some(data) = span.extensions_mut().get_mut::<Data>() {
            values.record(data);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Data::default();
        event.record(&mut told);
        let mut entry = Vec::with_capacity(512);
        let metadata = event.metadata();
        put(&mut entry, "MESSAGE", &told.line());
        put(&mut entry, "PRIORITY", priority(*metadata.level()));
        put(&mut entry, "SYSLOG_IDENTIFIER", env!("CARGO_BIN_NAME"));
        put(&mut entry, "TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            put(&mut entry, "CODE_FILE", file);
            put(&mut entry, "CODE_LINE", &line.to_string());
        }
        put(&mut entry, &format!("{PREFIX}EVENT"), &told.sentence);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(data) = span.extensions().get::<Data>() {
                data.put(&mut entry);
            }
        }
        told.put(&mut entry);
        // Nobody is left to tell.
        let _ = self.socket.send_to(&entry, SOCKET);
    }
}

/// The journal's numbers are syslog's. What starts and stops is a notice there, as it is more than chatter.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

/// What an event or a span says.
#[derive(Debug, Default)]
struct Data {
    sentence: String,
    fields: Vec<(&'static str, String)>,
}

impl Data {
    fn line(&self) -> String {
        let mut line = self.sentence.clone();
        for (name, value) in &self.fields {
            let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace());
            let written = if plain {
                write!(line, " {name}={value}")
            } else {
                write!(line, " {name}={value:?}")
            };
            written.expect("a string takes everything");
        }
        line
    }

    fn put(&self, entry: &mut Vec<u8>) {
        for (name, value) in &self.fields {
            put(entry, &field_name(name), value);
        }
    }
}

impl Visit for Data {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.sentence);
        } else {
            self.fields.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The journal throws away fields of other names than `A-Z`, `0-9` and `_` make.
fn field_name(name: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_uppercase() {
        letter @ ('A'..='Z' | '0'..='9') => letter,
        _ => '_',
    };
    PREFIX.chars().chain(name.chars().map(letter)).collect()
}

/// The name, a line's end, the length, the value: whatever the value holds, it cannot pass for another field.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let mut end = value.len().min(VALUE_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let length = u64::try_from(end).expect("it is bounded");
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&length.to_le_bytes());
    entry.extend_from_slice(&value.as_bytes()[..end]);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_neither_be_endless_nor_pass_for_a_field() {
        let mut entry = Vec::new();
        put(&mut entry, "MESH_PEER", "x\nPRIORITY=0\n");
        let mut wanted = b"MESH_PEER\n".to_vec();
        wanted.extend_from_slice(&[13, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend_from_slice(b"x\nPRIORITY=0\n\n");
        assert_eq!(entry, wanted);
        entry.clear();
        put(&mut entry, "A", &"ä".repeat(VALUE_BYTES));
        assert_eq!(entry.len(), 2 + 8 + VALUE_BYTES + 1);
        // A letter of two bytes is taken whole or not at all.
        entry.clear();
        put(&mut entry, "A", &format!("x{}", "ä".repeat(VALUE_BYTES)));
        assert_eq!(entry.len(), 2 + 8 + VALUE_BYTES - 1 + 1);
        assert_eq!(field_name("found-by.r#type"), "MESH_FOUND_BY_R_TYPE");
    }

    #[test]
    fn the_line_says_all() {
        let data = Data {
            sentence: "a peer came".to_owned(),
            fields: vec![
                ("peer", "12D3".to_owned()),
                ("error", "broken pipe".to_owned()),
            ],
        };
        assert_eq!(data.line(), "a peer came peer=12D3 error=\"broken pipe\"");
    }
}
