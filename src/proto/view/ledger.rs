//! What follows from what is shown.

use std::collections::BTreeSet;

use super::super::watches::Watches;
use super::apart::Apart;
use super::index::Index;
use crate::model::Key;

/// What is kept up to date with every key that is shown anew, and never looked at to read a single one.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What is shown of keys whose contributions are not combined.
    pub(super) apart: Apart,
    pub(super) index: Index,
    /// Keys with a held-back stamp, by the wall time at which it is released.
    pub(super) held: BTreeSet<(u64, Key)>,
    pub(super) watches: Watches,
}
