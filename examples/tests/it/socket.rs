//! The three programs of the Unix socket, together.

use crate::program::{Program, example};

#[test]
fn what_is_typed_into_the_sender_reaches_all_receivers_or_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("eric.sock");
    let server = Program::start(example("socket-server").arg(&path));
    assert_eq!(server.line(), "ready, Ctrl-C stops it");
    let mut sender = Program::start(example("socket-sender").arg(&path));
    let channel = sender.word("channel");

    let receiver = || Program::start(example("socket-receiver").arg(&path).arg(&channel));
    let (alice, bob) = (receiver(), receiver());
    alice.word("listener");
    let bobs_id = bob.word("listener");

    for (line, answer) in [
        ("hello, \"all\"", "sent"),
        (&*format!("@{bobs_id} for you alone"), "sent"),
        ("@nobody at home", "not sent: "),
        ("goodbye", "sent"),
    ] {
        sender.type_line(line);
        let said = sender.line();
        assert!(said.starts_with(answer), "{line}: {said}");
    }
    let (hello, goodbye) = (r#"shout "hello, \"all\"""#, r#"shout "goodbye""#);
    assert_eq!([alice.line(), alice.line()], [hello, goodbye]);
    assert_eq!([bob.line(), bob.line(), bob.line()], [hello, r#"whisper "for you alone""#, goodbye]);

    sender.end_typing();
    assert_eq!(alice.rest(), ["the channel is gone"]);
    assert_eq!(bob.rest(), ["the channel is gone"]);
    assert!(sender.rest().is_empty());

    server.interrupt();
    assert_eq!(server.rest(), ["stopped"]);
    assert!(!path.exists(), "the server takes its socket along");
}
