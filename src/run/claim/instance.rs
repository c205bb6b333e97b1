//! Competitors for a process.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// A competitor for processes: a thread, a runner, or a program run.
///
/// Two runners in one program are two instances.
///
/// ```
/// use procstate::Instance;
///
/// assert_ne!(Instance::new(), Instance::new());
/// assert!(Instance::named("collector").id().starts_with("collector/"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    id: Arc<str>,
}

impl Instance {
    /// Creates an instance with a unique id.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "every instance is unique")]
    pub fn new() -> Self {
        Self { id: Uuid::now_v7().to_string().into() }
    }

    /// Creates an instance whose id starts with `label/`, for people to recognize.
    #[must_use]
    pub fn named(label: &str) -> Self {
        Self { id: format!("{label}/{}", Uuid::now_v7()).into() }
    }

    /// Returns the id, as stored.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}
