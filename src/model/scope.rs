//! Which keys are meant: those of a space, or of one namespace of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::key::{Key, KeyError, SpaceId};
use super::pattern::Pattern;

/// The longest name of a namespace, in bytes of UTF-8.
pub const MAX_NAMESPACE_BYTES: usize = 64;

/// The name of a namespace: 1 to 64 bytes, without `/` and control characters.
///
/// Keys of custom spaces are stored as `namespace/key`, so that spaces of different programs never meet.
///
/// ```
/// use presence_mesh::Namespace;
/// assert_eq!("agents".parse::<Namespace>()?.as_str(), "agents");
/// assert!("agents/night".parse::<Namespace>().is_err());
/// # Ok::<(), presence_mesh::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let bad = |c: char| c == '/' || c.is_control();
        if name.is_empty() || name.len() > MAX_NAMESPACE_BYTES || name.contains(bad) {
            return Err(KeyError::Namespace);
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The keys of a space, or those of one namespace of it.
///
/// Names within a scope are what remains after the namespace: patterns are held against that, and keys are
/// shown by that.
///
/// ```
/// use presence_mesh::{Pattern, Scope, SpaceId};
/// let queues = Scope::namespace(SpaceId::CUSTOM, &"queues".parse()?);
/// assert_eq!((queues.space(), queues.prefix()), (SpaceId::CUSTOM, "queues/"));
/// let sales = queues.key("sales")?;
/// assert_eq!(sales.name(), "queues/sales");
/// assert_eq!(queues.local(sales.name()), Some("sales"));
/// assert!(queues.matches(&sales, &Pattern::new("s*")));
/// # Ok::<(), presence_mesh::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    space: SpaceId,
    /// What every stored name begins with: empty, or a namespace and a slash.
    prefix: Arc<str>,
}

impl Scope {
    /// The keys of `namespace` in a space that is divided into namespaces.
    pub fn namespace(space: SpaceId, namespace: &Namespace) -> Self {
        Self {
            space,
            prefix: format!("{namespace}/").into(),
        }
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// What every stored name of this scope begins with; empty for a whole space.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key that is called `name` here.
    ///
    /// # Errors
    /// When `name` is empty, or too long together with the namespace.
    pub fn key(&self, name: impl Into<Arc<str>>) -> Result<Key, KeyError> {
        let name = name.into();
        if self.prefix.is_empty() {
            return Key::new(self.space, name);
        }
        if name.is_empty() {
            return Err(KeyError::Empty);
        }
        Key::new(self.space, format!("{}{name}", self.prefix))
    }

    /// What the key with this stored name is called here; `None` when it is not of this scope.
    pub fn local<'a>(&self, stored: &'a str) -> Option<&'a str> {
        stored.strip_prefix(&*self.prefix)
    }

    /// Whether the key is of this scope and its name here matches.
    pub fn matches(&self, key: &Key, pattern: &Pattern) -> bool {
        self.space == key.space()
            && self
                .local(key.name())
                .is_some_and(|name| pattern.matches(name))
    }
}

impl From<SpaceId> for Scope {
    fn from(space: SpaceId) -> Self {
        Self {
            space,
            prefix: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_short_and_hold_no_slash() {
        assert!("a b é".parse::<Namespace>().is_ok());
        assert!("x".repeat(64).parse::<Namespace>().is_ok());
        for name in ["", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(
                name.parse::<Namespace>(),
                Err(KeyError::Namespace),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_namespace_holds_its_own_keys_only() {
        let agents = Scope::namespace(SpaceId::CUSTOM, &"agents".parse().expect("a name"));
        let key = agents.key("night/7").expect("a key");
        assert_eq!(key.name(), "agents/night/7");
        assert_eq!(agents.local(key.name()), Some("night/7"));
        assert!(agents.matches(&key, &Pattern::new("night/*")));
        assert!(!agents.matches(&key, &Pattern::new("agents/*")));
        let other = Key::new(SpaceId::CUSTOM, "agents2/night").expect("a key");
        assert!(!agents.matches(&other, &Pattern::any()));
        assert!(Scope::from(SpaceId::CUSTOM).matches(&other, &Pattern::any()));
        assert_eq!(agents.key(""), Err(KeyError::Empty));
        assert!(agents.key("x".repeat(248)).is_ok());
        assert!(agents.key("x".repeat(249)).is_err());
    }
}
