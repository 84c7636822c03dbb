//! `eric serve`: the hub as a process.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use eric_server::{CorsOrigins, Doors, Server, ServerSettings, raise_descriptor_limit};
use eric_sse::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};
use eric_sse::{ChannelId, Hub, SettingsPatch, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::engine::{self, Durability, EngineChoice};
use crate::logging::{self, Records};

/// Time between two looks at whether the engine still works.
const HEALTH_PERIOD: Duration = Duration::from_secs(1);

/// Runs a hub until SIGTERM or SIGINT.
///
/// When it is ready it prints one line on standard output, `ready http=ADDRESS socket=PATH engine=NAME`, without the
/// doors that stay shut; logs go to standard error.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where HTTP listens, HOST:PORT, or `off`; port 0 takes a free one.
    #[arg(long, env = "ERIC_LISTEN", default_value = "127.0.0.1:8000", value_name = "HOST:PORT")]
    listen: String,
    /// A Unix socket to open for the clients of the Python package; only the process's own user may use it.
    #[arg(long, env = "ERIC_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What keeps the log: `file:DIR`, a store in this directory, or `memory`, nothing beyond the process.
    #[arg(long, env = "ERIC_ENGINE", default_value = engine::DEFAULT, value_name = "memory|file:DIR")]
    engine: EngineChoice,
    /// What an answered change survives, with `--engine file:DIR`.
    #[arg(long, env = "ERIC_DURABILITY", default_value = "fsync")]
    durability: Durability,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `eric_server=debug,info`.
    #[arg(long, env = "ERIC_LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// How logs look.
    #[arg(long, env = "ERIC_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// A channel on which the hub broadcasts its own log records; it is made if it is not there.
    #[arg(long, env = "ERIC_LOGGING_CHANNEL", value_name = "ID")]
    logging_channel: Option<ChannelId>,
    /// Seconds that streams and requests may take to end after SIGTERM.
    #[arg(long, env = "ERIC_SHUTDOWN_GRACE", default_value_t = 5, value_name = "SECONDS")]
    shutdown_grace: u64,
    /// A web origin whose pages may use the hub, or `*` for any; may be repeated.
    #[arg(long, env = "ERIC_CORS_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Allows a non-loopback address although anybody who reaches it may do anything.
    #[arg(long, env = "ERIC_INSECURE", value_parser = FalseyValueParser::new())]
    insecure: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line per record, for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = self.settings()?;
        let records = self.start_logging()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let outcome = runtime.block_on(self.serve(settings, records));
        // What did not end within the grace is cut.
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(outcome?)
    }

    fn settings(&self) -> Result<ServerSettings, Failure> {
        let listen = match self.listen.as_str() {
            "off" => None,
            address => Some(self.listen(address)?),
        };
        if listen.is_none() && self.socket.is_none() {
            return Err(Failure::Usage("--listen off without --socket leaves no door open".to_owned()));
        }
        let cors_origins = CorsOrigins::parse(&self.cors_origin).map_err(Failure::Usage)?;
        let shutdown_grace = Duration::from_secs(self.shutdown_grace);
        let socket = self.socket.clone();
        Ok(ServerSettings { listen, socket, cors_origins, shutdown_grace, ..ServerSettings::default() })
    }

    /// The address that a user means, if anybody may listen there.
    fn listen(&self, address: &str) -> Result<SocketAddr, Failure> {
        let listen = resolve(address).map_err(|why| Failure::Usage(format!("--listen {address}: {why}")))?;
        if !listen.ip().is_loopback() && !self.insecure {
            return Err(Failure::Usage(format!(
                "--listen {listen} is not a loopback address and there is no authorisation; \
                 add --insecure to let anybody who reaches it do anything"
            )));
        }
        Ok(listen)
    }

    fn start_logging(&self) -> Result<Option<Records>, Failure> {
        let filter = EnvFilter::try_new(&self.log_level)
            .map_err(|error| Failure::Usage(format!("--log-level {}: {error}", self.log_level)))?;
        Ok(logging::start(filter, self.log_format, self.logging_channel.is_some()))
    }

    async fn serve(&self, settings: ServerSettings, records: Option<Records>) -> anyhow::Result<()> {
        let descriptors = raise_descriptor_limit();
        let connections = CONNECTIONS_MAX.min(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).max(1);
        tracing::info!(descriptors, connections, "as many connections as descriptors allow");
        let stop = StopSignals::new()?;
        // The doors come first: where one is taken, no data is touched.
        let doors = Doors::bind(ServerSettings { connections, ..settings }).context(
            "cannot listen on what follows: is another hub running there? try --listen 127.0.0.1:0 or another --socket",
        )?;
        let clock = Arc::new(SystemClock);
        let engine = self.engine.open(self.durability, clock.clone())?;
        let outcome = self.serve_hub(doors, engine.hub(clock).await?, records, stop).await;
        engine.close();
        outcome
    }

    async fn serve_hub(
        &self,
        doors: Doors,
        hub: Hub,
        records: Option<Records>,
        stop: StopSignals,
    ) -> anyhow::Result<()> {
        if let Some(id) = &self.logging_channel {
            let channel = hub.channels().ensure(id.clone(), &SettingsPatch::default()).await;
            channel.with_context(|| format!("cannot make the logging channel {id}"))?;
        }
        let server = doors.lead_to(hub.clone());
        announce(&server, hub.engine_name())?;
        if let Some(local) = server.local()
            && matches!(self.log_format, LogFormat::Text)
            && tracing::enabled!(tracing::Level::INFO)
        {
            eprint!("{}", hints(local));
        }
        let publishing = self
            .logging_channel
            .clone()
            .zip(records)
            .map(|(id, records)| tokio::spawn(logging::publish(hub.clone(), id, records)));
        let outcome = tokio::select! {
            outcome = run(server, stop) => outcome,
            never = watch_health(&hub) => match never {},
        };
        if let Some(publishing) = publishing {
            publishing.abort();
            let _ = publishing.await;
        }
        outcome
    }
}

