//! How long a dispatch takes to reach its addressee, on a channel of 10 and of 100,000 live listeners.
//!
//! Sketch of the cost: one lock of the engine, one of the window, one slot with one follower, one wake; a hash
//! look-up for the listener, for its lane and for its slot each. None of that grows with the number of listeners but
//! the tables, which no longer fit the cache: the same listener is addressed every time, so that the figure shows
//! what work there is and not how large the machine's cache is. Target: a ratio of at most 1.3.
//!
//! Rounds on the small and on the large channel alternate, so that whatever else the machine does hits both.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use eric_sse::{ChannelSettings, Connection, Hub, Message, MessageStream};
use futures_util::{FutureExt as _, StreamExt as _};

const SIZES: [usize; 2] = [10, 100_000];
const ROUNDS: usize = 40_000;
const WARM_UP_ROUNDS: usize = 4_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A channel of which every listener waits, one of them for us.
struct Scene {
    _hub: Hub,
    hot: Connection,
    stream: MessageStream,
    _others: Vec<MessageStream>,
    took: Vec<Duration>,
}

impl Scene {
    async fn new(listeners: usize) -> Outcome<Self> {
        let hub = Hub::in_memory();
        let settings = ChannelSettings { history: 0, ..ChannelSettings::in_memory() };
        let channel = hub.channels().create("bench".parse()?, settings).await?;
        let mut streams = Vec::with_capacity(listeners);
        let mut connections = Vec::with_capacity(listeners);
        for _ in 0..listeners {
            let listener = channel.add_listener().await?;
            listener.start();
            let mut stream = channel.message_stream(&listener).await?;
            if stream.next().now_or_never().is_some() {
                return Err("a stream yielded before anything was published".into());
            }
            streams.push(stream);
            connections.push(listener);
        }
        let stream = streams.swap_remove(listeners / 2);
        let hot = connections.swap_remove(listeners / 2);
        Ok(Self { _hub: hub, hot, stream, _others: streams, took: Vec::with_capacity(ROUNDS) })
    }

    /// From the call of `dispatch` until the addressee's stream, which waits, was woken and yielded.
    #[expect(clippy::disallowed_methods, reason = "this measures")]
    async fn round(&mut self, message: Message) -> Outcome<()> {
        let (channel, id) = (self.hot.channel().clone(), self.hot.id().clone());
        let dispatch = async {
            let began = Instant::now();
            channel.dispatch(&id, message).await.map(|_| began)
        };
        let receive = async {
            let event = self.stream.next().await;
            (event, Instant::now())
        };
        // The receiver is polled first, so that it waits when the dispatch begins.
        let ((event, ended), began) = futures_util::future::join(receive, dispatch).await;
        if event.ok_or("the stream ended")??.message().is_none() {
            return Err("the stream yielded a gap".into());
        }
        self.took.push(ended.duration_since(began?));
        Ok(())
    }

    fn quantile(&self, part: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took[((took.len() - 1) as f64 * part) as usize]
    }
}

async fn run() -> Outcome<()> {
    let mut scenes = Vec::new();
    for listeners in SIZES {
        scenes.push(Scene::new(listeners).await?);
    }
    let message = Message::of("note", "for the one it concerns")?;
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        if round == WARM_UP_ROUNDS {
            scenes.iter_mut().for_each(|scene| scene.took.clear());
        }
        for index in 0..scenes.len() {
            // Each size is first in every other round.
            let index = (index + round) % SIZES.len();
            scenes[index].round(message.clone()).await?;
        }
    }
    println!("dispatch until the addressee's stream yielded, {ROUNDS} rounds each, alternating");
    println!("{:>10}  {:>10}  {:>10}  {:>10}", "listeners", "median", "p90", "p99");
    for (listeners, scene) in SIZES.into_iter().zip(&scenes) {
        let [median, p90, p99] =
            [0.5, 0.9, 0.99].map(|part| format!("{} ns", scene.quantile(part).as_nanos()));
        println!("{listeners:>10}  {median:>10}  {p90:>10}  {p99:>10}");
    }
    let [few, many] = [0, 1].map(|index: usize| scenes[index].quantile(0.5).as_secs_f64());
    println!("ratio of the medians {:.2}, target at most 1.30", many / few);
    Ok(())
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(run())
}
