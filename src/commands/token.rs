use anyhow::bail;
use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{audit, table};
use crate::accounts::Action;
use crate::config::DatabaseArgs;
use crate::documents::{self, Scope};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for /api/v1 and print it, once
    Create(CreateArgs),
    /// List tokens
    List(DatabaseArgs),
    /// Make a token useless
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  curl -H \"Authorization: Bearer $(app token create scanner --scope write)\" http://localhost:8000/api/v1/documents"
)]
pub struct CreateArgs {
    /// What to call it
    name: String,
    /// Whether it may only read, or change things as well
    #[arg(long, value_enum, default_value = "read")]
    scope: Scope,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    name: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => {
            let pool = args.database.connect().await?;
            if args.name.is_empty() || args.name.chars().count() > 100 {
                bail!("a token's name has 1 to 100 characters");
            }
            let mut tx = documents::begin(&pool).await?;
            match documents::create_token(&mut tx, &args.name, args.scope).await? {
                Some(token) => {
                    audit(&mut tx, Action::CreateToken, None, &args.name).await?;
                    tx.commit().await?;
                    println!("{token}");
                }
                None => bail!("there is a token {:?} already; choose another name", args.name),
            }
        }
        TokenCommand::List(database) => {
            let time = |t: Option<OffsetDateTime>| t.and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default();
            let rows: Vec<Vec<String>> = documents::tokens(&database.connect().await?)
                .await?
                .into_iter()
                .map(|t| vec![t.name, t.scope, time(Some(t.created_at)), time(t.last_used_at), time(t.revoked_at)])
                .collect();
            print!("{}", table::format(&["name", "scope", "created", "last used", "revoked"], &rows));
        }
        TokenCommand::Revoke(args) => {
            let mut tx = documents::begin(&args.database.connect().await?).await?;
            if !documents::revoke_token(&mut tx, &args.name).await? {
                bail!("there is no token {:?}, or it is revoked already; see `app token list`", args.name);
            }
            audit(&mut tx, Action::RevokeToken, None, &args.name).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}
