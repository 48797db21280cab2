//! Who calls whom, and what that does to lamps and mailboxes. Knows no mesh and no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use presence_mesh::{DeviceState, MessageCounts};

use super::dice::Dice;
use crate::people::Person;

/// How often each phone calls on average: some ten times the rhythm of a busy office, so that there is
/// something to see.
const CALL_EVERY: Duration = Duration::from_secs(45);
const FIRST_NUMBER: usize = 100;
const FIRST_NAMES: [&str; 20] = [
    "Anna", "Bernd", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Klara",
    "Luc", "Marie", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tara", "Viktor",
];
const LAST_NAMES: [&str; 16] = [
    "Berger",
    "Martin",
    "Evans",
    "García",
    "Hansen",
    "Rossi",
    "Gruber",
    "Silva",
    "Byrne",
    "Novák",
    "Kowalska",
    "Papadakis",
    "Keller",
    "Moreau",
    "Costa",
    "Ozols",
];

/// What a site learns of one of its phones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub site: usize,
    pub key: String,
    pub reading: Reading,
}

/// The state of a device, or the messages in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Lamp(DeviceState),
    Messages(MessageCounts),
}

/// All phones, and what they are going to do.
#[derive(Debug)]
pub struct Phones {
    phones: Vec<Phone>,
    /// Which sites can reach each other: those of one number.
    sides: Vec<u8>,
    agenda: BinaryHeap<Reverse<(Duration, u64, usize, Step)>>,
    /// Keeps what is due at one moment in the order it was planned.
    planned: u64,
    next_call: Duration,
    dice: Dice,
}

#[derive(Debug)]
struct Phone {
    site: usize,
    number: usize,
    messages: MessageCounts,
    /// In a call, or about to be.
    engaged: bool,
}

/// What a phone does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Show(DeviceState),
    /// Somebody leaves a message in its mailbox.
    Message,
    /// Its owner listens to all messages.
    Listen,
    /// Free for the next call.
    Free,
}

impl Phones {
    /// `count` phones spread over `sites`; all free at first.
    pub fn new(sites: usize, count: usize, seed: u64) -> Self {
        let phone = |n| Phone {
            site: n % sites,
            number: FIRST_NUMBER + n,
            messages: MessageCounts::default(),
            engaged: false,
        };
        let mut phones = Self {
            phones: (0..count).map(phone).collect(),
            sides: vec![0; sites],
            agenda: BinaryHeap::new(),
            planned: 0,
            next_call: Duration::ZERO,
            dice: Dice::new(seed),
        };
        phones.schedule_call(Duration::ZERO);
        phones
    }

    /// What everyone says at the start.
    pub fn all(&self) -> Vec<Act> {
        self.all_of(self.phones.iter())
    }

