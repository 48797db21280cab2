//! The watch on the PBX itself: is it there, what is it saying, does it remember.
//!
//! Plain values without sockets and clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::body::Package;

/// Whether the PBX is heard.
#[derive(Debug)]
pub(super) struct Pulse {
    stale_after: Duration,
    gone_after: Duration,
    last_heard: Duration,
    standing: PbxStanding,
    ever: bool,
}

/// Whether the PBX answers.
///
/// ```
/// use presence_mesh::bridge::asterisk::PbxStanding;
/// assert!(PbxStanding::Up < PbxStanding::Silent && PbxStanding::Silent < PbxStanding::Gone);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PbxStanding {
    /// It was heard lately.
    Up,
    /// It has been silent for `stale_after`: what it said is shown stale.
    Silent,
    /// It has been silent for `gone_after`: its devices are withdrawn.
    Gone,
}

impl Pulse {
    pub(super) fn new(stale_after: Duration, gone_after: Duration, now: Duration) -> Self {
        Self {
            stale_after,
            gone_after,
            last_heard: now,
            standing: PbxStanding::Up,
            ever: false,
        }
    }

    /// It gave a sign of life at that time. Says whether it had been silent, or was never heard before. What
    /// is told again of an earlier sign changes nothing.
    pub(super) fn heard(&mut self, at: Duration) -> bool {
        if self.ever && at <= self.last_heard {
            return false;
        }
        self.last_heard = self.last_heard.max(at);
        let returned = self.standing != PbxStanding::Up || !self.ever;
        (self.standing, self.ever) = (PbxStanding::Up, true);
        returned
    }

    /// Says when the silence has become long enough to matter.
    pub(super) fn poll(&mut self, now: Duration) -> Option<PbxStanding> {
        let silent_for = self.silent_for(now);
        let standing = match self.standing {
            PbxStanding::Up if silent_for >= self.stale_after => PbxStanding::Silent,
            PbxStanding::Silent if silent_for >= self.gone_after => PbxStanding::Gone,
            _ => return None,
        };
        self.standing = standing;
        Some(standing)
    }

    /// We ourselves were paused for that long: that was not its silence.
    pub(super) fn forgive(&mut self, pause: Duration) {
        self.last_heard += pause;
    }

    pub(super) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_heard)
    }

    pub(super) fn standing(&self) -> PbxStanding {
        self.standing
    }

    pub(super) fn is_up(&self) -> bool {
        self.ever && self.standing == PbxStanding::Up
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        match self.standing {
            PbxStanding::Up => Some(self.last_heard + self.stale_after),
            PbxStanding::Silent => Some(self.last_heard + self.gone_after),
            PbxStanding::Gone => None,
        }
    }
}

/// A dump: the PBX says everything it has. What it does not say again, it no longer has.
///
/// It has ended when the PBX has answered our question for it and then been quiet for a while. Not before it
/// answered: until fully booted Asterisk ignores even our answers, repeats its first PUBLISH for seconds, and
/// would seem quiet.
#[derive(Debug, Default)]
pub(super) struct Dump {
    running: Option<Running>,
    /// Whether one ever ended.
    done: bool,
}

#[derive(Debug, Default)]
struct Running {
    restated: BTreeSet<String>,
    /// Packages whose question was answered.
    answered: BTreeSet<Package>,
    last_at: Duration,
}

impl Dump {
    /// A dump begins: we ask for it. What was stated since an earlier question still counts.
    pub(super) fn begin(&mut self, now: Duration) {
        let running = self.running.get_or_insert_default();
        running.answered.clear();
        running.last_at = now;
    }

    /// The PBX started anew: what it stated before counts no longer.
    pub(super) fn restart(&mut self, now: Duration) {
        self.running = Some(Running {
            last_at: now,
            ..Running::default()
        });
    }

    /// The PBX took our question.
    pub(super) fn answered(&mut self, package: Package, now: Duration) {
        if let Some(running) = &mut self.running {
            running.answered.insert(package);
            running.last_at = running.last_at.max(now);
        }
    }

    /// The PBX stated something; `device` when it was a device. Says whether that belongs to a dump.
    pub(super) fn stated(&mut self, device: Option<&str>, now: Duration) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        running.restated.extend(device.map(str::to_owned));
        running.last_at = running.last_at.max(now);
        true
    }

    /// When quiet for long enough: the devices that were stated.
    pub(super) fn poll(&mut self, quiet: Duration, now: Duration) -> Option<BTreeSet<String>> {
        if self.ends_at(quiet)? > now {
            return None;
        }
        self.done = true;
        self.running.take().map(|running| running.restated)
    }

    /// When it will have been quiet for long enough, as far as can be known now.
    pub(super) fn ends_at(&self, quiet: Duration) -> Option<Duration> {
        let running = self.running.as_ref()?;
        (running.answered.len() == Package::ALL.len()).then(|| running.last_at + quiet)
    }

    /// Our question was refused: nothing will come of it.
    pub(super) fn abandon(&mut self) {
        self.running = None;
    }

    /// Our own pause was not its quiet.
    pub(super) fn forgive(&mut self, pause: Duration) {
        if let Some(running) = &mut self.running {
            running.last_at += pause;
        }
    }

    /// Whether one ever ended.
    pub(super) fn was_done(&self) -> bool {
        self.done
    }
}

