//! The one entry: a command line with all that surrounds it, run against a world, gives an exit code. `main`, tests and Jobs use it alike.

mod help;
mod panics;
mod wording;

use std::ffi::OsString;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::PoisonError;

use clap::Parser;
use futures::future::LocalBoxFuture;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Form, Halt, Notation, Pause, Skip};
use crate::commands::{self, Asker, Asks, later};
use crate::failure::{Advice, Cause, Class, Failure, Outcome, exit_code};
use crate::names;
use crate::plan::model::journal::Head;
use crate::report::data::{self, Document};
use crate::report::{
    self, Account, Bulletins, Event, Follower, GateStates, Out, Outbox, Printed, Shared, SharedJournal, Sink, Style,
};
use crate::run::cluster::unconnected;
use crate::run::session::{self, Identity, Session, Stop, signalled};
use crate::run::{Parts, Services};
use crate::settings::{self, Settings, Sources};
use crate::twin::{Process, Start};
use crate::words;
use crate::world::{Env, KubeConnection, KubeTarget, SECRET_FILE, World};

pub use panics::Panics;

/// Everything that a process is given.
pub struct Invocation {
    pub argv: Vec<OsString>,
    pub env: Env,
    pub stdin: Box<dyn BufRead + Send>,
    pub stdout: Out,
    pub stderr: Out,
    /// A person can be asked.
    pub interactive: bool,
    pub stderr_is_terminal: bool,
    pub stop: Stop,
    /// Sees all events, too: whoever rehearses.
    pub tee: Option<Box<dyn Sink>>,
    /// A panic ends the command as a failure. None: it goes on to whoever called, as a test wants it.
    pub panics: Option<Panics>,
}

/// Runs one command to its end.
pub async fn run(mut invocation: Invocation, world: &World) -> ExitCode {
    let wording = wording::wording(&invocation.argv, &invocation.env);
    invocation.stdout = invocation.stdout.worded(&wording);
    invocation.stderr = invocation.stderr.worded(&wording);
    let (panics, stderr) = (invocation.panics.clone(), invocation.stderr.clone());
    // Also of what tells: there is nobody left to tell it to but stderr.
    let code = match caught(panics.as_ref(), run_to_code(invocation, world)).await {
        Ok(code) => code,
        Err(failure) => {
            report::put(&stderr, &Printed::failure(&failure));
            failure.class().code()
        }
    };
    ExitCode::from(code)
}

async fn caught<T>(panics: Option<&Panics>, work: impl Future<Output = T>) -> Result<T, Failure> {
    match panics {
        Some(panics) => panics.caught(work).await,
        None => Ok(work.await),
    }
}

async fn run_to_code(mut invocation: Invocation, world: &World) -> u8 {
    let cli = match help::parsed(&invocation) {
        Ok(cli) => cli,
        Err(error) => return help::usage(&invocation, &error),
    };
    if manner(&cli.command).output == Notation::Yaml {
        invocation.stdout = invocation.stdout.in_yaml();
    }
    let style = style(&invocation, &cli);
    let verbosity = if cli.global.quiet { -1 } else { i8::try_from(cli.global.verbose).unwrap_or(i8::MAX) };
    if cli.global.verbose > 1 {
        diagnose(cli.global.log_format, invocation.stderr.clone());
    }
    let own = match (&cli.command, style) {
        (command, Style::Terminal { colour }) if is_paced(command, style) => {
            let stop = invocation.stop.clone();
            report::paced(colour, verbosity, invocation.stderr.clone(), move || stop.borrow().stop.is_some())
        }
        (Command::Rehearse(_), Style::Terminal { .. }) => report::sink(Style::Plain, verbosity, invocation.stderr.clone()),
        _ => report::sink(style, verbosity, invocation.stderr.clone()),
    };
    let account = gives_account(&cli.command).then(Account::default);
    let journal = keeps_journal(&cli.command).then(SharedJournal::default);
    let others = invocation.tee.take().into_iter().chain(journal.clone().map(|journal| Box::new(journal) as Box<dyn Sink>));
    let others = others.chain(account.clone().map(|account| Box::new(account) as Box<dyn Sink>));
    // Who keeps a journal does something: under a Job it is recorded there, by hand on the Lease that is held meanwhile.
    let follower = keeps_journal(&cli.command).then(Follower::default);
    let others = others.chain(follower.clone().map(|follower| Box::new(follower) as Box<dyn Sink>));
    // Who may change something tells people who look at no screen, too.
    let outbox = (!manner(&cli.command).dry_run).then(Outbox::default);
    let others = others.chain(outbox.clone().map(|outbox| Box::new(outbox) as Box<dyn Sink>));
    // And the cluster itself.
    let bulletins = (!manner(&cli.command).dry_run && stays(&cli.command)).then(|| Bulletins::new(held(&cli.command)));
    let others = others.chain(bulletins.clone().map(|bulletins| Box::new(bulletins) as Box<dyn Sink>));
    // And whoever draws graphs.
    let gates = (!manner(&cli.command).dry_run).then(GateStates::default);
    let others = others.chain(gates.clone().map(|gates| Box::new(gates) as Box<dyn Sink>));
    let sink = report::shared(std::iter::once(own).chain(others).collect());
    let (typed, stdout) = (command(&invocation.argv), invocation.stdout.clone());
    let kept = Subscribers { journal, account: account.clone(), follower, outbox, bulletins, gates };
    let own = format!("{:?}", cli.command);
    let result = later(|| perform(invocation, world, cli, sink.clone(), kept)).await;
    let result = result.map_err(|failure| failure.not_in_a_circle(|advised| repeats(advised, &own)));
    if let Err(failure) = &result {
        sink.lock().unwrap_or_else(PoisonError::into_inner).event(world.clock.now(), &Event::Failed { failure: failure.clone() });
    }
    if let Some(account) = account {
        match Printed::pretty(&account.data(&typed, &result)) {
            Ok(printed) => report::put(&stdout, &printed),
            Err(cause) => return cause.class.code(),
        }
    }
    exit_code(&result)
}

