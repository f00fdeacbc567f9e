//! People who may log in.

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{audit, table};
use crate::accounts::{self, Action, NewUser, Role, UserRow};
use crate::config::{DatabaseArgs, Secret};
use crate::documents;

/// Of a link that logs in.
pub(super) const LINK_TTL: Duration = Duration::days(1);

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users
    List(DatabaseArgs),
    /// Give a user another role
    Role(RoleArgs),
    /// Print a link that logs a user in, once, within a day
    Link(LinkArgs),
    /// End a user's sessions and let him log in no more; --enable lets him again
    Disable(DisableArgs),
}

#[derive(Debug, Args)]
pub struct RoleArgs {
    username: String,
    #[arg(value_enum)]
    role: Role,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct LinkArgs {
    username: String,
    /// Where people reach the server
    #[arg(long, default_value = "http://localhost:8000", value_name = "URL")]
    url: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct DisableArgs {
    username: String,
    /// Undo it
    #[arg(long)]
    enable: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example, as in deploy scripts for Django:\n  DJANGO_SUPERUSER_PASSWORD=… app createsuperuser --noinput --username admin --email admin@example.org"
)]
pub struct CreateSuperuserArgs {
    /// Asks nothing; takes DJANGO_SUPERUSER_USERNAME, _EMAIL and _PASSWORD
    #[arg(long, visible_alias = "no-input")]
    noinput: bool,
    /// 1 to 150 letters, digits and @ . + - _
    #[arg(long, env = "DJANGO_SUPERUSER_USERNAME", value_name = "NAME")]
    username: Option<String>,
    /// May be empty
    #[arg(long, env = "DJANGO_SUPERUSER_EMAIL", value_name = "ADDRESS")]
    email: Option<String>,
    /// For --noinput; better in the environment than here, where other users of the machine see it
    #[arg(long, env = "DJANGO_SUPERUSER_PASSWORD", hide_env_values = true)]
    password: Option<Secret>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct ChangePasswordArgs {
    username: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::List(database) => list(&database.connect().await?).await,
        UserCommand::Role(args) => {
            let pool = args.database.connect().await?;
            let user = find(&pool, &args.username).await?;
            let mut tx = documents::begin(&pool).await?;
            if !accounts::set_role(&mut tx, user.id, args.role).await? {
                bail!("{} is the only admin who may log in; make another one first", user.username);
            }
            let detail = format!("{}: {}", user.username, args.role.name());
            audit(&mut tx, Action::ChangeRole, None, &detail).await?;
            tx.commit().await?;
            println!("{} is {} now", user.username, args.role.name());
            Ok(())
        }
        UserCommand::Link(args) => {
            let pool = args.database.connect().await?;
            let user = find(&pool, &args.username).await?;
            let token = accounts::create_login_link(&pool, user.id, LINK_TTL).await?;
            audit(&mut *pool.acquire().await?, Action::CreateLoginLink, None, &user.username).await?;
            println!("{}", link(&args.url, &token));
            Ok(())
        }
        UserCommand::Disable(args) => {
            let pool = args.database.connect().await?;
            let user = find(&pool, &args.username).await?;
            let mut tx = documents::begin(&pool).await?;
            if !accounts::set_disabled(&mut tx, user.id, !args.enable).await? {
                bail!("{} is the only admin who may log in; make another one first", user.username);
            }
            let (action, now) = match args.enable {
                true => (Action::EnableUser, "may log in again"),
                false => (Action::DisableUser, "is disabled"),
            };
            audit(&mut tx, action, None, &user.username).await?;
            tx.commit().await?;
            println!("{} {now}", user.username);
            Ok(())
        }
    }
}

/// Where a token logs in.
pub(super) fn link(address: &str, token: &str) -> String {
    format!("{}/admin/login/?token={token}", address.trim_end_matches('/'))
}

async fn list(pool: &PgPool) -> anyhow::Result<()> {
    let time = |t: Option<OffsetDateTime>| t.and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default();
    let rows: Vec<Vec<String>> = (accounts::users(pool).await?.into_iter())
        .map(|u| {
            let role = u.role.name().to_owned();
            vec![u.username, u.email, role, time(Some(u.created_at)), time(u.last_login_at), time(u.disabled_at)]
        })
        .collect();
    print!("{}", table::format(&["username", "email", "role", "created", "last login", "disabled"], &rows));
    Ok(())
}

async fn find(pool: &PgPool, username: &str) -> anyhow::Result<UserRow> {
    let users = accounts::users(pool).await?;
    let same = |user: &UserRow| user.username.to_lowercase() == username.to_lowercase();
    users.into_iter().find(same).with_context(|| format!("there is no user {username:?}; see `app user list`"))
}

/// Asks for what is not given, until it will do.
pub async fn create_superuser(args: CreateSuperuserArgs) -> anyhow::Result<()> {
    let pool = args.database.connect().await?;
    let ask = !args.noinput;
    if ask && !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; use --noinput with --username and DJANGO_SUPERUSER_PASSWORD");
    }
    let username = match args.username.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None if ask => prompt("Username: ")?,
        None => bail!("You must use --username with --noinput."),
    };
    let email = match args.email {
        Some(email) => email,
        None if ask => prompt("Email address: ")?,
        None => String::new(),
    };
    let password = match args.password {
        // Django, too, takes what an operator gives without a question.
        Some(password) if args.noinput => password.reveal().to_owned(),
        _ if ask => ask_password(&username, &email)?,
        _ => bail!("DJANGO_SUPERUSER_PASSWORD is needed with --noinput."),
    };
    if password.is_empty() {
        bail!("The password must not be empty.");
    }
    create(&pool, &username, &email, &password, Role::Admin).await?;
    println!("Superuser created successfully.");
    Ok(())
}