    fn all_of<'a>(&self, phones: impl Iterator<Item = &'a Phone>) -> Vec<Act> {
        let acts = phones.flat_map(|phone| {
            [
                phone.act(Reading::Lamp(DeviceState::NotInUse)),
                phone.act(Reading::Messages(phone.messages)),
            ]
        });
        acts.collect()
    }

    /// Who the phones belong to.
    pub fn people(&self) -> Vec<Person> {
        let person = |phone: &Phone| {
            let n = phone.number - FIRST_NUMBER;
            let last = n * 7 + n / FIRST_NAMES.len() * 5;
            Person {
                key: phone.key(),
                name: format!(
                    "{} {}",
                    FIRST_NAMES[n % FIRST_NAMES.len()],
                    LAST_NAMES[last % LAST_NAMES.len()]
                ),
                extension: Some(phone.number.to_string()),
                site: None,
            }
        };
        self.phones.iter().map(person).collect()
    }

    /// What the phones of one site say when it starts again: nobody is on the line, the messages are kept.
    pub fn at(&self, site: usize) -> Vec<Act> {
        self.all_of(self.phones.iter().filter(|phone| phone.site == site))
    }

    /// How many phones a site has.
    pub fn count(&self, site: usize) -> usize {
        self.phones
            .iter()
            .filter(|phone| phone.site == site)
            .count()
    }

    /// Somebody who is free calls `wanted` now, or anybody; the keys of both. `can` says whose site may.
    ///
    /// # Errors
    /// Why nobody can be called; nothing has changed.
    pub fn ring(
        &mut self,
        now: Duration,
        wanted: Option<&str>,
        can: impl Fn(usize) -> bool,
    ) -> Result<(String, String), String> {
        let free: Vec<usize> = (0..self.phones.len())
            .filter(|phone| !self.phones[*phone].engaged && can(self.phones[*phone].site))
            .collect();
        let is_wanted =
            |phone: &&usize| wanted.is_none_or(|wanted| self.phones[**phone].key() == wanted);
        // Each with whom it can reach.
        let side = |phone: usize| self.sides[self.phones[phone].site];
        let calls: Vec<(usize, usize)> = free
            .iter()
            .filter(is_wanted)
            .flat_map(|callee| free.iter().map(|caller| (*caller, *callee)))
            .filter(|(caller, callee)| caller != callee && side(*caller) == side(*callee))
            .collect();
        if calls.is_empty() {
            return Err(match wanted {
                Some(wanted) => {
                    format!("{wanted} is on the phone, or nobody who is free can reach it")
                }
                None => "everybody is on the phone".to_owned(),
            });
        }
        let (caller, callee) = calls[self.dice.below(calls.len())];
        self.phones[caller].engaged = true;
        self.plan(now, caller, Step::Show(DeviceState::InUse));
        self.connect(now, caller, callee);
        Ok((self.phones[caller].key(), self.phones[callee].key()))
    }

    /// From now on only sites of one side can call each other.
    pub fn divide(&mut self, sides: Vec<u8>) {
        self.sides = sides;
    }

    /// When something happens next, counted from the start.
    pub fn next_at(&self) -> Duration {
        self.agenda
            .peek()
            .map_or(self.next_call, |Reverse((at, ..))| self.next_call.min(*at))
    }

    /// What has happened up to `now`.
    pub fn happen(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        while self.next_at() <= now {
            match self.agenda.peek() {
                Some(Reverse((at, ..))) if *at <= self.next_call => {
                    if let Some(Reverse((_, _, phone, step))) = self.agenda.pop() {
                        acts.extend(self.step(phone, step));
                    }
                }
                _ => {
                    self.call(self.next_call);
                    self.schedule_call(self.next_call);
                }
            }
        }
        acts
    }

    fn step(&mut self, phone: usize, step: Step) -> Option<Act> {
        let phone = &mut self.phones[phone];
        match step {
            Step::Show(state) => return Some(phone.act(Reading::Lamp(state))),
            Step::Message => phone.messages.new += 1,
            Step::Listen => {
                phone.messages.old += phone.messages.new;
                phone.messages.new = 0;
            }
            Step::Free => {
                phone.engaged = false;
                return None;
            }
        }
        Some(phone.act(Reading::Messages(phone.messages)))
    }

    fn schedule_call(&mut self, now: Duration) {
        let mean = CALL_EVERY / u32::try_from(self.phones.len()).unwrap_or(u32::MAX);
        self.next_call = now + self.dice.wait(mean).max(Duration::from_millis(5));
    }

    /// Plans a whole call, from the first digit to the last lamp going out.
    fn call(&mut self, now: Duration) {
        let caller = self.dice.below(self.phones.len());
        if !self.phones[caller].engaged {
            self.call_from(now, caller);
        }
    }

    fn call_from(&mut self, now: Duration, caller: usize) {
        self.phones[caller].engaged = true;
        self.plan(now, caller, Step::Show(DeviceState::InUse));
        if self.phones[caller].messages.new > 0 && self.dice.chance(0.5) {
            return self.listen(now, caller);
        }
        let reachable = |other: usize| {
            self.sides[self.phones[other].site] == self.sides[self.phones[caller].site]
        };
        let free: Vec<usize> = (0..self.phones.len())
            .filter(|other| *other != caller && !self.phones[*other].engaged && reachable(*other))
            .collect();
        if free.is_empty() {
            // The busy tone.
            let end = now + self.dice.seconds(1.0, 2.0);
            return self.hang_up(end, caller);
        }
        let callee = free[self.dice.below(free.len())];
        self.connect(now, caller, callee);
    }

    fn connect(&mut self, now: Duration, caller: usize, callee: usize) {
        self.phones[callee].engaged = true;
        let ringing = now + self.dice.seconds(0.3, 0.8);
        self.plan(ringing, callee, Step::Show(DeviceState::Ringing));
        let answered = ringing + self.dice.seconds(1.5, 6.0);
        if self.dice.chance(0.7) {
            self.talk(answered, caller, callee);
        } else {
            self.hang_up(answered, callee);
            let recorded = answered + self.dice.seconds(3.0, 8.0);
            self.plan(recorded, callee, Step::Message);
            self.hang_up(recorded, caller);
        }
    }

    fn talk(&mut self, answered: Duration, caller: usize, callee: usize) {
        self.plan(answered, callee, Step::Show(DeviceState::InUse));
        let mut now = answered + self.dice.seconds(3.0, 12.0);
        // A colleague is asked meanwhile, or a second call knocks.
        let aside = match self.dice.below(10) {
            0..=2 => Some(DeviceState::OnHold),
            3 => Some(DeviceState::RingInUse),
            _ => None,
        };
        if let Some(state) = aside {
            self.plan(now, callee, Step::Show(state));
            now += self.dice.seconds(2.0, 6.0);
            self.plan(now, callee, Step::Show(DeviceState::InUse));
            now += self.dice.seconds(2.0, 8.0);
        }
        self.hang_up(now, caller);
        let later = now + self.dice.seconds(0.1, 0.6);
        self.hang_up(later, callee);
    }

    fn listen(&mut self, now: Duration, phone: usize) {
        let heard = now + self.dice.seconds(3.0, 8.0);
        self.plan(heard, phone, Step::Listen);
        self.hang_up(heard, phone);
    }

    fn hang_up(&mut self, at: Duration, phone: usize) {
        self.plan(at, phone, Step::Show(DeviceState::NotInUse));
        self.plan(at, phone, Step::Free);
    }

    fn plan(&mut self, at: Duration, phone: usize, step: Step) {
        self.planned += 1;
        self.agenda.push(Reverse((at, self.planned, phone, step)));
    }
}

