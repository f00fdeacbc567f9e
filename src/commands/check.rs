use anyhow::bail;
use clap::Args;

use super::table;
use crate::config::{DatabaseArgs, StorageArgs};
use crate::queue;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Compares rows, jobs and objects; an error if anything belongs to nothing.
pub async fn run(args: CheckArgs) -> anyhow::Result<()> {
    let storage = args.storage.open()?;
    let pool = args.database.connect().await?;
    let findings = queue::audit(&pool, &storage).await?;
    if findings.is_empty() {
        println!("Every document has its job and its file, and every job and object its document.");
        return Ok(());
    }
    let count = findings.len();
    let rows: Vec<_> = findings.into_iter().map(|f| vec![f.kind.to_owned(), f.what, f.remedy.to_owned()]).collect();
    print!("{}", table::format(&["what", "which", "remedy"], &rows));
    bail!("{count} found");
}
