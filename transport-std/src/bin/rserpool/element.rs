//! `rserpool element`

mod child;
mod echo;
mod echo_sctp;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use rserpool_core::PeId;
use rserpool_core::wire::{Lifetime, Policy};
use rserpool_std::driver::StartError;
use rserpool_std::{AsapListen, EndpointOptions, PoolElement, Registration, Service};

use self::child::Child;
use self::echo::Echo;
use self::service::{Protocol, ServiceAddress};
use crate::error::Error;
use crate::network::EndpointArgs;
use crate::signals::{Signals, Wake};
use crate::values;

/// How long a registrar may take to answer a deregistration. One that does not finds out by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// Put a service into a pool: one that runs, or one that is started by this command
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The pool handle
    #[arg(short, long, value_name = "NAME", value_parser = values::pool_handle)]
    pool: String,
    /// Where users reach the service: tcp://HOST:PORT, udp://HOST:PORT, or sctp://HOST:PORT[,ADDRESS...]
    #[arg(short, long, value_name = "URL")]
    service: String,
    /// SCTP: the associations of users carry ASAP messages, too, such as cookies. The elements of one pool agree about
    /// that; rsplib's all have it
    #[arg(long)]
    control_channel: bool,
    /// The pool's policy and the service's values in it
    #[arg(long, value_name = "POLICY", default_value = "rr", value_parser = values::policy, long_help = POLICY_HELP)]
    policy: Policy<'static>,
    /// A file that holds the policy; it is read again whenever it changes, so a service can tell its load
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    policy_file: Option<PathBuf>,
    /// The pool element identifier. Default: random
    #[arg(long, value_name = "ID", value_parser = values::pe_id)]
    id: Option<PeId>,
    /// For how long a registration is good if it is not renewed; it is renewed in time
    #[arg(long, value_name = "TIME|infinite", default_value = "300s", value_parser = values::lifetime)]
    lifetime: Lifetime,
    /// How often to look whether a TCP or SCTP service still accepts connections; 0 for never
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = values::duration)]
    check: Duration,
    /// How long a service that is started may take until its port answers
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    start_timeout: Duration,
    /// How long the service goes on after it has left the pool, so that its users can move on
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration)]
    drain: Duration,
    /// Where to let a registrar connect that takes over from the one that has failed: off, a port, or an address. auto:
    /// where the registrars see this host, at a port that the system chooses
    #[arg(long, value_name = "WHERE", default_value = "auto", value_parser = values::asap_listen)]
    asap_listen: AsapListen,
    /// Be the service: send back what comes in, on the address of --service (its port may be 0)
    #[arg(long, conflicts_with = "command")]
    echo: bool,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// A command that is the service. It is registered when its port answers, and deregistered when it ends
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const POLICY_HELP: &str = "\
The pool's policy and the service's values in it:
  rr                 round robin
  wrr:WEIGHT         weighted round robin
  rand               random
  wrand:WEIGHT       weighted random
  prio:PRIORITY      the highest first
  lu:LOAD            least used
  lud:LOAD:STEP      least used with degradation: each user adds STEP
  plu:LOAD:STEP      priority least used: by LOAD + STEP
  rlu:LOAD           randomized least used
LOAD and STEP are 0% to 100%, or 0 to 0xffffffff.";

const AFTER_HELP: &str = "\
Examples:
  rserpool element --pool web --service tcp://192.0.2.7:80
      a web server that runs already; out of the pool while its port does not answer
  rserpool element --pool db --service tcp://192.0.2.7:5432 --policy prio:10 -- postgres -D /srv/db
      starts the server, registers it when it answers, deregisters it when it ends
  rserpool element --pool work --service tcp://192.0.2.7:9000 --policy-file /run/work.load
      with /run/work.load holding lu:37%
  rserpool element --pool echo --service tcp://127.0.0.1:0 --echo
      a service to try things out
  rserpool element --transport sctp --pool EchoPool --service sctp://0.0.0.0:0 --echo
      the same over SCTP, at all addresses of the host; rsplib's rspterminal can talk to it

On SIGTERM or SIGINT the service leaves the pool first, and ends after the time of --drain; a COMMAND is then sent
SIGTERM. The exit status is that of COMMAND, if there is one.";

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let signals = Signals::new()?;
    let mut address = ServiceAddress::parse(&args.service, args.control_channel)?;
    if args.echo {
        let at = match address.protocol {
            Protocol::Sctp => echo_sctp::start(&address.addresses())?,
            Protocol::Tcp | Protocol::Udp => vec![Echo::start(address.first())?.address()],
        };
        address.is_at(&at);
    }
    if address.port == 0 {
        return Err(Error::value("--service", &args.service, "only with '--echo' may the port be 0"));
    }
    if !address.is_specific() {
        return Err(Error::value("--service", &args.service, "an address that users can connect to is wanted"));
    }
    let options = EndpointOptions { asap_listen: args.asap_listen, ..args.endpoint.options()? };
    let endpoint = PoolElement::new(options).map_err(|error| start_error(&error))?;
    let mut policy = PolicySource::new(&args)?;
    // Last: whatever else can fail has not.
    let child = match args.command.split_first() {
        Some((program, arguments)) => Some(Child::start(program, arguments, signals.sender())?),
        None => None,
    };
    let service = Service {
        pool: args.pool.as_bytes(),
        transport: address.transport(),
        policy: policy.current,
        lifetime: args.lifetime,
        id: args.id,
    };
    let mut keeper = Keeper {
        endpoint: &endpoint,
        service,
        policy: policy.current,
        previous: None,
        timeout: args.endpoint.timeout(),
        registration: None,
        told: false,
    };
    let started = Instant::now();
    let mut answered = false;
    loop {
        if let Some(child) = &child
            && let Some(status) = child.ended()
        {
            keeper.leave();
            if !answered {
                return Err(Error::Failed(format!("the service ended ({status}) before its port answered")));
            }
            return Ok(child::exit_code(status));
        }
        let alive = !address.can_be_checked(args.check) && child.is_none() || address.answers();
        answered |= alive;
        if child.is_some() && !answered && started.elapsed() > args.start_timeout {
            return Err(Error::Failed(format!(
                "{} did not answer within {:?} of the service's start: it is ended ('--start-timeout' gives it longer)",
                address.first(),
                args.start_timeout
            )));
        }
        if let Some(new) = policy.changed() {
            keeper.set_policy(new)?;
        }
        keeper.follow(alive)?;

        // Until the port answers, or the registrar has said its word, it is worth looking more often.
        let soon = !answered || !keeper.told;
        let pause = if soon { Duration::from_millis(50) } else { args.check.max(Duration::from_millis(100)) };
        let pause = if args.check.is_zero() && !soon { Duration::from_secs(1) } else { pause };
        if let Some(Wake::Signal(name)) = signals.wait_for(pause) {
            tracing::info!("{name}: {} leaves the pool {}", address.first(), args.pool);
            keeper.leave();
            // A second signal ends the wait.
            let _ = signals.wait_for(args.drain);
            return Ok(match child {
                Some(child) => child::exit_code(child.terminate()),
                None => ExitCode::SUCCESS,
            });
        }
    }
}