/// Whether a command that is advised is the one that was typed, whatever its global options. One that cannot be read as a command of ours is
/// another one.
fn repeats(advised: &str, typed: &str) -> bool {
    let words = advised.split(" # ").next().unwrap_or_default().split_whitespace();
    Cli::try_parse_from(words).is_ok_and(|advised| format!("{:?}", advised.command) == typed)
}

/// A command with `-o json` that does something, and has no data of its own.
fn gives_account(command: &Command) -> bool {
    manner(command).output != Notation::Text && commands::document(command) == Some(data::Account::NAME)
}

/// This program as the process of a twin: the same entry, a world in memory.
pub struct Program;

impl Process for Program {
    fn run(&self, start: Start, world: World) -> LocalBoxFuture<'_, u8> {
        Box::pin(async move {
            let invocation = Invocation {
                argv: start.argv.into_iter().map(OsString::from).collect(),
                env: start.env,
                stdin: Box::new(std::io::empty()),
                stdout: start.stdout,
                stderr: start.stderr,
                interactive: false,
                stderr_is_terminal: false,
                stop: start.stop,
                tee: start.tee,
                panics: None,
            };
            run_to_code(invocation, &world).await
        })
    }
}

fn style(invocation: &Invocation, cli: &Cli) -> Style {
    let plain = cli.global.no_color || invocation.env.get("TERM").is_some_and(|term| term == "dumb");
    let colourless = invocation.env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    match cli.global.log_format {
        Form::Json => Style::Json,
        Form::Text if invocation.stderr_is_terminal && !plain => Style::Terminal { colour: !colourless },
        Form::Text => Style::Plain,
    }
}

/// What happens in memory is shown at a person's pace where a person looks on, unless they want it at once.
fn is_paced(command: &Command, style: Style) -> bool {
    matches!((command, style), (Command::Rehearse(wanted), Style::Terminal { .. }) if !wanted.fast)
}

/// `-vv`: what libraries have to say, on stderr. A second subscriber in one process (tests) is not installed, which is no harm.
fn diagnose(form: Form, stderr: Out) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug,hyper=info,rustls=info,tower=info"))
        .with_writer(move || Diagnosis(stderr.clone()));
    match form {
        Form::Json => builder.json().try_init().ok(),
        Form::Text => builder.with_ansi(false).try_init().ok(),
    };
}

/// What libraries say is no more to be trusted than what they heard.
struct Diagnosis(Out);

