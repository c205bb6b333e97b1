//! Who competes for a process.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// One competitor for processes: a thread, a runner, a start of a program. Two
/// runners in one program are two instances.
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
    /// A new instance with an id of its own.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "every instance is another one")]
    pub fn new() -> Self {
        Self { id: Uuid::now_v7().to_string().into() }
    }

    /// A new instance whose id begins with `label/`, for people to know it by.
    #[must_use]
    pub fn named(label: &str) -> Self {
        Self { id: format!("{label}/{}", Uuid::now_v7()).into() }
    }

    /// The id, as it stands in the store.
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
