//! How long an origin is believed: from its own signs of life alone.
//!
//! All times are ms on the local monotonic clock. What a lease says is a local opinion and never written
//! anywhere.

use super::config::Timing;
use super::member::Standing;
use crate::wire::Alive;
use crate::zoo::{Fault, planted};

/// How much slower than ours an origin's clock may run: the least delay seen is allowed to rise by this many
/// µs a ms.
const DRIFT_US_PER_MS: i64 = 1;

/// The lease of one life of one origin.
///
/// A sign of life counts not when it arrives but when it was sent, so that a stalled link that releases old
/// beats does not revive the dead. The time of sending is estimated as `up` (the origin's own clock, in the
/// signed header) plus an offset. True offsets are at most `arrival − up` of any frame, and at least
/// `asked − up` of any answer, since what answers a question was sent after it. The first of these two alone
/// would believe a single stalled frame, so nothing is believed before the second is known: until then the
/// lease is not *anchored* and the origin stands no better than suspect.
///
/// That it is alive is one thing, that we have all it said another: a value is live only while both are proved.
/// A *claim* is a moment and the origin's head then; once our head reaches it, what we hold was complete at
/// that moment.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// When this life was first heard of.
    known_at: i64,
    /// When it was last alive, as far as is proved.
    alive_at: Option<i64>,
    /// When what we hold of it was last complete, as far as is proved.
    complete_at: Option<i64>,
    /// The latest moment, and its head then, that we have not caught up with.
    claim: Option<(i64, u64)>,
    /// Estimated `sent − up`, in µs, and when it was last adjusted, in ms.
    offset: Option<(i64, i64)>,
    anchored: bool,
    /// What an earlier life of ours knew, dated by the wall clock, and nothing heard since: the least age that is
    /// told to others, so that nobody shows as live what nobody has heard.
    restored: Option<i64>,
    /// The origin's own beat interval.
    beat: i64,
    /// When an anchor was last asked for.
    asked_at: Option<i64>,
    /// As of the last look; what users have been shown.
    pub(super) standing: Standing,
}

/// The spans of a lease, in ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spans {
    stale: i64,
    gone: i64,
    retry: i64,
}

impl Spans {
    pub(super) fn new(timing: &Timing) -> Self {
        let ms =
            |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4);
        Self {
            stale: ms(timing.stale_after),
            gone: ms(timing.gone_after),
            retry: ms(timing.retry),
        }
    }
}

impl Lease {
    /// The lease of a life just heard of.
    pub(super) fn new(now: i64) -> Self {
        Self {
            known_at: now,
            alive_at: None,
            complete_at: None,
            claim: None,
            offset: None,
            anchored: false,
            restored: None,
            beat: 0,
            asked_at: None,
            standing: Standing::Suspect,
        }
    }

    /// The lease of a life that an earlier life of ours knew: last alive `age` ago. `proof`: how long ago what we
    /// hold of it was complete, if it ever was, and where its clock stood when it was alive; `None` when that was
    /// not proved.
    ///
    /// The wall clock says how long we were away, and it may be wrong: nothing is live before a fresh proof.
    pub(super) fn restored(
        now: i64,
        age: i64,
        proof: Option<(Option<i64>, i64)>,
        beat: i64,
        spans: &Spans,
    ) -> Self {
        let mut lease = Self {
            beat,
            ..Self::new(now)
        };
        let (_, gone) = lease.spans(spans);
        match proof {
            Some((complete_age, up)) => {
                lease.known_at = now.saturating_sub(age);
                lease.alive_at = Some(lease.known_at);
                lease.complete_at = complete_age.map(|age| now.saturating_sub(age));
                let offset = lease.known_at.saturating_sub(up).saturating_mul(1000);
                lease.offset = Some((offset, now));
                lease.restored = Some(gone);
            }
            None => lease.known_at = now.saturating_sub(age.max(gone)),
        }
        lease
    }

    /// Somebody who hands over what it said has had no sign of this life since `at`. Of a life that nothing was
    /// heard of otherwise that is all we know: who joins does not take the long dead for just born.
    pub(super) fn known_since(&mut self, at: i64) {
        if self.offset.is_none() {
            self.known_at = self.known_at.min(at);
        }
    }