/// What a PBX has been found to have forgotten, so that one boot counts once.
///
/// A boot shows twice: Asterisk asks for everything, and it does not know our publications any more (412).
#[derive(Debug, Default)]
pub(super) struct Memory {
    asked_at: [Option<Duration>; 2],
}

impl Memory {
    /// It asked for everything of this package.
    pub(super) fn asked(&mut self, package: Package, now: Duration) {
        self.asked_at[package as usize] = Some(now);
    }

    /// It did not know a publication that it still knew at `known_at`: which packages it may have forgotten
    /// since it last asked for them.
    pub(super) fn unknown(&self, known_at: Duration) -> Vec<Package> {
        let since = |package: &Package| {
            self.asked_at[*package as usize].is_none_or(|asked_at| asked_at <= known_at)
        };
        Package::ALL.into_iter().filter(since).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_noticed_in_two_steps_and_the_return_once() {
        let mut pulse = Pulse::new(s(3), s(10), s(0));
        assert!(pulse.heard(s(1)), "the first sign of life");
        assert!(!pulse.heard(s(2)));
        assert_eq!(pulse.next_at(), Some(s(5)));
        assert_eq!(pulse.poll(s(4)), None);
        assert_eq!(pulse.poll(s(5)), Some(PbxStanding::Silent));
        assert!(!pulse.heard(s(2)), "an old sign told again is none");
        assert_eq!(pulse.poll(s(6)), None);
        assert_eq!(pulse.poll(s(12)), Some(PbxStanding::Gone));
        assert_eq!((pulse.poll(s(99)), pulse.next_at()), (None, None));
        assert!(pulse.heard(s(100)));
        assert!(pulse.is_up());
    }

    #[test]
    fn our_own_pause_is_not_its_silence() {
        let mut pulse = Pulse::new(s(3), s(10), s(0));
        pulse.heard(s(1));
        pulse.forgive(s(60));
        assert_eq!(pulse.poll(s(62)), None);
        assert_eq!(pulse.poll(s(64)), Some(PbxStanding::Silent));
    }

    #[test]
    fn a_dump_ends_when_both_questions_are_answered_and_it_is_quiet() {
        let mut dump = Dump::default();
        assert!(!dump.stated(Some("PJSIP/live"), s(0)), "nothing was asked");
        dump.begin(s(10));
        assert!(dump.stated(Some("PJSIP/a"), s(11)));
        assert_eq!(
            dump.poll(s(2), s(60)),
            None,
            "it ignores us while it boots: that is not quiet"
        );
        dump.answered(Package::Mwi, s(61));
        assert_eq!(dump.poll(s(2), s(64)), None);
        dump.answered(Package::DeviceState, s(65));
        dump.stated(Some("PJSIP/b"), s(66));
        assert_eq!(dump.poll(s(2), s(67)), None);
        let restated = dump.poll(s(2), s(68)).expect("quiet");
        assert_eq!(
            restated.into_iter().collect::<Vec<_>>(),
            ["PJSIP/a", "PJSIP/b"]
        );
        assert!(dump.was_done());
        assert_eq!(dump.ends_at(s(2)), None);
    }

    #[test]
    fn a_new_start_of_the_pbx_voids_what_it_stated_before() {
        let mut dump = Dump::default();
        dump.begin(s(0));
        dump.stated(Some("PJSIP/old"), s(1));
        dump.restart(s(2));
        dump.begin(s(2));
        for package in Package::ALL {
            dump.answered(package, s(2));
        }
        assert!(dump.poll(s(2), s(4)).expect("quiet").is_empty());
    }

    #[test]
    fn one_boot_counts_once_and_two_boots_twice() {
        let mut memory = Memory::default();
        assert_eq!(memory.unknown(s(5)), Package::ALL, "it never asked");
        memory.asked(Package::DeviceState, s(10));
        assert_eq!(
            memory.unknown(s(9)),
            [Package::Mwi],
            "it asked for devices since it knew us: the same boot"
        );
        memory.asked(Package::Mwi, s(10));
        assert_eq!(memory.unknown(s(9)), []);
        assert_eq!(
            memory.unknown(s(11)),
            Package::ALL,
            "it knew us after it asked: a later boot"
        );
    }
}
