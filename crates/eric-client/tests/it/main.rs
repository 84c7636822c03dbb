//! The clients against the real hub, in this process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod applications;
mod cuts;
mod events;
mod hub;
mod odd;
mod proxy;
mod publish;
mod routes;
mod socket;
mod socket_wire;

#[test]
fn clients_and_their_streams_can_be_sent_to_other_threads() {
    fn is_send<T: Send + Unpin>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<eric_client::HttpClient>();
    is_shared::<eric_client::SocketClient>();
    is_send::<eric_client::Events>();
    is_send::<eric_client::Frames>();
    is_send::<eric_client::Error>();
}