    /// A signed header says how far apart, in ms, its beats are: whoever hands it over, so that who joins a large
    /// mesh does not give up everyone before the first beat.
    pub(super) fn beats_every(&mut self, beat: i64) {
        self.beat = beat;
    }

    /// A signed frame of this life arrived, newer than all before it, made when its head was `head`.
    pub(super) fn renew(&mut self, now: i64, up: i64, head: u64) {
        let most = now.saturating_sub(up).saturating_mul(1000);
        let offset = self.offset_at(now).map_or(most, |offset| offset.min(most));
        self.offset = Some((offset, now));
        if self.anchored {
            let sent = (offset / 1000).saturating_add(up).min(now);
            let sent = if planted(Fault::OldBeatRenews) {
                now
            } else {
                sent
            };
            self.prove(sent);
            self.claim(sent, head);
        }
    }

    /// At that moment its head was `head`.
    pub(super) fn claim(&mut self, at: i64, head: u64) {
        if self.claim.is_none_or(|(latest, _)| at >= latest) {
            self.claim = Some((at, head));
        }
    }

    /// All it wrote up to `head` is here.
    pub(super) fn caught_up(&mut self, head: u64) {
        if let Some((at, _)) = self.claim.take_if(|(_, claimed)| *claimed <= head) {
            self.complete_at = Some(self.complete_at.map_or(at, |known| known.max(at)));
        }
    }

    /// The origin, whose clock stood at `up`, was alive `age` before the moment `asked`, at which we sent the
    /// question that this answers. The origin's own answer has age 0; a relay's is what it knows.
    ///
    /// A relay's answer starts the lease of a life we had no proof of; it never renews one.
    pub(super) fn anchor(&mut self, now: i64, asked: i64, age: i64, up: i64, own_answer: bool) {
        let alive = asked.saturating_sub(age);
        if self.restored.is_some()
            && !own_answer
            && self.alive_at.is_some_and(|known| alive <= known)
        {
            // They have not heard of it since, either.
            return;
        }
        let least = alive.saturating_sub(up).saturating_mul(1000);
        // A machine that was suspended from outside lags behind its earlier offset: the proof stands above it.
        // At the first anchor, frames so far may all have been stalled: the estimate stays near the proof.
        let slack = if self.anchored { i64::MAX } else { SLACK_US };
        let offset = self
            .offset_at(now)
            .unwrap_or(least)
            .clamp(least, least.saturating_add(slack));
        self.offset = Some((offset, now));
        if own_answer || !self.anchored {
            self.prove(alive);
        }
        self.anchored = true;
        self.restored = None;
    }

    /// Whether an answer is needed to know how old this origin's frames are. Says so once per retry interval.
    pub(super) fn wants_anchor(&mut self, now: i64, spans: &Spans) -> bool {
        let doubtful = !self.anchored || self.age(now) > spans.stale / 2;
        let asked = self.asked_at.is_some_and(|asked| now - asked < spans.retry);
        if doubtful && !asked {
            self.asked_at = Some(now);
        }
        doubtful && !asked
    }

    /// How long ago it was last alive, or first heard of when that is not known.
    pub(super) fn age(&self, now: i64) -> i64 {
        (now - self.alive_at.unwrap_or(self.known_at)).max(0)
    }

    /// How long ago what we hold of it was last complete, or it was first heard of when that is not known.
    pub(super) fn value_age(&self, now: i64) -> i64 {
        let complete = now - self.complete_at.unwrap_or(self.known_at);
        complete.max(self.age(now))
    }

    /// How long ago it was last alive, when that is proved.
    pub(super) fn proved_age(&self, now: i64) -> Option<i64> {
        let proved = self.anchored || self.restored.is_some();
        proved.then(|| self.age(now))
    }

    /// What is kept for our next life besides its age: see [`Lease::restored`].
    pub(super) fn proof(&self, now: i64) -> Option<(Option<i64>, i64)> {
        self.proved_age(now)?;
        let (offset, _) = self.offset?;
        let up = self.alive_at?.saturating_sub(offset / 1000);
        let complete = self.complete_at.map(|_| self.value_age(now));
        Some((complete, up))
    }

