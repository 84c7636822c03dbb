//! The binary `eric` from outside: a real process, real sockets, and the clients that people use.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agreement;
mod browsers;
mod clients;
mod commands;
mod curl;
mod eric_api;
mod fault_proxy;
mod folder;
mod guide;
mod hub;
mod idle;
mod numbered;
mod process;
mod socket_client;
mod store;
mod tools;
mod transcript;
