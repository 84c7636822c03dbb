//! A mailbox that gets ten times what it may hold: nobody else loses anything, and its owner is told exactly.

use eric_client::{
    Ack, Code, Error, GapReason, ListenerOrder, Overflow, Paging, Position, PullOptions, ReadFrom,
    SettingsPatch,
};

use super::readers::{Reader, pull};
use super::{Mail, Stage, channel, labelled, listener, number, sorted};

/// Unread messages that a mailbox holds.
const QUOTA: usize = 50;

fn member(n: usize) -> eric_client::ListenerId {
    listener(&format!("listener-{n}"))
}

/// The channel `news` with its listeners; number 0 is the one that will be flooded.
async fn set_up(stage: &Stage, settings: SettingsPatch) -> usize {
    let listeners = number("ERIC_TEST_LISTENERS", 1_000);
    stage.client.ensure_channel(&channel("news"), &settings).await.unwrap();
    let made = stage.each(listeners, async |client, n| {
        client.ensure_listener(&channel("news"), &member(n)).await.unwrap()
    });
    assert!(made.await.into_iter().all(|is_new| is_new));
    listeners
}

/// One message for everybody.
async fn broadcast(stage: &Stage, label: &str) -> Mail {
    (stage.client.broadcast(&channel("news"), labelled(label)).await.unwrap().id, label.to_owned())
}

/// One message for each listener from number `from` on, of its own.
async fn dispatch_each(stage: &Stage, from: usize, to: usize, when: &str) -> Vec<Mail> {
    let dispatch = stage.each(to - from, async |client, n| {
        let label = format!("{when}/{}", from + n);
        let taken = client.dispatch(&channel("news"), &member(from + n), labelled(&label)).await;
        (taken.unwrap().id, label)
    });
    dispatch.await
}

/// Ten times the quota for number 0, in batches of `batch`; what became of each.
async fn flood(stage: &Stage, batch: usize) -> (Vec<Mail>, Vec<Error>) {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for first in (0..10 * QUOTA).step_by(batch) {
        let labels: Vec<String> = (first..first + batch).map(|n| format!("flood/{n}")).collect();
        let messages: Vec<_> = labels.iter().map(|label| labelled(label)).collect();
        match stage.client.dispatch_lines(&channel("news"), &member(0), &messages).await {
            Ok(answer) => taken.extend(answer.ids.into_iter().zip(labels)),
            Err(error) => refused.push(error),
        }
    }
    (taken, refused)
}

/// What everybody else has is all that they were sent, and no gap.
async fn check_others(stage: &Stage, broadcasts: &[Mail], own: &[Vec<Mail>], listeners: usize) {
    let others =
        stage.each(listeners - 1, async |client, n| pull(client, &channel("news"), &member(n + 1)).await);
    for (n, (mail, gaps)) in others.await.into_iter().enumerate() {
        let own = own.iter().map(|own| own[n].clone());
        let expected = sorted(broadcasts.iter().cloned().chain(own).collect());
        assert_eq!(mail, expected, "the mail of number {}", n + 1);
        assert_eq!(gaps.len(), 0, "{gaps:?}");
    }
}