fn start_error(error: &rserpool_std::Error) -> Error {
    let advice = match error {
        rserpool_std::Error::Start(StartError::Listen { .. }) => "; '--asap-listen' takes another address or port",
        rserpool_std::Error::Start(StartError::ListenSctp { .. }) => "; '--local' takes other addresses",
        _ => "",
    };
    Error::system("start", format_args!("{error}{advice}"))
}

/// Keeps the registration in step with whether the service is there.
struct Keeper<'e> {
    endpoint: &'e PoolElement,
    service: Service<'e>,
    /// The service's policy.
    policy: Policy<'static>,
    /// The policy before the last change, which was granted.
    previous: Option<Policy<'static>>,
    /// How long to wait for answers.
    timeout: Duration,
    registration: Option<Registration<'e>>,
    /// Whether the user has been told that the registrar granted it.
    told: bool,
}

impl Keeper<'_> {
    fn follow(&mut self, alive: bool) -> Result<(), Error> {
        match (&self.registration, alive) {
            (None, true) => {
                let registration = self.endpoint.register_later(&self.service);
                self.registration = Some(registration.map_err(|error| Error::Failed(error.to_string()))?);
                self.told = false;
            }
            (Some(_), false) => {
                tracing::warn!("the service does not answer: it leaves the pool until it does");
                self.leave();
            }
            (Some(registration), true) => {
                if let Some(cause) = registration.refused() {
                    return self.refused(&cause);
                }
                if !self.told && registration.is_registered().map_err(|error| Error::Failed(error.to_string()))? {
                    self.told = true;
                    let id = registration.id().ok().flatten().unwrap_or_default();
                    tracing::info!("registered as {id}");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A refused change of the policy is taken back: with it the service would fall out of its pool unnoticed.
    fn refused(&mut self, cause: &rserpool_std::Error) -> Result<(), Error> {
        let Some(previous) = self.previous.take() else { return Err(Error::Failed(cause.to_string())) };
        tracing::warn!("{cause}: the policy '{}' is not used, '{previous}' stays", self.policy);
        self.use_policy(previous)
    }

    fn set_policy(&mut self, policy: Policy<'static>) -> Result<(), Error> {
        self.previous = Some(self.policy);
        self.use_policy(policy)
    }

    fn use_policy(&mut self, policy: Policy<'static>) -> Result<(), Error> {
        self.policy = policy;
        self.service.policy = policy;
        match &self.registration {
            Some(registration) => registration.set_policy(policy).map_err(|error| Error::Failed(error.to_string())),
            None => Ok(()),
        }
    }

    fn leave(&mut self) {
        if let Some(registration) = self.registration.take()
            && let Err(error) = registration.deregister_within(FAREWELL.min(self.timeout))
        {
            tracing::warn!("deregistration: {error}");
        }
    }
}

/// Where a policy comes from.
struct PolicySource<'a> {
    file: Option<&'a PathBuf>,
    modified: Option<SystemTime>,
    current: Policy<'static>,
}

impl<'a> PolicySource<'a> {
    fn new(args: &'a Args) -> Result<Self, Error> {
        let mut source = PolicySource { file: args.policy_file.as_ref(), modified: None, current: args.policy };
        if let Some(file) = source.file {
            source.modified = file.metadata().and_then(|meta| meta.modified()).ok();
            source.current = read_policy(file)?;
        }
        Ok(source)
    }

    /// The policy, if it is another one than before. A file that cannot be understood changes nothing.
    fn changed(&mut self) -> Option<Policy<'static>> {
        let file = self.file?;
        let modified = file.metadata().and_then(|meta| meta.modified()).ok();
        if modified == self.modified {
            return None;
        }
        self.modified = modified;
        match read_policy(file) {
            Ok(policy) if policy != self.current => {
                self.current = policy;
                Some(policy)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("the policy stays as it is: {}", error.text());
                None
            }
        }
    }
}

fn read_policy(file: &PathBuf) -> Result<Policy<'static>, Error> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Error::system(format_args!("read {}", file.display()), error))?;
    values::policy(text.trim()).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))
}
