//! All lamps, and whose they are.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use presence_mesh::Freshness;

use super::look::{Look, ascii, clean, words};
use super::told::{Item, Space};
use crate::api::Object;
use crate::people::Person;

/// Keys kept of each space: ten times what anybody can read; more are counted, not shown.
const MOST_KEYS: usize = 100_000;
/// The site of what several nodes say something of.
pub const SHARED: &str = "shared";

/// What is known, put together by site and person.
#[derive(Debug, Default)]
pub struct Lamps {
    known: [BTreeMap<String, Known>; 3],
    people: BTreeMap<String, Person>,
    sites: Vec<Site>,
    /// Keys came, went or moved since the sites were put together.
    stirred: bool,
    /// Keys there was no room for.
    pub left_out: usize,
}

/// What is known of one key.
#[derive(Debug, Clone)]
struct Known {
    item: Item,
    freshness: Freshness,
    age: Duration,
    heard_at: Instant,
    nodes: Vec<String>,
}

#[derive(Debug)]
pub struct Site {
    pub name: String,
    pub rows: Vec<Row>,
}

/// A person, a phone, or a mailbox of nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    /// Empty where the name says it.
    pub extension: String,
    /// What is shown of it, the first being what it is named by.
    keys: [Option<String>; 3],
    hay: String,
}

/// Since when nothing has been heard of the node that is looked at.
pub type Lost = Option<Instant>;

impl Lamps {
    pub fn people(&mut self, people: Vec<Person>) {
        let people = people.into_iter().take(MOST_KEYS);
        self.people = people.map(|person| (person.key.clone(), person)).collect();
        self.stirred = true;
    }

    pub fn all(&mut self, space: Space, all: Vec<Object<Item>>, now: Instant) {
        self.left_out = all.len().saturating_sub(MOST_KEYS);
        let known = all.into_iter().take(MOST_KEYS);
        self.known[space as usize] = known.map(|object| Known::new(object, now)).collect();
        self.stirred = true;
    }

    pub fn change(&mut self, space: Space, key: &str, new: Option<Object<Item>>, now: Instant) {
        let all = &mut self.known[space as usize];
        let Some(new) = new else {
            self.stirred |= all.remove(key).is_some();
            return;
        };
        let (key, new) = Known::new(new, now);
        let full = all.len() >= MOST_KEYS;
        match all.get_mut(&key) {
            Some(old) => {
                self.stirred |= old.nodes != new.nodes;
                *old = new;
            }
            None if full => self.left_out += 1,
            None => {
                self.stirred = true;
                all.insert(key, new);
            }
        }
    }