    /// What to tell others: when it was last alive and what we hold of it complete, as far as is proved.
    pub(super) fn alive(&self, now: i64) -> Option<Alive> {
        let proved = self.anchored || self.restored.is_some();
        let complete_at = self.complete_at.filter(|_| proved)?;
        let told_at = complete_at.min(now.saturating_sub(self.restored.unwrap_or_default()));
        let age_ms = u64::try_from((now - told_at).max(0)).ok()?;
        let (offset, _) = self.offset?;
        let up_ms = u64::try_from(told_at.saturating_sub(offset / 1000)).unwrap_or_default();
        Some(Alive { age_ms, up_ms })
    }

    /// When its clock stood at `up`, on ours.
    pub(super) fn local_time(&self, up: i64) -> Option<i64> {
        self.offset
            .map(|(offset, _)| (offset / 1000).saturating_add(up))
    }

    /// How it stands at `now`.
    pub(super) fn standing_at(&self, now: i64, spans: &Spans) -> Standing {
        let (stale, gone) = self.spans(spans);
        let age = self.age(now);
        if age >= gone && planted(Fault::GoneShownLive) {
            Standing::Alive
        } else if age >= gone || (age >= stale && !self.anchored && self.restored.is_none()) {
            // Heard of, and never proved to be alive: it may have died long before.
            Standing::Gone
        } else if self.value_age(now) >= stale || !self.anchored || self.complete_at.is_none() {
            // What a relay handed over of a life just heard of may be long overwritten.
            Standing::Suspect
        } else {
            Standing::Alive
        }
    }

    /// When its standing changes next, if nothing is heard.
    pub(super) fn next_change(&self, now: i64, spans: &Spans) -> Option<i64> {
        let (stale, gone) = self.spans(spans);
        let since = self.alive_at.unwrap_or(self.known_at);
        let complete = self.complete_at.unwrap_or(self.known_at).min(since);
        [complete.saturating_add(stale), since.saturating_add(gone)]
            .into_iter()
            .find(|at| *at > now)
    }

    /// How long it is believed, and how long until it is gone.
    pub(super) fn spans(&self, spans: &Spans) -> (i64, i64) {
        let stale = spans.stale.max(self.beat.saturating_mul(3));
        (stale, spans.gone.max(stale))
    }

    fn prove(&mut self, alive: i64) {
        self.alive_at = Some(self.alive_at.map_or(alive, |known| known.max(alive)));
    }

    fn offset_at(&self, now: i64) -> Option<i64> {
        self.offset
            .map(|(offset, at)| offset.saturating_add((now - at).max(0) * DRIFT_US_PER_MS))
    }
}

