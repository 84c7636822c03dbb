//! The binary `eric` from outside: a real process, real sockets, and the clients that people use.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agreement;
#[cfg(target_os = "linux")]
mod bench;
mod browsers;
mod clients;
mod commands;
mod curl;
mod data_directory;
mod eric_api;
mod fault_proxy;
mod folder;
mod full_disk;
mod guide;
mod hub;
mod idle;
mod killed;
mod numbered;
mod process;

mod read_only;
mod retention;
mod small_disk;
mod socket_client;
mod store;
mod tools;
mod transcript;
mod verify;
