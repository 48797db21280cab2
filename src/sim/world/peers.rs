//! Whom a node is connected to.

/// The nodes that a node is connected to, as it believes, and the life of the process at each other end; by number.
///
/// A sorted list: every copy of a message looks here, and a few dozen peers lie in a few lines of cache.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Vec<(u32, u32)>);

impl Peers {
    /// The life at the other end, when there is a connection to `peer`.
    pub(super) fn life(&self, peer: usize) -> Option<u32> {
        let place = self.place(peer).ok()?;
        Some(self.0[place].1)
    }

    pub(super) fn contains(&self, peer: usize) -> bool {
        self.place(peer).is_ok()
    }

    pub(super) fn insert(&mut self, peer: usize, life: u32) {
        match self.place(peer) {
            Ok(place) => self.0[place].1 = life,
            Err(place) => self.0.insert(place, (number(peer), life)),
        }
    }

    /// Says whether there was a connection.
    pub(super) fn remove(&mut self, peer: usize) -> bool {
        let place = self.place(peer);
        place.is_ok_and(|place| self.0.remove(place).0 == number(peer))
    }

    /// Their numbers, ascending.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.0.iter().map(|(peer, _)| *peer as usize)
    }

    fn place(&self, peer: usize) -> Result<usize, usize> {
        let peer = number(peer);
        self.0.binary_search_by_key(&peer, |(other, _)| *other)
    }
}

fn number(peer: usize) -> u32 {
    u32::try_from(peer).expect("memory holds fewer nodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_life_takes_the_place_of_an_earlier_one() {
        let mut peers = Peers::default();
        for (peer, life) in [(7, 1), (2, 1), (5, 3), (7, 2)] {
            peers.insert(peer, life);
        }
        assert_eq!(peers.iter().collect::<Vec<_>>(), [2, 5, 7]);
        assert_eq!((peers.life(7), peers.life(3)), (Some(2), None));
        assert!(peers.remove(5) && !peers.remove(5) && !peers.contains(5));
    }
}