    /// Puts the sites together again if need be; `nodes` come first, in their order.
    pub fn arrange<'a>(&mut self, nodes: impl Iterator<Item = &'a str>) {
        let nodes: Vec<&str> = nodes.collect();
        let fits = nodes
            .iter()
            .enumerate()
            .all(|(at, node)| self.sites.get(at).is_some_and(|site| site.name == *node));
        if !self.stirred && fits {
            return;
        }
        self.stirred = false;
        let mut rows = self.rows(&nodes);
        self.sites = Vec::new();
        for node in nodes {
            let rows = rows.remove(node).unwrap_or_default();
            self.sites.push(Site::new(node.to_owned(), rows));
        }
        let shared = rows.remove(SHARED);
        for (name, rows) in rows
            .into_iter()
            .chain(shared.map(|rows| (SHARED.to_owned(), rows)))
        {
            self.sites.push(Site::new(name, rows));
        }
    }

    /// Each device, with the presence and the mailbox of its number; then what has no device. By site.
    fn rows(&self, nodes: &[&str]) -> BTreeMap<String, Vec<Row>> {
        let mut rows: Vec<(String, Row)> = Vec::new();
        let mut by_number: BTreeMap<&str, usize> = BTreeMap::new();
        let mut extensions: BTreeMap<String, usize> = BTreeMap::new();
        for space in Space::ALL {
            for (key, known) in &self.known[space as usize] {
                let number = match space {
                    Space::Mailbox => key.split('@').next().unwrap_or(key),
                    _ => key.rsplit(['/', ':']).next().unwrap_or(key),
                };
                let owner = match space {
                    Space::Device => None,
                    _ => by_number.get(number).or_else(|| extensions.get(number)),
                };
                if let Some((_, row)) = owner.map(|at| &mut rows[*at])
                    && row.keys[space as usize].is_none()
                {
                    row.keys[space as usize] = Some(key.clone());
                    continue;
                }
                let person = self.people.get(key);
                let site = self.site(person, known, nodes);
                let mut row = Row::new(key, number, person, &site);
                row.keys[space as usize] = Some(key.clone());
                by_number.entry(number).or_insert(rows.len());
                if !row.extension.is_empty() {
                    extensions
                        .entry(row.extension.clone())
                        .or_insert(rows.len());
                }
                rows.push((site, row));
            }
        }
        let mut sites: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for (site, row) in rows {
            sites.entry(site).or_default().push(row);
        }
        sites
    }

    fn site(&self, person: Option<&Person>, known: &Known, nodes: &[&str]) -> String {
        let given = person.and_then(|person| person.site.as_deref());
        let name = match (given, known.nodes.as_slice()) {
            (Some(site), _) => site,
            (None, [node]) => node,
            (None, _) => SHARED,
        };
        let node = nodes.iter().find(|node| node.eq_ignore_ascii_case(name));
        node.map_or_else(|| clean(name), |node| (*node).to_owned())
    }

    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// How many lamps there are, and how many of them are old.
    pub fn count(&self, lost: Lost) -> (usize, usize) {
        let devices = &self.known[Space::Device as usize];
        let old = |known: &&Known| lost.is_some() || known.freshness != Freshness::Live;
        (devices.len(), devices.values().filter(old).count())
    }

    pub fn look(&self, row: &Row, lost: Lost, now: Instant) -> Look {
        let known = |space: Space| {
            let key = row.keys[space as usize].as_ref()?;
            self.known[space as usize].get(key)
        };
        let [device, presence, mailbox] = Space::ALL.map(known);
        let Some(main) = device.or(presence).or(mailbox) else {
            return Look::of(&Item::Device(presence_mesh::DeviceState::Unknown));
        };
        let mut look = Look::of(&main.item);
        // Who is away though the phone is free is away.
        if let (Some(Item::Device(presence_mesh::DeviceState::NotInUse)), Some(presence)) =
            (device.map(|known| &known.item), presence)
        {
            let away = Look::of(&presence.item);
            if away.tone == super::theme::Tone::Away {
                look = away;
            }
        }
        look.age = main.age(lost, now);
        look.mail = mailbox.and_then(|known| match known.item {
            Item::Mailbox(counts) => {
                let new = counts.new.saturating_add(counts.urgent_new);
                let counted = device.or(presence).is_some() && new > 0;
                counted.then(|| (new, known.age(lost, now).is_some()))
            }
            _ => None,
        });
        look
    }

    /// Whether a row is among those looked for: all words must occur in what is shown of it.
    pub fn matches(&self, row: &Row, words: &[String], lost: Lost, now: Instant) -> bool {
        if words.iter().all(|word| row.hay.contains(word.as_str())) {
            return true;
        }
        let look = self.look(row, lost, now);
        let trust = if look.age.is_some() {
            "stale old"
        } else {
            "live"
        };
        let mail = if look.mail.is_some() { "messages" } else { "" };
        let more = format!("{} {trust} {mail}", look.label.to_lowercase());
        words
            .iter()
            .all(|word| row.hay.contains(word.as_str()) || more.contains(word.as_str()))
    }

    /// What a key shows, as a line tells it: `[#] On a call`, and of what is old how far it is trusted.
    pub fn said(&self, space: Space, key: &str) -> Option<String> {
        let known = self.known[space as usize].get(key)?;
        let (shape, words) = (Look::of(&known.item).ascii_shape, words(&known.item));
        Some(match known.freshness {
            Freshness::Live => format!("{shape} {words}"),
            other => format!("{shape} {words} ({other})"),
        })
    }

    /// Who a key belongs to, for people.
    pub fn who(&self, key: &str) -> String {
        let person = self.people.get(key);
        person.map_or_else(|| clean(key), |person| clean(&person.name))
    }
}

impl Known {
    fn new(object: Object<Item>, now: Instant) -> (String, Self) {
        let mut nodes: Vec<String> = object
            .contributions
            .into_iter()
            .map(|part| part.node)
            .collect();
        nodes.sort();
        nodes.dedup();
        let known = Self {
            item: object.value,
            freshness: object.freshness,
            age: Duration::from_millis(object.age_ms),
            heard_at: now,
            nodes,
        };
        (object.key, known)
    }

    /// How old it is; `None` while it can be trusted.
    fn age(&self, lost: Lost, now: Instant) -> Option<Duration> {
        match (self.freshness, lost) {
            (Freshness::Live, None) => None,
            (Freshness::Live, Some(since)) => Some(now.saturating_duration_since(since)),
            _ => Some(self.age + now.saturating_duration_since(self.heard_at)),
        }
    }
}

impl Site {
    fn new(name: String, mut rows: Vec<Row>) -> Self {
        rows.sort_by(Row::order);
        Self { name, rows }
    }
}

impl Row {
    fn new(key: &str, number: &str, person: Option<&Person>, site: &str) -> Self {
        let name = person.map_or(key, |person| &person.name);
        let given = person.and_then(|person| person.extension.as_deref());
        let extension = match (given, person) {
            (Some(extension), _) => extension,
            (None, Some(_)) if number != name => number,
            _ => "",
        };
        Self {
            name: clean(name),
            extension: clean(extension),
            keys: Default::default(),
            hay: ascii(&format!("{name} {extension} {key} {site}").to_lowercase()),
        }
    }

