//! Which engine keeps the hub's log, and what it promises.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::{Clock, Hub};
use eric_store::{Opening, Store, StoreSettings, Sync};

/// Where a hub keeps its log unless it is told otherwise.
pub(crate) const DEFAULT: &str = "file:./eric-data";

/// What keeps the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineChoice {
    /// The process.
    Memory,
    /// The store in a directory.
    File(PathBuf),
}

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:") {
            Some("") => Err("file: names no directory".to_owned()),
            Some(directory) => Ok(Self::File(directory.into())),
            None if text == "memory" => Ok(Self::Memory),
            None => Err(format!("engine {text:?} is neither memory nor file:DIR")),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(directory) => write!(f, "file:{}", directory.display()),
        }
    }
}

/// What an answered change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The process and the machine: it is synced first, many changes at once.
    Fsync,
    /// The process; the machine may lose the last seconds, and listeners are told so.
    Os,
}

/// An engine at work, and how it is ended.
#[derive(Debug)]
pub(crate) enum Engine {
    Memory(Arc<MemoryEngine>),
    File(Arc<Store>),
}

impl EngineChoice {
    /// Opens the engine and says what it promises.
    pub(crate) fn open(&self, durability: Durability, clock: Arc<dyn Clock>) -> anyhow::Result<Engine> {
        match self {
            Self::Memory => {
                tracing::warn!("engine=memory: everything is gone with the process");
                Ok(Engine::Memory(Arc::new(MemoryEngine::new(clock))))
            }
            Self::File(directory) => {
                let sync = match durability {
                    Durability::Fsync => Sync::Fsync,
                    Durability::Os => Sync::Os,
                };
                let settings = StoreSettings { sync, ..StoreSettings::default() };
                let store = Store::open(directory, settings, clock)
                    .with_context(|| format!("cannot open the store in {}", directory.display()))?;
                report(store.opening());
                match sync {
                    Sync::Fsync => tracing::info!(
                        directory = %directory.display(),
                        "engine=file durability=fsync: what was answered survives the process and the machine"
                    ),
                    Sync::Os => tracing::warn!(
                        directory = %directory.display(),
                        "engine=file durability=os: what was answered survives the process; the machine may lose the \
                         last seconds, and listeners are told so"
                    ),
                }
                Ok(Engine::File(Arc::new(store)))
            }
        }
    }
}

/// Says what was found in the store.
fn report(opening: &Opening) {
    let Opening { is_new, segments, cut_bytes, has_new_epoch } = *opening;
    tracing::info!(is_new, segments, "the store is open");
    if cut_bytes > 0 {
        tracing::warn!(cut_bytes, "the end of the log was torn; nothing in it had been acknowledged");
    }
    if has_new_epoch {
        tracing::warn!(
            "the store was not closed and not synced: a new epoch begins, and listeners are told of a gap"
        );
    }
}

impl Engine {
    /// The hub on this engine, as it was when it was last open.
    pub(crate) async fn hub(&self, clock: Arc<dyn Clock>) -> anyhow::Result<Hub> {
        match self {
            Self::Memory(engine) => Ok(Hub::builder(engine.clone()).clock(clock).open()),
            Self::File(store) => Ok(Hub::builder(store.clone()).clock(clock).restore(store.clone()).await?),
        }
    }

    /// Makes everything durable and ends it.
    pub(crate) fn close(self) {
        if let Self::File(store) = self {
            store.shut_down();
        }
    }
}
