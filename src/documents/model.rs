use sqlx::PgPool;
use time::OffsetDateTime;

use super::ModelCard;

/// A model that results refer to.
#[derive(Debug, Clone)]
pub struct RegisteredModel {
    pub id: i64,
    pub name: String,
    pub sha256: String,
}

impl RegisteredModel {
    /// Finds or writes the row of a model; renamed classes are taken over.
    pub async fn register(pool: &PgPool, name: &str, sha256: &str, classes: &[String]) -> sqlx::Result<Self> {
        let id = sqlx::query_scalar!(
            "insert into models (name, sha256, classes) values ($1, $2, $3)
             on conflict (name, sha256) do update set classes = excluded.classes
             returning id",
            name,
            sha256,
            classes
        )
        .fetch_one(pool)
        .await?;
        Ok(Self { id, name: name.to_owned(), sha256: sha256.to_owned() })
    }

    /// Keeps what the model's card says, for people.
    pub async fn describe(&self, pool: &PgPool, card: &ModelCard) -> sqlx::Result<()> {
        sqlx::query!(
            "update models set summary = $2, figures = $3 where id = $1 and (summary, figures) is distinct from ($2, $3)",
            self.id,
            card.summary,
            serde_json::json!(card.figures)
        )
        .execute(pool)
        .await
        .map(drop)
    }

    /// Short, readable and unique: part of the keys of the model's results.
    pub fn slug(&self) -> String {
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{name}-{}", &self.sha256[..8])
    }
}

/// A model as readers see it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ModelRow {
    pub id: i64,
    pub name: String,
    pub sha256: String,
    pub classes: Vec<String>,
}

/// What pages show of a model.
#[derive(Debug)]
pub struct ModelFacts {
    pub id: i64,
    pub name: String,
    pub sha256: String,
    pub classes: Vec<String>,
    pub created_at: OffsetDateTime,
    /// From its card.
    pub summary: String,
    /// `[{"name": …, "value": …}]`
    pub figures: serde_json::Value,
    pub documents: i64,
}

/// The same models with what their cards say, and how many documents each has had last.
pub async fn model_facts(pool: &PgPool) -> sqlx::Result<Vec<ModelFacts>> {
    sqlx::query_as!(
        ModelFacts,
        r#"select id, name, sha256, classes, created_at, summary, figures,
               (select count(*) from documents d where d.model_id = m.id) as "documents!"
           from models m order by id desc"#
    )
    .fetch_all(pool)
    .await
}

/// All models that a worker has ever used here, newest first.
pub async fn models(pool: &PgPool) -> sqlx::Result<Vec<ModelRow>> {
    sqlx::query_as!(ModelRow, "select id, name, sha256, classes from models order by id desc").fetch_all(pool).await
}

/// Whether a worker has ever had a model of this name here.
pub async fn model_is_known(pool: &PgPool, name: &str) -> sqlx::Result<bool> {
    let known = sqlx::query_scalar!(r#"select exists (select 1 from models where name = $1) as "known!""#, name);
    known.fetch_one(pool).await
}