    /// What it is named by.
    pub fn key(&self) -> Option<(Space, &str)> {
        self.all_keys().next()
    }

    pub fn all_keys(&self) -> impl Iterator<Item = (Space, &str)> {
        let keys = Space::ALL.into_iter().zip(&self.keys);
        keys.filter_map(|(space, key)| Some((space, key.as_deref()?)))
    }

    /// By extension as a number, where there is one, then as texts.
    fn order(&self, other: &Self) -> Ordering {
        let sort = |row: &Self| {
            let text = if row.extension.is_empty() {
                &row.name
            } else {
                &row.extension
            };
            let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
            (digits.parse::<u64>().unwrap_or(u64::MAX), text.clone())
        };
        sort(self)
            .cmp(&sort(other))
            .then_with(|| self.keys.cmp(&other.keys))
    }
}

#[cfg(test)]
mod tests {
    use presence_mesh::{DeviceState, MessageCounts, Presence, PresenceStatus};

    use super::*;
    use crate::panel::board::tests::object;

    fn person(key: &str, name: &str, extension: Option<&str>) -> Person {
        Person {
            key: key.into(),
            name: name.into(),
            extension: extension.map(str::to_owned),
            site: None,
        }
    }

    fn names(lamps: &Lamps) -> Vec<(String, Vec<String>)> {
        let rows = |site: &Site| site.rows.iter().map(|row| row.name.clone()).collect();
        lamps
            .sites()
            .iter()
            .map(|site| (site.name.clone(), rows(site)))
            .collect()
    }

    /// One line a person: what belongs together is found by number.
    #[test]
    fn a_phone_its_mailbox_and_its_owners_presence_are_one_row() {
        let now = Instant::now();
        let mut lamps = Lamps::default();
        lamps.people(vec![
            person("PJSIP/abc", "Anna", Some("9")),
            person("PJSIP/100", "Luc", None),
        ]);
        let device = |key| object(key, Item::Device(DeviceState::NotInUse), &["berlin"]);
        lamps.all(
            Space::Device,
            vec![device("PJSIP/abc"), device("PJSIP/100"), device("PJSIP/20")],
            now,
        );
        let counts =
            |key, nodes: &[&str]| object(key, Item::Mailbox(MessageCounts::new(3, 1)), nodes);
        let boxes = vec![
            counts("9@default", &["berlin"]),
            counts("600@default", &["berlin", "oslo"]),
        ];
        lamps.all(Space::Mailbox, boxes, now);
        let dnd = Presence {
            status: PresenceStatus::Dnd,
            ..Presence::default()
        };
        lamps.all(
            Space::Presence,
            vec![object("100", Item::Presence(dnd), &["berlin"])],
            now,
        );
        lamps.arrange(["berlin", "oslo"].into_iter());
        let expected = [
            ("berlin", vec!["Anna", "PJSIP/20", "Luc"]),
            ("oslo", vec![]),
            ("shared", vec!["600@default"]),
        ];
        let expected: Vec<(String, Vec<String>)> = expected
            .into_iter()
            .map(|(site, rows)| (site.into(), rows.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(names(&lamps), expected);
        let rows = &lamps.sites()[0].rows;
        assert_eq!(lamps.look(&rows[0], None, now).mail, Some((3, false)));
        assert_eq!(lamps.look(&rows[2], None, now).label, "Do not disturb");
    }

    #[test]
    fn a_lamp_grows_older_until_it_is_heard_again() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut lamps = Lamps::default();
        let device = |freshness, age_ms| {
            let mut object = object("PJSIP/1", Item::Device(DeviceState::InUse), &["oslo"]);
            (object.freshness, object.age_ms) = (freshness, age_ms);
            object
        };
        lamps.all(Space::Device, vec![device(Freshness::Stale, 3_000)], now);
        lamps.arrange(std::iter::empty());
        let age = |lamps: &Lamps, lost, now| lamps.look(&lamps.sites()[0].rows[0], lost, now).age;
        assert_eq!(age(&lamps, None, later), Some(Duration::from_secs(8)));
        lamps.change(
            Space::Device,
            "PJSIP/1",
            Some(device(Freshness::Live, 0)),
            now,
        );
        assert_eq!(age(&lamps, None, later), None);
        assert_eq!(lamps.count(None), (1, 0));
        // Nothing is live once the node that says so is lost.
        assert_eq!(age(&lamps, Some(now), later), Some(Duration::from_secs(5)));
        assert_eq!(lamps.count(Some(now)), (1, 1));
    }

    #[test]
    fn keys_beyond_the_bound_are_counted_and_left_out() {
        let now = Instant::now();
        let mut lamps = Lamps::default();
        let all = (0..MOST_KEYS + 2)
            .map(|n| object(&n.to_string(), Item::Device(DeviceState::Busy), &["a"]));
        lamps.all(Space::Device, all.collect(), now);
        assert_eq!((lamps.count(None).0, lamps.left_out), (MOST_KEYS, 2));
    }
}