async fn a_flood_evicts_its_own_mail_only(stage: Stage) {
    let settings = SettingsPatch { max_unread_per_listener: Some(QUOTA as u64), ..SettingsPatch::default() };
    let listeners = set_up(&stage, settings).await;
    let mut broadcasts = vec![broadcast(&stage, "broadcast/before").await];
    let before = dispatch_each(&stage, 0, listeners, "before").await;
    let ((flooded, refused), during, more) =
        tokio::join!(flood(&stage, QUOTA), dispatch_each(&stage, 1, listeners, "during"), async {
            [broadcast(&stage, "broadcast/a").await, broadcast(&stage, "broadcast/b").await]
        },);
    assert!(refused.is_empty(), "{refused:?}");
    broadcasts.extend(more);

    let page = Paging { limit: Some(2), ..Paging::default() };
    let fullest =
        stage.client.listeners(&channel("news"), &page, ListenerOrder::Backlog).await.unwrap().items;
    let backlogs: Vec<(String, u64)> = fullest.iter().map(|row| (row.id.to_string(), row.backlog)).collect();
    assert_eq!(backlogs[0], (member(0).to_string(), (QUOTA + broadcasts.len()) as u64), "who has most");
    assert_eq!(backlogs[1].1, broadcasts.len() as u64 + 2, "what everybody else has");
    check_others(&stage, &broadcasts, &[before[1..].to_vec(), during], listeners).await;

    let newest = flooded[flooded.len() - QUOTA..].to_vec();
    let last = broadcast(&stage, "last").await;
    let reader = Reader::listen(&stage.client, &channel("news"), &member(0), Ack::Auto, ReadFrom::Cursor);
    let seen = reader.until("last").await;
    let gaps = seen.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].reason, GapReason::Trimmed);
    assert_eq!(gaps[0].missed, Some((1 + flooded.len() - QUOTA) as u64), "{gaps:?}");
    assert_eq!(gaps[0].to, Some(flooded[flooded.len() - QUOTA - 1].0), "the last that was missed");
    let expected = broadcasts.iter().cloned().chain(newest).chain([last]).collect();
    assert_eq!(seen.mail(), sorted(expected), "what its owner gets");
}

async fn a_flood_is_refused_and_nothing_is_lost(stage: Stage) {
    let settings = SettingsPatch {
        max_unread_per_listener: Some(QUOTA as u64),
        overflow: Some(Overflow::Reject),
        ..SettingsPatch::default()
    };
    let listeners = set_up(&stage, settings).await;
    let broadcasts = [broadcast(&stage, "broadcast/before").await];
    let ((taken, refused), during) =
        tokio::join!(flood(&stage, 10), dispatch_each(&stage, 1, listeners, "during"));
    assert_eq!((taken.len(), refused.len()), (QUOTA, (10 * QUOTA - QUOTA) / 10), "{refused:?}");
    for error in &refused {
        check_refusal(error, "max_unread_per_listener", QUOTA);
    }
    check_others(&stage, &broadcasts, &[during], listeners).await;
    let (mail, gaps) = pull(&stage.client, &channel("news"), &member(0)).await;
    assert_eq!(mail, sorted(broadcasts.iter().cloned().chain(taken.clone()).collect()), "what its owner has");
    assert_eq!(gaps.len(), 0, "{gaps:?}");

    // What was acknowledged makes room for as many, and for no more.
    stage.client.ack(&channel("news"), &member(0), taken[2].0).await.unwrap();
    for n in 0..4 {
        let taken = stage.client.dispatch(&channel("news"), &member(0), labelled("more")).await;
        match taken {
            Ok(_) => assert!(n < 3, "there is room for three"),
            Err(error) => {
                assert_eq!(n, 3, "there is room for three: {error}");
                check_refusal(&error, "max_unread_per_listener", QUOTA);
            }
        }
    }
}

/// The answer is 429, and names the limit and who holds it.
fn check_refusal(error: &Error, limit: &str, max: usize) {
    assert_eq!(
        (error.code(), error.status(), error.limit()),
        (Some(Code::LimitExceeded), Some(429), Some(limit))
    );
    let text = error.to_string();
    assert!(text.contains(&format!("{limit}={max}")), "{text}");
    assert!(text.contains(&format!("held by listener id={}", member(0))), "{text}");
}