impl Phone {
    fn key(&self) -> String {
        format!("PJSIP/{}", self.number)
    }

    fn act(&self, reading: Reading) -> Act {
        let key = match reading {
            Reading::Lamp(_) => self.key(),
            Reading::Messages(_) => format!("{}@default", self.number),
        };
        Act {
            site: self.site,
            key,
            reading,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_same_seed_gives_the_same_calls() {
        let calls = |seed| Phones::new(5, 40, seed).happen(HOUR);
        assert_eq!(calls(1), calls(1));
        assert_ne!(calls(1), calls(2));
    }

    /// A phone that stayed engaged for ever would fall silent; one that is in two calls would jump.
    #[test]
    fn lamps_change_as_phones_do_and_never_stop() {
        use DeviceState::{InUse, NotInUse, OnHold, RingInUse, Ringing};
        let mut phones = Phones::new(5, 40, 7);
        let mut lamps: BTreeMap<String, DeviceState> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for minute in 1..=60 {
            let acts = phones.happen(Duration::from_secs(60 * minute));
            assert!(
                acts.len() > 40,
                "only {} changes in minute {minute}",
                acts.len()
            );
            for act in acts {
                let Reading::Lamp(new) = act.reading else {
                    continue;
                };
                let old = lamps.insert(act.key.clone(), new).unwrap_or(NotInUse);
                seen.insert(new);
                let possible = match old {
                    NotInUse => [InUse, Ringing].as_slice(),
                    Ringing => &[InUse, NotInUse],
                    InUse => &[NotInUse, OnHold, RingInUse],
                    _ => &[InUse],
                };
                assert!(
                    possible.contains(&new),
                    "{} went from {old} to {new}",
                    act.key
                );
            }
        }
        assert_eq!(
            seen.into_iter().collect::<Vec<_>>(),
            [NotInUse, InUse, Ringing, RingInUse, OnHold]
        );
    }

    #[test]
    fn messages_are_left_and_heard() {
        let counts = Phones::new(2, 20, 3)
            .happen(HOUR)
            .into_iter()
            .filter_map(|act| match act.reading {
                Reading::Messages(counts) => Some(counts),
                Reading::Lamp(_) => None,
            });
        let counts: Vec<_> = counts.collect();
        assert!(counts.iter().any(|counts| counts.new > 0));
        assert!(
            counts
                .iter()
                .any(|counts| counts.new == 0 && counts.old > 0)
        );
    }

    #[test]
    fn whoever_is_wanted_rings_once_and_only_when_free() {
        let now = Duration::from_secs(1);
        let mut phones = Phones::new(2, 4, 3);
        let (caller, callee) = phones.ring(now, Some("PJSIP/101"), |_| true).unwrap();
        assert_eq!(callee, "PJSIP/101");
        assert_ne!(caller, callee);
        let acts = phones.happen(now + Duration::from_secs(1));
        let rings = |act: &&Act| act.reading == Reading::Lamp(DeviceState::Ringing);
        assert!(acts.iter().filter(rings).any(|act| act.key == callee));
        assert!(phones.ring(now, Some("PJSIP/101"), |_| true).is_err());
        assert!(phones.ring(now, Some("PJSIP/900"), |_| true).is_err());
        phones.divide(vec![0, 1]);
        assert!(phones.ring(now, None, |_| false).is_err());
    }

    #[test]
    fn nobody_calls_across_a_cut() {
        let mut phones = Phones::new(2, 3, 3);
        phones.divide(vec![0, 1]);
        // Phone 1 alone is at site 1: nobody is left who could ring it.
        let acts = phones.happen(HOUR);
        assert!(acts.len() > 100);
        assert!(!acts.contains(&Act {
            site: 1,
            key: "PJSIP/101".into(),
            reading: Reading::Lamp(DeviceState::Ringing)
        }));
    }
}
