//! A folder of a test's own, with a path that is short enough for a Unix socket in it.

use std::path::Path;

use tempfile::TempDir;

/// Removed when dropped, with all that is in it.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn create() -> Self {
        Self(tempfile::tempdir().expect("the folder for temporary files takes one more"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in it, as a flag takes it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("the folder for temporary files is UTF-8").to_owned()
    }
}
