//! Nodes, as the one that is looked at knows them.

use std::time::Duration;

use presence_mesh::Standing;

use crate::api::PeerObject;
use crate::span;

/// A node and what is thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: String,
    pub link: Link,
    pub standing: Standing,
    /// It has said goodbye.
    pub left: bool,
    /// Since it was last known alive.
    pub age: Option<Duration>,
    /// The round trip, when there is a connection and it was measured.
    pub rtt: Option<Duration>,
}

/// What is between it and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing: it is the one through which we look.
    Own,
    /// A connection.
    Up,
    /// None.
    Down,
    /// Somebody cut the network between us.
    Cut,
    /// It does not run.
    Killed,
}

impl Node {
    /// The node that is looked at itself.
    pub fn own(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            link: Link::Own,
            standing: Standing::Alive,
            left: false,
            age: None,
            rtt: None,
        }
    }

    pub fn of(peer: &PeerObject) -> Self {
        Self {
            name: peer.node.clone(),
            link: if peer.connected { Link::Up } else { Link::Down },
            standing: peer.standing,
            left: peer.left,
            age: peer.age_ms.map(Duration::from_millis),
            rtt: peer.rtt_ms.map(Duration::from_millis),
        }
    }

    /// Its standing in words: `alive`, `suspect ~4s`, `left`.
    pub fn trust(&self) -> String {
        let since = |word: &str| match self.age {
            Some(age) => format!("{word} ~{}", span::short(age)),
            None => word.to_owned(),
        };
        match (self.link, self.standing) {
            (Link::Own, _) => "this node".to_owned(),
            (Link::Killed, _) => since("killed"),
            (_, Standing::Alive) => "alive".to_owned(),
            _ if self.left => "left".to_owned(),
            (_, Standing::Suspect) => since("suspect"),
            _ => since("gone"),
        }
    }

    /// The link in words: `0.4 ms`, `no link`, `cut`.
    pub fn way(&self) -> String {
        match (self.link, self.rtt) {
            (Link::Own | Link::Killed, _) => String::new(),
            (Link::Down, _) => "no link".to_owned(),
            (Link::Cut, _) => "cut".to_owned(),
            (Link::Up, None) => "linked".to_owned(),
            (Link::Up, Some(rtt)) if rtt < Duration::from_millis(1) => "<1 ms".to_owned(),
            (Link::Up, Some(rtt)) => format!("{} ms", rtt.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_node_is_told_with_its_age() {
        let mut node = Node::own("paris");
        assert_eq!((node.trust(), node.way()), ("this node".into(), "".into()));
        node.link = Link::Up;
        assert_eq!(
            (node.trust(), node.way()),
            ("alive".into(), "linked".into())
        );
        node.rtt = Some(Duration::from_micros(300));
        assert_eq!(node.way(), "<1 ms");
        node.link = Link::Cut;
        node.standing = Standing::Suspect;
        node.age = Some(Duration::from_secs(42));
        assert_eq!(
            (node.trust(), node.way()),
            ("suspect ~42s".into(), "cut".into())
        );
        node.standing = Standing::Gone;
        assert_eq!(node.trust(), "gone ~42s");
        node.left = true;
        assert_eq!(node.trust(), "left");
    }
}
