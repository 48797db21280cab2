//! Tables for browsers that run no scripts. The page around them is loaded anew every 10 s.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use presence_mesh::{Freshness, Mesh, MessageCounts, Pattern, Shown};

use super::pages::escape;
use crate::lamp;
use crate::people::Person;
use crate::span;

/// All lamps and mailboxes in which `query` is found, as a table.
pub fn lamps(mesh: &Mesh, people: &[Person], query: &str) -> String {
    let people: BTreeMap<&str, &Person> = people
        .iter()
        .map(|person| (person.key.as_str(), person))
        .collect();
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let mut rows = Vec::new();
    // By number and whole name: a number may have boxes in several contexts.
    let boxes = mesh.mailboxes().list(&Pattern::any()).into_iter();
    let mut boxes: BTreeMap<(String, String), Shown<MessageCounts>> = boxes
        .map(|counts| {
            (
                (
                    counts.key.split('@').next().unwrap_or_default().to_owned(),
                    counts.key.to_string(),
                ),
                counts,
            )
        })
        .collect();
    for lamp in mesh.devices().list(&Pattern::any()) {
        let person = people.get(&*lamp.key).copied();
        let number = person
            .and_then(|person| person.extension.as_deref())
            .unwrap_or_else(|| number(&lamp.key));
        let mailbox = boxes
            .range((number.to_owned(), String::new())..)
            .next()
            .map(|(key, _)| key.clone());
        let mailbox = mailbox.filter(|key| key.0 == number);
        let mailbox = mailbox.and_then(|key| boxes.remove(&key));
        let state = format!("{} {}", lamp::symbol(lamp.value), lamp.value.label());
        rows.push(row(&lamp, person, &state, mailbox.as_ref()));
    }
    for counts in boxes.values() {
        rows.push(row(
            counts,
            people.get(&*counts.key).copied(),
            "",
            Some(counts),
        ));
    }
    rows.retain(|[name, extension, site, ..]| {
        let hay = format!("{name} {extension} {site}").to_lowercase();
        words.iter().all(|word| hay.contains(word))
    });
    let heads = ["Name", "Extension", "Site", "State", "Trust", "Messages"];
    table(
        &format!(
            "{} lamps, as {} sees them at {}; read anew every 10 s.",
            rows.len(),
            mesh.node(),
            now()
        ),
        heads,
        &rows,
    )
}

/// All nodes, as a table.
pub fn nodes(mesh: &Mesh) -> String {
    let own = mesh.status();
    let mut rows = vec![[
        own.node,
        "this node".to_owned(),
        String::new(),
        String::new(),
        format!("{:.8}", own.digest.to_string()),
        own.version.to_owned(),
    ]];
    for peer in mesh.peers() {
        let age = peer.age.map_or_else(
            || "never".to_owned(),
            |age| format!("{} ago", span::age(age)),
        );
        let standing = if peer.left {
            "left".to_owned()
        } else {
            peer.standing.to_string()
        };
        let connected = if peer.connected {
            "connected"
        } else {
            "not connected"
        };
        rows.push([
            peer.node,
            standing,
            connected.to_owned(),
            age,
            String::new(),
            peer.version,
        ]);
    }
    let heads = ["Node", "Standing", "Link", "Heard", "Digest", "Version"];
    table(
        &format!(
            "The nodes of {}, as {} sees them at {}; read anew every 10 s.",
            own.mesh,
            mesh.node(),
            now()
        ),
        heads,
        &rows,
    )
}

fn row<T>(
    shown: &Shown<T>,
    person: Option<&Person>,
    state: &str,
    mailbox: Option<&Shown<MessageCounts>>,
) -> [String; 6] {
    let site = || {
        shown
            .contributions
            .first()
            .map(|part| part.node.to_string())
            .unwrap_or_default()
    };
    let messages = |counts: &Shown<MessageCounts>| match counts.freshness {
        Freshness::Live => counts.value.to_string(),
        _ => format!(
            "{} ({})",
            counts.value,
            lamp::trust(counts.freshness, counts.age)
        ),
    };
    [
        person.map_or_else(|| shown.key.to_string(), |person| person.name.clone()),
        person
            .and_then(|person| person.extension.clone())
            .unwrap_or_default(),
        person
            .and_then(|person| person.site.clone())
            .unwrap_or_else(site),
        state.to_owned(),
        lamp::trust(shown.freshness, shown.age),
        mailbox.map(messages).unwrap_or_default(),
    ]
}

/// `100` of `PJSIP/100`.
fn number(key: &str) -> &str {
    key.rsplit(['/', ':']).next().unwrap_or(key)
}

fn table<const N: usize>(caption: &str, heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut html = format!(
        "<table class=\"served\"><caption>{}</caption><thead><tr>",
        escape(caption)
    );
    for head in heads {
        let _ = write!(html, "<th scope=\"col\">{head}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&row[0]));
        for cell in &row[1..] {
            let _ = write!(html, "<td>{}</td>", escape(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    html
}

fn now() -> String {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_is_no_html() {
        let html = table("a & b", ["x"], &[["</noscript><script>".to_owned()]]);
        assert!(
            html.contains("a &amp; b") && html.contains("&lt;/noscript&gt;&lt;script&gt;"),
            "{html}"
        );
    }
}