/// How far above the proved offset the first estimate may lie: answers take a round trip, frames half of one.
const SLACK_US: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lease: &mut Lease, now: i64, up: i64, beat: i64) {
        lease.beats_every(beat);
        lease.renew(now, up, 0);
        lease.caught_up(0);
    }

    fn answered(lease: &mut Lease, now: i64, asked: i64, age: i64, up: i64, own_answer: bool) {
        lease.anchor(now, asked, age, up, own_answer);
        lease.claim(asked - age, 0);
        lease.caught_up(0);
    }

    fn spans() -> Spans {
        Spans::new(&Timing::default())
    }

    #[test]
    fn silence_makes_suspect_and_then_gone() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 10, 0, 0, 5_000, true);
        heard(&mut lease, 1_000, 6_000, 1_000);
        assert_eq!(lease.standing_at(3_900, &spans()), Standing::Alive);
        assert_eq!(lease.next_change(3_000, &spans()), Some(4_000));
        assert_eq!(lease.standing_at(4_000, &spans()), Standing::Suspect);
        assert_eq!(lease.standing_at(11_000, &spans()), Standing::Gone);
    }

    /// A link stalls; the origin dies; the link releases what it held.
    #[test]
    fn old_beats_released_late_do_not_revive() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 0, 0, 0, 0, true);
        heard(&mut lease, 1_000, 1_000, 1_000);
        for up in [2_000, 3_000, 4_000, 5_000] {
            heard(&mut lease, 60_000, up, 1_000);
        }
        assert_eq!(lease.standing_at(60_000, &spans()), Standing::Gone);
        assert!(lease.age(60_000) >= 54_900, "{}", lease.age(60_000));
    }

    /// The first frame ever may be an old one that a relay remembered.
    #[test]
    fn a_first_frame_alone_is_not_believed() {
        let mut lease = Lease::new(0);
        heard(&mut lease, 0, 1_000, 1_000);
        assert_eq!(lease.standing_at(0, &spans()), Standing::Suspect);
        assert!(lease.wants_anchor(0, &spans()));
        assert!(
            !lease.wants_anchor(10, &spans()),
            "asks once per retry interval"
        );
        // A relay knows better: dead for 20 s, with its clock at 1,000.
        answered(&mut lease, 20, 10, 20_000, 1_000, false);
        assert_eq!(lease.standing_at(20, &spans()), Standing::Gone);
        heard(&mut lease, 30, 900, 1_000);
        assert_eq!(lease.standing_at(30, &spans()), Standing::Gone);
    }

    #[test]
    fn relayed_news_never_renews() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 0, 0, 0, 0, true);
        answered(&mut lease, 20_000, 20_000, 0, 20_000, false);
        assert_eq!(lease.standing_at(20_000, &spans()), Standing::Gone);
    }

    /// A hypervisor stops the machine for a minute; its clock does not notice.
    #[test]
    fn a_machine_that_was_frozen_is_believed_again_once_it_answers() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 0, 0, 0, 0, true);
        heard(&mut lease, 1_000, 1_000, 1_000);
        heard(&mut lease, 61_500, 1_500, 1_000);
        assert_eq!(lease.standing_at(61_500, &spans()), Standing::Gone);
        assert!(lease.wants_anchor(61_500, &spans()));
        answered(&mut lease, 61_520, 61_510, 0, 1_515, true);
        heard(&mut lease, 62_500, 2_500, 1_000);
        assert_eq!(lease.standing_at(63_000, &spans()), Standing::Alive);
    }

    #[test]
    fn a_slow_clock_is_followed() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 0, 0, 0, 0, true);
        // 500 ppm slow: after 10,000 s its clock is 5 s behind.
        for second in 1..=10_000 {
            heard(
                &mut lease,
                second * 1_000,
                second * 1_000 - second / 2,
                1_000,
            );
        }
        assert_eq!(lease.standing_at(10_000_500, &spans()), Standing::Alive);
    }

    #[test]
    fn rare_beats_stretch_the_lease() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 0, 0, 0, 0, true);
        heard(&mut lease, 0, 0, 10_000);
        assert_eq!(lease.standing_at(29_000, &spans()), Standing::Alive);
        assert_eq!(lease.standing_at(30_000, &spans()), Standing::Gone);
    }

    /// A relay hands over what a life said that nobody could prove alive, and says for how long.
    #[test]
    fn who_was_long_silent_for_the_relay_is_gone_for_who_joins() {
        let mut lease = Lease::new(30_000);
        lease.known_since(10_000);
        assert_eq!(lease.standing_at(30_000, &spans()), Standing::Gone);
        // Its own frames say more than the silence of somebody else.
        let mut lease = Lease::new(30_000);
        lease.renew(30_000, 500, 3);
        lease.known_since(10_000);
        assert_eq!(lease.standing_at(30_000, &spans()), Standing::Suspect);
    }

    /// An answer proves it alive; what a relay handed over of it may have been overwritten long ago.
    #[test]
    fn what_was_never_proved_complete_is_not_believed() {
        let mut lease = Lease::new(0);
        lease.anchor(100, 90, 0, 5_000, true);
        lease.claim(90, 56);
        lease.caught_up(39);
        assert_eq!(lease.standing_at(100, &spans()), Standing::Suspect);
        lease.caught_up(56);
        assert_eq!(lease.standing_at(100, &spans()), Standing::Alive);
    }

    /// Its beats arrive, and say that it has written more; what it wrote does not.
    #[test]
    fn who_is_alive_but_not_caught_up_with_is_not_believed_for_long() {
        let mut lease = Lease::new(0);
        answered(&mut lease, 10, 0, 0, 0, true);
        for second in 1..20 {
            lease.renew(second * 1_000, second * 1_000, 5);
            lease.caught_up(4);
        }
        assert_eq!(lease.standing_at(2_900, &spans()), Standing::Alive);
        assert_eq!(lease.standing_at(19_000, &spans()), Standing::Suspect);
        assert_eq!(lease.value_age(19_000), 19_000);
        lease.caught_up(5);
        assert_eq!(lease.standing_at(19_000, &spans()), Standing::Alive);
    }
}
