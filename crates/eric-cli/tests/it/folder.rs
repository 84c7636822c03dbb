//! A folder of a test's own, with a path that is short enough for a Unix socket in it.

use std::path::{Path, PathBuf};

/// Removed when dropped, with all that is in it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> Self {
        let path = std::env::temp_dir().join(format!("eric-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).expect("a folder that nobody has yet");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it, as a flag takes it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the folder for temporary files is UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is still held stays in the folder for temporary files, and does no harm there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