/// Serves until a signal says stop, and then as long as the grace allows; a second signal ends it at once.
async fn run(server: Server, mut stop: StopSignals) -> anyhow::Result<()> {
    let handle = server.handle();
    // Where its connections are: on this thread, every one that is accepted would have to wake another.
    let mut running = tokio::spawn(server.run());
    let cut = tokio::select! {
        cut = &mut running => cut,
        name = stop.next() => {
            tracing::info!(signal = name, "stopping");
            handle.stop();
            tokio::select! {
                cut = &mut running => cut,
                _ = stop.next() => {
                    tracing::warn!("stopping at once");
                    return Ok(());
                }
            }
        }
    };
    let cut = cut.context("the server broke down")?;
    if cut > 0 {
        tracing::warn!(connections = cut, "cut after the grace");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says it, once, when the engine has stopped: what is asked of the hub from then on is refused with the reason, and
/// whoever looks after it need not ask.
async fn watch_health(hub: &Hub) -> Infallible {
    let mut looks = tokio::time::interval(HEALTH_PERIOD);
    loop {
        looks.tick().await;
        if let Err(error) = hub.health() {
            tracing::error!(%error, "nothing is taken any more, what is kept can be read: mend it and start the hub again");
            std::future::pending::<()>().await;
        }
    }
}

/// The signals that stop a process.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The address that a user means; names are looked up.
fn resolve(listen: &str) -> Result<SocketAddr, String> {
    let mut addresses = listen.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().ok_or_else(|| "no such address".to_owned())
}

/// The one line on standard output.
fn announce(server: &Server, engine: &str) -> anyhow::Result<()> {
    let mut line = b"ready".to_vec();
    if let Some(local) = server.local() {
        line.extend(format!(" http={local}").into_bytes());
    }
    if let Some(path) = server.socket() {
        line.extend([b" socket=", path.as_os_str().as_bytes()].concat());
    }
    line.extend(format!(" engine={engine}\n").into_bytes());
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("cannot say ready")
}

/// What to try next: every line works as it is, in this order.
fn hints(local: SocketAddr) -> String {
    let url = format!("http://{local}/v1/channels/news");
    format!(
        "\nTry, in this order (the last one shows both messages, and waits for more):\n\
         \x20 curl -X PUT {url}\n\
         \x20 curl -X PUT {url}/listeners/bob\n\
         \x20 curl {url}/messages -H 'Content-Type: application/json' -d '{{\"type\":\"greeting\",\"payload\":\"hello, world\"}}'\n\
         \x20 curl {url}/listeners/bob/messages -H 'Content-Type: application/json' -d '{{\"type\":\"note\",\"payload\":{{\"for\":\"bob\"}}}}'\n\
         \x20 curl -N {url}/listeners/bob/events\n\n"
    )
}