impl std::io::Write for Diagnosis {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        report::write(&self.0, &Printed::foreign(&String::from_utf8_lossy(bytes))).map(|()| bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What else hears the events, where the command has a use for it.
struct Subscribers {
    journal: Option<SharedJournal>,
    account: Option<Account>,
    follower: Option<Follower>,
    outbox: Option<Outbox>,
    bulletins: Option<Bulletins>,
    gates: Option<GateStates>,
}

async fn perform(
    mut invocation: Invocation,
    world: &World,
    cli: Cli,
    sink: Shared,
    Subscribers { journal, account, follower, outbox, bulletins, gates }: Subscribers,
) -> Result<Outcome, Failure> {
    let global = &cli.global;
    if let Command::Complete { words, patience } = &cli.command {
        let client = async |target: KubeTarget| Some(world.kube.connect(&target, crate::permit::Gate).await.ok()?.client);
        return Ok(commands::complete(world, &invocation.stdout, words, *patience, client).await);
    }
    let sources =
        Sources { config: global.config.as_deref(), set: &global.set, env: &invocation.env, files: world.files.as_ref() };
    let settings = Settings::load(&sources).map_err(Failure::nothing_begun)?;
    for name in settings::service_links(&invocation.env) {
        let line = format!("{name} is no setting: the kubelet sets it, for a Service of this name");
        let event = Event::Output { place: "environment".to_owned(), line };
        sink.lock().unwrap_or_else(PoisonError::into_inner).event(world.clock.now(), &event);
    }
    match &cli.command {
        Command::Completions { shell } => {
            return commands::completions(&invocation.stdout, *shell).map_err(Failure::nothing_begun);
        }
        Command::Man { folder } => return commands::man(world, folder).map_err(Failure::nothing_begun),
        Command::Image { file, add_binary } => {
            return commands::image(world, &sink, &invocation.stdout, file, add_binary).map_err(Failure::nothing_begun);
        }
        Command::Manifests(wanted) => {
            let (stdout, settings, namespace) = (&invocation.stdout, &settings, &global.namespace);
            let printing = commands::Printing { world, sink: &sink, stdout, settings, namespace };
            return commands::manifests(&printing, wanted).map_err(Failure::nothing_begun);
        }
        Command::Rehearse(wanted) if !wanted.from_cluster => {
            let rehearsal = commands::Rehearsal { wanted, process: &Program, sink, stdout: &invocation.stdout, world };
            return later(|| rehearsal.of_scenario(&global.set, invocation.stop)).await;
        }
        _ => {}
    }
    let mut asker = Asker {
        stdin: std::mem::replace(&mut invocation.stdin, Box::new(std::io::empty())),
        interactive: invocation.interactive,
        yes: global.yes,
        asks: Asks::of(&cli.command),
    };
    let told = commands::at_once(&cli.command, &settings, world).and_then(|()| asker.ready());
    told.map_err(Failure::nothing_begun)?;
    let kube = commands::kube_target(global);
    let connection = match &cli.command {
        Command::Status { hosts: true, .. } => unconnected("the API server is not asked"),
        command => match (connect(world, &kube, invocation.stop.clone()).await?, command) {
            (Ok(connection), _) => connection,
            // A control plane's plan can do without.
            (Err(why), Command::Rollback { .. }) => unconnected(&why),
            (Err(why), _) => {
                let known = "kubectl config get-contexts    # which clusters are known here";
                return Err(Failure::nothing_begun(Cause::usage(why).next(known)));
            }
        },
    };
    let Manner { dry_run, chain, output } = manner(&cli.command);
    let mut stop = invocation.stop.clone();
    let identity = identity(&invocation.argv, &invocation.env, world, connection.in_cluster, &settings.cluster_name);
    if let Some(journal) = &journal {
        journal.open().head = head(&invocation, world, &identity);
    }
    let session = session::Parts {
        clock: world.clock.clone(),
        random: world.random.clone(),
        sink: sink.clone(),
        stdout: invocation.stdout.clone(),
        stderr: invocation.stderr.clone(),
        json: output != Notation::Text,
        stop: invocation.stop.clone(),
        dry_run,
        chain,
        held: held(&cli.command),
        outside_windows: outside_windows(&cli.command),
        identity,
        account,
        api_patience: settings.api_patience,
    };
    let services = Services::new(Parts {
        settings,
        namespace: global.namespace.to_string(),
        connection,
        world: world.clone(),
        session,
        request_timeout: global.request_timeout,
        despite_halt: despite_halt(&cli.command),
        journal,
        follower,
        outbox,
        bulletins,
        gates,
    });
    let second = async {
        match stop.wait_for(|asked| asked.now.is_some()).await.map(|asked| asked.now) {
            Ok(Some(signal)) => signal,
            _ => std::future::pending().await,
        }
    };
    if let Command::Rehearse(wanted) = &cli.command {
        let rehearsal = commands::Rehearsal { wanted, process: &Program, sink, stdout: &invocation.stdout, world };
        return later(|| rehearsal.of_cluster(&services, invocation.stop)).await;
    }
    // What only looks on just ends.
    let looks_on = matches!(cli.command, Command::Status { watch: true, .. });
    let told = async {
        if looks_on {
            std::future::pending::<()>().await;
        }
        tell_first_stop(&services.session, invocation.stop.clone()).await;
    };
    // Dropping the command's future has no effects outside: whatever runs on a node goes on, and the facts show it.
    let performed = async {
        // Caught here, so that the journal hears of it, too.
        let work = async {
            let result = commands::run(&services, &mut asker, &Program, cli).await;
            services.ssh.tell_learned().await;
            result
        };
        let work = caught(invocation.panics.as_ref(), work);
        let work = services.monitoring.pushing_gates(services.notices.sending(work));
        let work = async { work.await.flatten() };
        let result = services.progress.recording(services.kube_events.writing(work)).await;
        services.journal.end(&result).await;
        services.progress.end(result).await
    };
    tokio::select! {
        biased;
        signal = second => Err(left(signal)),
        () = told => Err(Failure::nothing_begun(Cause::bug("the listener for signals ended"))),
        result = performed => result,
    }
}

/// At the second signal, wherever it was.
fn left(signal: u8) -> Failure {
    let what = "left at the second signal: what runs on a node goes on";
    let state = "What was begun stands where it was left.".to_owned();
    let next = vec![Advice::status()];
    Failure { cause: Cause::new(Class::Stopped(signal), what), place: String::new(), state, next }
}

/// A client, or why there is none; a signal does not wait for it.
async fn connect(world: &World, kube: &KubeTarget, stop: Stop) -> Result<Result<KubeConnection, String>, Failure> {
    tokio::select! {
        biased;
        signal = signalled(stop) => Err(Failure::nothing_begun(Cause::new(Class::Stopped(signal), "left before the API server was asked"))),
        connection = world.kube.connect(kube, crate::permit::Gate) => Ok(connection),
    }
}

/// What changes nothing has nothing to write down; a detection is told by the preflight that it creates.
fn keeps_journal(command: &Command) -> bool {
    !manner(command).dry_run && !matches!(command, Command::Detect { .. }) && stays(command)
}

/// The namespace outlives it, and what would be written down in there.
fn stays(command: &Command) -> bool {
    !matches!(command, Command::Uninstall { .. })
}

/// Whose journal it is.
fn head(invocation: &Invocation, world: &World, identity: &Identity) -> Head {
    Head {
        command: command(&invocation.argv),
        writer: identity.holder.clone(),
        person: identity.pod.is_none().then(|| person(&invocation.env, world)),
        on: identity.node.clone(),
        begun: world.clock.now(),
        ..Head::default()
    }
}

/// What was typed.
fn command(argv: &[OsString]) -> String {
    let words = argv.iter().skip(1).map(|word| words::word(&word.to_string_lossy()));
    std::iter::once(names::PROGRAM.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Who typed it, and on which machine.
fn person(env: &Env, world: &World) -> String {
    let user = user(env);
    read(world, "/etc/hostname").map_or(user.to_owned(), |host| format!("{user}@{}", host.trim()))
}

fn read(world: &World, path: &str) -> Option<String> {
    String::from_utf8(world.files.read(Path::new(path), SECRET_FILE).ok()?).ok()
}

/// By what the process is found again: `ann@laptop, pid 4242: k8s-upgrade start …`.
fn driver(argv: &[OsString], env: &Env, world: &World) -> String {
    let stat = read(world, "/proc/self/stat");
    let pid = stat.as_deref().and_then(|stat| stat.split(' ').next()).map_or(String::new(), |pid| format!(", pid {pid}"));
    format!("{}{pid}: {}", person(env, world), command(argv))
}

fn user(env: &Env) -> &str {
    env.get("USER").or_else(|| env.get("LOGNAME")).map_or("operator", String::as_str)
}

/// Says what the first signal does; never ends.
async fn tell_first_stop(session: &Session, mut stop: Stop) {
    if stop.wait_for(|asked| asked.stop.is_some()).await.is_ok() {
        session.warn("", "stopping at the next safe point; what runs on a node is left to finish; once more to leave now");
    }
    std::future::pending::<()>().await;
}

/// What a command says of itself, wherever its flags stand.
struct Manner {
    /// It changes nothing.
    dry_run: bool,
    /// It runs as a Job of a chain.
    chain: bool,
    /// How its data are wanted.
    output: Notation,
}

fn manner(command: &Command) -> Manner {
    let of = |dry_run, chain, output| Manner { dry_run, chain, output };
    match command {
        Command::Detect { dry_run, data } | Command::Resume { dry_run, data, .. } => of(*dry_run, false, data.output),
        Command::Drain { dry_run, data, .. } | Command::RotateKey { dry_run, data, .. } => of(*dry_run, false, data.output),
        Command::Uninstall { dry_run, data } => of(*dry_run, false, data.output),
        Command::Acknowledge { id, data } => of(id.is_none(), false, data.output),
        Command::Start { dry_run, data, .. } | Command::Rollback { dry_run, data, .. } => of(*dry_run, false, data.output),
        Command::Halt(Halt { data, .. }) | Command::SkipPhase(Skip { data, .. }) | Command::ClearState { data } => {
            of(false, false, data.output)
        }
        Command::Approve { data, .. } | Command::Pause(Pause { data, .. }) | Command::Unpause(Pause { data, .. }) => {
            of(false, false, data.output)
        }
        Command::Check { data, .. } | Command::Adopt { data, .. } | Command::Status { data, .. } => of(true, false, data.output),
        Command::Report { output, .. } => of(true, false, (*output).into()),
        Command::Complete { .. } => of(true, false, Notation::Text),
        Command::Plan { output, .. } => of(true, false, (*output).into()),
        // What it does to the real cluster is nothing.
        Command::Rehearse(wanted) => of(true, false, wanted.output.into()),
        Command::Preflight { dry_run, chain, data, .. } => of(*dry_run, chain.chain, data.output),
        Command::UpgradeNode { chain, data, .. } | Command::Postflight { chain, data, .. } => of(false, chain.chain, data.output),
        Command::Manifests(_) | Command::Image { .. } | Command::Completions { .. } | Command::Man { .. } => {
            of(false, false, Notation::Text)
        }
    }
}

/// What begins no upgrade, and what a person does to one that is halted.
fn despite_halt(command: &Command) -> bool {
    matches!(
        command,
        Command::Drain { .. }
            | Command::Rollback { .. }
            | Command::RotateKey { .. }
            | Command::ClearState { .. }
            | Command::Uninstall { .. }
            | Command::SkipPhase(_)
    )
}

/// The Job before this one held, and told so.
fn held(command: &Command) -> bool {
    match command {
        Command::Preflight { chain, .. } | Command::UpgradeNode { chain, .. } | Command::Postflight { chain, .. } => chain.held,
        _ => false,
    }
}

/// A person does not want to wait for a window.
fn outside_windows(command: &Command) -> bool {
    match command {
        Command::Start { now, .. } | Command::Resume { now, .. } => *now,
        Command::Preflight { now, .. } | Command::UpgradeNode { now, .. } => *now,
        _ => false,
    }
}

/// In a pod by the downward API; elsewhere a name that is ours alone.
fn identity(argv: &[OsString], env: &Env, world: &World, in_cluster: bool, cluster: &str) -> Identity {
    let var = |name: &str| env.get(name).filter(|_| in_cluster).cloned();
    let pod = var("POD_NAME");
    let holder = match &pod {
        Some(pod) => pod.clone(),
        None => format!("{}-{:08x}", user(env), world.random.u64() & 0xffff_ffff),
    };
    Identity { pod, node: var("NODE_NAME"), holder, driver: driver(argv, env, world), cluster: cluster.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_rehearsal_that_a_person_looks_at_takes_its_time() {
        let terminal = Style::Terminal { colour: true };
        for (line, style, paced) in [
            ("rehearse", terminal, true),
            ("rehearse --fast", terminal, false),
            ("rehearse", Style::Plain, false),
            ("rehearse", Style::Json, false),
            ("start --target 1.34.7 --local", terminal, false),
        ] {
            let cli = Cli::try_parse_from(["k8s-upgrade"].into_iter().chain(line.split(' '))).unwrap();
            assert_eq!(is_paced(&cli.command, style), paced, "{line} {style:?}");
        }
    }
}