/// Exactly at the quota nothing goes; one past it one message does, or is refused.
async fn a_quota_is_exact(stage: Stage) {
    // A type of one byte, and a payload of nine with its quotes.
    const MESSAGE_BYTES: u64 = 10;
    let messages = SettingsPatch { max_unread_per_listener: Some(5), ..SettingsPatch::default() };
    let bytes =
        SettingsPatch { max_unread_bytes_per_listener: Some(5 * MESSAGE_BYTES), ..SettingsPatch::default() };
    let news = channel("news");
    for (settings, name, max) in
        [(messages, "max_unread_per_listener", 5), (bytes, "max_unread_bytes_per_listener", 50)]
    {
        for overflow in [Overflow::DropOldest, Overflow::Reject] {
            let settings = SettingsPatch { overflow: Some(overflow), ..settings.clone() };
            assert!(stage.client.ensure_channel(&news, &settings).await.unwrap().1, "it is another one");
            stage.client.ensure_listener(&news, &member(0)).await.unwrap();
            let put = async |n: usize| {
                let label = format!("mail-{n:02}");
                Ok::<Mail, Error>((
                    stage.client.dispatch(&news, &member(0), labelled(&label)).await?.id,
                    label,
                ))
            };
            let mut sent = Vec::new();
            for n in 0..5 {
                sent.push(put(n).await.unwrap());
            }
            let (mail, gaps) = pull(&stage.client, &news, &member(0)).await;
            assert_eq!((&mail, gaps.len()), (&sent, 0), "exactly at {name}");
            let info = stage.client.listener(&news, &member(0)).await.unwrap();
            assert_eq!((info.backlog, info.backlog_bytes), (5, 5 * MESSAGE_BYTES), "exactly at {name}");
            match put(5).await {
                Ok(one_more) => {
                    assert_eq!(overflow, Overflow::DropOldest, "one past {name}");
                    sent.push(one_more);
                    let (mail, gaps) = pull(&stage.client, &news, &member(0)).await;
                    let gaps: Vec<(Option<u64>, Option<Position>)> =
                        gaps.iter().map(|gap| (gap.missed, gap.to)).collect();
                    assert_eq!(mail, sent[1..], "one past {name}");
                    assert_eq!(gaps, [(Some(1), Some(sent[0].0))], "one past {name}");
                }
                Err(error) => {
                    assert_eq!(overflow, Overflow::Reject, "one past {name}: {error}");
                    check_refusal(&error, name, max);
                    let (mail, gaps) = pull(&stage.client, &news, &member(0)).await;
                    assert_eq!((&mail, gaps.len()), (&sent, 0), "one past {name}");
                }
            }
            // What is larger than the mailbox is refused whatever happens at its limit.
            if name == "max_unread_bytes_per_listener" {
                let huge = labelled(&"x".repeat(50));
                let error = stage.client.dispatch(&news, &member(0), huge).await.unwrap_err();
                assert_eq!((error.status(), error.limit()), (Some(429), Some(name)));
            }
            let options = PullOptions::default();
            assert_eq!(stage.client.pull(&news, &member(0), &options).await.unwrap().messages.len(), 5);
            stage.client.remove_channel(&news).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_flooded_mailbox_evicts_its_own_mail_only_in_memory() {
    a_flood_evicts_its_own_mail_only(Stage::in_memory().await).await;
}

#[tokio::test]
async fn a_flooded_mailbox_evicts_its_own_mail_only_on_a_disk() {
    a_flood_evicts_its_own_mail_only(Stage::on_disk().await).await;
}

#[tokio::test]
async fn a_flood_that_is_to_be_refused_is_refused_and_nothing_is_lost_in_memory() {
    a_flood_is_refused_and_nothing_is_lost(Stage::in_memory().await).await;
}

#[tokio::test]
async fn a_flood_that_is_to_be_refused_is_refused_and_nothing_is_lost_on_a_disk() {
    a_flood_is_refused_and_nothing_is_lost(Stage::on_disk().await).await;
}

#[tokio::test]
async fn a_mailbox_is_full_exactly_at_its_quota_in_memory() {
    a_quota_is_exact(Stage::in_memory().await).await;
}

#[tokio::test]
async fn a_mailbox_is_full_exactly_at_its_quota_on_a_disk() {
    a_quota_is_exact(Stage::on_disk().await).await;
}
