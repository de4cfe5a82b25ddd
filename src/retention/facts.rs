//! Tables, keys and partitions as the database has them.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::policy::Relation;

/// What one look at the catalogs found.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct Facts {
    pub tables: Vec<Table>,
    pub foreign_keys: Vec<ForeignKey>,
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Table {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    /// `pg_class.relkind`
    pub kind: String,
    /// `pg_class.reltuples`; negative where it was never counted.
    pub estimate: f64,
    pub is_partition: bool,
    pub row_security: bool,
    /// Whether pgward's account may do what the owner may.
    pub owned: bool,
    /// `SELECT`, `UPDATE`, `DELETE`, as far as pgward's account has them.
    pub may: Vec<String>,
    /// Takes part in inheritance that is no partitioning.
    pub inherits: bool,
    /// The one column of its partition key, where the partitions are ranges of it.
    pub partitioned_by: Option<String>,
    pub partitions: Vec<Partition>,
    /// The columns that name a row.
    pub key: Option<Vec<String>>,
    pub unique_columns: Option<Vec<String>>,
    /// The columns of each B-tree that is over every row.
    pub indexes: Option<Vec<Vec<String>>>,
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Partition {
    pub schema: String,
    pub name: String,
    pub owned: bool,
    /// `FOR VALUES FROM (…) TO (…)`
    pub bound: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// What a domain is over; else the type itself.
    pub base: String,
    pub not_null: bool,
    /// Nobody but PostgreSQL gives it its values.
    pub generated: bool,
    pub default: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ForeignKey {
    pub name: String,
    /// The table that refers.
    pub child: i64,
    /// The table that is referred to.
    pub parent: i64,
    pub on_delete: OnDelete,
    pub child_columns: Vec<String>,
    pub parent_columns: Vec<String>,
}

/// `pg_constraint.confdeltype`
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum OnDelete {
    #[serde(rename(deserialize = "a", serialize = "NO ACTION"))]
    NoAction,
    #[serde(rename(deserialize = "r", serialize = "RESTRICT"))]
    Restrict,
    #[serde(rename(deserialize = "c", serialize = "CASCADE"))]
    Cascade,
    #[serde(rename(deserialize = "n", serialize = "SET NULL"))]
    SetNull,
    #[serde(rename(deserialize = "d", serialize = "SET DEFAULT"))]
    SetDefault,
}

impl OnDelete {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

impl Facts {
    /// Asks the database that `client` is connected to.
    ///
    /// # Errors
    /// Where it cannot be asked, or answers what is not understood.
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        let answer = client.simple_query(include_str!("facts.sql")).await?;
        let json = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _other => None,
        });
        Ok(serde_json::from_str(json.unwrap_or_default())?)
    }

    #[must_use]
    pub fn table(&self, relation: &Relation) -> Option<&Table> {
        self.tables.iter().find(|table| table.schema == relation.schema && table.name == relation.name)
    }

    #[must_use]
    pub fn by_oid(&self, oid: i64) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    /// The partitions of a table, and theirs.
    #[must_use]
    pub fn parts_of(&self, table: &Table) -> Vec<Relation> {
        let mut all = Vec::new();
        for partition in &table.partitions {
            let relation = Relation::new(&partition.schema, &partition.name);
            if let Some(part) = self.table(&relation) {
                all.extend(self.parts_of(part));
            }
            all.push(relation);
        }
        all
    }

    /// The foreign keys that refer to a table, and who refers.
    pub fn referring<'f>(&'f self, table: &Table) -> impl Iterator<Item = (&'f ForeignKey, &'f Table)> {
        let oid = table.oid;
        let keys = self.foreign_keys.iter().filter(move |key| key.parent == oid);
        keys.filter_map(|key| Some((key, self.by_oid(key.child)?)))
    }
}

impl Table {
    #[must_use]
    pub fn relation(&self) -> Relation {
        Relation::new(&self.schema, &self.name)
    }

    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether some index begins with these columns, in whichever order.
    #[must_use]
    pub fn is_indexed(&self, columns: &[String]) -> bool {
        self.indexes.iter().flatten().any(|index| {
            index.get(..columns.len()).is_some_and(|begin| begin.iter().all(|column| columns.contains(column)))
        })
    }
}
