//! The command line: one file a subcommand.

mod bench;
mod check;
mod detect;
mod greeting;
mod jobs;
mod migrate;
mod model;
mod render_child;
mod serve;
mod settings;
mod table;
mod token;
mod up;
mod user;
mod work;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, Action, Actor, Entry};
use crate::config::Setting;

/// Finds titles, text, lists, tables and figures in PDFs: a Detectron2 model behind a REST API.
#[derive(Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Try:\n  \
        app detect paper.pdf --out out     look at one file, without database or S3\n  \
        app up                             everything on this machine, at http://localhost:8000/\n\n\
        Every flag is also an environment variable (shown in a command's --help); .env is read.\n\
        RUST_LOG=docreader=debug logs more."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the REST API; needs PostgreSQL and S3, never loads the model
    Serve(serve::ServeArgs),
    /// Process documents from the queue; as many of these as you like, on as many machines
    Work(work::WorkArgs),
    /// Run everything on this machine: embedded PostgreSQL and S3, server and worker
    Up(up::UpArgs),
    /// Create or update the database's schema
    Migrate(migrate::MigrateArgs),
    /// Look for rows, jobs and objects that belong to nothing
    Check(check::CheckArgs),
    /// Find regions in a PDF or an image, without database or S3
    Detect(detect::DetectArgs),
    /// Measure a model on this machine, stage by stage
    Bench(bench::BenchArgs),
    /// Import, check and describe models
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Make, list and revoke tokens for the REST API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List people who may log in, give them roles, disable them
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make an admin who may log in at /admin/, as Django's command does
    #[command(name = "createsuperuser")]
    CreateSuperuser(user::CreateSuperuserArgs),
    /// Change somebody's password, which ends his sessions
    #[command(name = "changepassword")]
    ChangePassword(user::ChangePasswordArgs),
    /// See the queue, and cancel, retry or pause
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Render pages for a worker
    #[command(hide = true)]
    RenderChild(crate::render::ChildArgs),
}

/// Large buffers are mapped and given back to the system when they are freed, and few arenas are kept: the allocator's own way is
/// to raise its threshold with use, and then a server that once held uploads, or a worker that held pages, never shrinks again.
fn tune_allocator() {
    // SAFETY: mallopt only sets parameters; nothing else runs yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Parses the command line and runs it. Errors end in one line on standard error.
pub fn main() -> ExitCode {
    tune_allocator();
    // Not an error when there is none; one that is broken is worth a word. The render child meets no secrets.
    let is_child = std::env::args_os().nth(1).is_some_and(|a| a == "render-child");
    if !is_child
        && let Err(e) = dotenvy::dotenv()
        && !e.not_found()
    {
        eprintln!("error: .env: {e}");
        return ExitCode::FAILURE;
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(e) if matches!(e.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) => {
            eprintln!("{}", wrong_value(&e));
            return ExitCode::FAILURE;
        }
        Err(e) => e.exit(),
    };
    let result = match cli.command {
        Command::RenderChild(args) => render_child::run(&args),
        Command::Model(command) => model::run(command),
        Command::Detect(args) => block_on(detect::run(args)),
        Command::Bench(args) => block_on(bench::run(args)),
        Command::Jobs(command) => block_on(jobs::run(command)),
        Command::Token(command) => block_on(token::run(command)),
        Command::User(command) => block_on(user::run(command)),
        Command::CreateSuperuser(args) => block_on(user::create_superuser(args)),
        Command::ChangePassword(args) => block_on(user::change_password(args)),
        Command::Check(args) => block_on(check::run(args)),
        Command::Migrate(args) => block_on(migrate::run(args)),
        Command::Work(args) => block_on(work::run(args)),
        Command::Up(args) => block_on(up::run(args)),
        Command::Serve(args) => serve::run(args, serve_settings(&matches)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve_settings(matches: &ArgMatches) -> Vec<Setting> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").zip(matches.subcommand_matches("serve"));
    serve.map(|(command, matches)| settings::settings(command, matches)).unwrap_or_default()
}

/// All commands with their arguments, for what is generated from them (docs/SETTINGS.md).
pub fn command() -> clap::Command {
    Cli::command()
}

/// One line for a wrong value, whose source may be a flag, the environment or `.env`.
fn wrong_value(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split_whitespace().next().unwrap_or_default(),
        _ => "",
    };
    let command = Cli::command();
    let variable = command.get_subcommands().flat_map(|c| c.get_arguments()).find_map(|a| {
        let wanted = a.get_long().is_some_and(|long| flag == format!("--{long}"));
        a.get_env().filter(|_| wanted)
    });
    match variable {
        Some(name) => format!("{first}; correct the flag, or {} in the environment or .env", name.to_string_lossy()),
        None => format!("{first}; see --help"),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    crate::telemetry::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(future);
    // A blocking computation that nobody waits for any more must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Writes in the audit log what a command changes, in its own transaction.
async fn audit(db: &mut PgConnection, action: Action, document: Option<i64>, detail: &str) -> sqlx::Result<()> {
    let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
    let actor = Actor::CommandLine(format!("{}@{host}", account.unwrap_or_else(|| "unknown".to_owned())));
    accounts::record(db, Entry { actor: &actor, action, document, detail, address: None }).await
}

/// Cancelled by Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = quit.recv() => std::process::exit(131),
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
