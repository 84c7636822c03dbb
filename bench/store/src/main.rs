//! The embedded store beside a raw program that writes the same groups of bytes and calls `fdatasync`.

mod abandoned;
mod appends;
mod disk;
mod figures;
mod http;
mod reads;

use std::path::PathBuf;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let only = arguments.next();
    let wants = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wants("memory") {
        reads::memory(&base).await?;
    }
    if wants("appends") {
        appends::run(&base).await?;
    }
    if wants("http") {
        http::run(&base).await?;
    }
    if wants("catch-up") {
        reads::catch_up(&base).await?;
    }
    if wants("own") {
        reads::own_entries(&base).await?;
    }
    if wants("unread") {
        reads::unread(&base).await?;
    }
    if wants("abandoned") {
        abandoned::on_disk(&base).await?;
    }
    if wants("abandoned-in-memory") {
        abandoned::in_memory().await?;
    }
    Ok(())
}