/// Writes a user and the entry in the audit log; the user's id.
pub(super) async fn create(
    pool: &PgPool,
    username: &str,
    email: &str,
    password: &str,
    role: Role,
) -> anyhow::Result<i64> {
    let password_hash = &accounts::hash_password(password);
    let mut tx = documents::begin(pool).await?;
    let id = accounts::create_user(&mut tx, NewUser { username, email, password_hash, role }).await?;
    audit(&mut tx, Action::CreateUser, None, &format!("{username}: {}", role.name())).await?;
    tx.commit().await?;
    Ok(id)
}

pub async fn change_password(args: ChangePasswordArgs) -> anyhow::Result<()> {
    let pool = args.database.connect().await?;
    let user = find(&pool, &args.username).await?;
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password at");
    }
    println!("Changing password for user {:?}", user.username);
    let password = ask_password(&user.username, &user.email)?;
    let mut tx = documents::begin(&pool).await?;
    accounts::set_password(&mut tx, user.id, &accounts::hash_password(&password)).await?;
    audit(&mut tx, Action::ChangePassword, None, &user.username).await?;
    tx.commit().await?;
    println!("Password changed successfully for user {:?}; its sessions have ended.", user.username);
    Ok(())
}

fn prompt(question: &str) -> anyhow::Result<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        bail!("Operation cancelled.");
    }
    Ok(line.trim().to_owned())
}

/// Twice, and again until it will do.
fn ask_password(username: &str, email: &str) -> anyhow::Result<String> {
    loop {
        let password = rpassword::prompt_password("Password: ")?;
        if password != rpassword::prompt_password("Password (again): ")? {
            eprintln!("Error: Your passwords didn't match.");
            continue;
        }
        match accounts::check_password(&password, username, email) {
            Ok(()) => return Ok(password),
            Err(errors) => errors.iter().for_each(|error| eprintln!("{error}")),
        }
        if prompt("Bypass password validation and create user anyway? [y/N]: ")?.eq_ignore_ascii_case("y") {
            return Ok(password);
        }
    }
}
