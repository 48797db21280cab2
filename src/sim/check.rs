//! Checkers: objects that watch a world from outside, and can each fail.

use super::checks;
use super::world::{Step, World};
use crate::model::SpaceId;
use crate::proto::Watched;

/// What a checker found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// At which node, when it is one's.
    pub node: Option<usize>,
    /// What was expected and what was found.
    pub text: String,
}

/// Watches a world from outside, and says when a promise is broken.
///
/// Between two steps everything may be looked at. What a checker needs to remember, it remembers itself.
pub trait Checker {
    /// Its name in reports: words with hyphens.
    fn name(&self) -> &'static str;

    /// Something happened to one replica.
    ///
    /// # Errors
    /// When a promise is broken.
    fn step(&mut self, _world: &World, _step: &Step) -> Result<(), Broken> {
        Ok(())
    }

    /// A node's watchers were given these, and have taken all there was.
    ///
    /// # Errors
    /// When a promise is broken.
    fn watched(
        &mut self,
        _world: &World,
        _node: usize,
        _space: SpaceId,
        _items: &[Watched],
    ) -> Result<(), Broken> {
        Ok(())
    }

    /// Now and then, when a look at everything is affordable.
    ///
    /// # Errors
    /// When a promise is broken.
    fn sweep(&mut self, _world: &World) -> Result<(), Broken> {
        Ok(())
    }

    /// Everything was mended and all stores are said to be equal.
    ///
    /// # Errors
    /// When a promise is broken.
    fn settled(&mut self, _world: &World) -> Result<(), Broken> {
        Ok(())
    }

    /// The longest a lamp lied, in µs, for the one that measures it.
    fn lamp_lie_us(&self) -> u64 {
        0
    }
}

impl Broken {
    /// Something wrong at one node.
    pub fn at(node: usize, text: impl Into<String>) -> Self {
        Self {
            node: Some(node),
            text: text.into(),
        }
    }
}

/// Every checker there is.
pub fn all_checkers() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(checks::Moments::default()),
        Box::new(checks::Monotone::default()),
        Box::new(checks::Own),
        Box::new(checks::Emitted),
        Box::new(checks::Invariants::default()),
        Box::new(checks::WatchSum::default()),
        Box::new(checks::Quiet),
        Box::new(checks::Clocks::default()),
        Box::new(checks::Beats::default()),
        Box::new(checks::Registers::default()),
        Box::new(checks::Steady::default()),
        Box::new(checks::Lamps::default()),
        Box::new(checks::Deleted),
        Box::new(checks::Agreement::default()),
        Box::new(checks::Garbage),
    ]
}
