//! A model of gossipsub.

/// Its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {}
