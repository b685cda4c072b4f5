//! Migrations, alike for all databases.

use sqlx::{
    SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType},
};

use super::rows::unavailable;
use crate::store::{StoreError, StoreErrorKind};

/// Version, description and statements of a migration.
pub(super) type Script = (i64, &'static str, &'static str);

/// sqlx's record of migrations, under a name that keeps it apart from the application's own.
pub(super) const TABLE: &str = "step_up_migrations";

fn migration(&(version, description, sql): &Script) -> Migration {
    Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// The migrations that the database still lacks.
///
/// Migrations that this version does not know are no error: while processes are replaced one by one, a newer version may have
/// been here and may come back.
pub(super) async fn missing<C: Migrate>(
    connection: &mut C,
    scripts: &[Script],
) -> Result<Vec<Migration>, MigrateError> {
    let applied = connection.list_applied_migrations(TABLE).await?;
    let mut missing = Vec::new();
    for migration in scripts.iter().map(migration) {
        match applied.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
            None => missing.push(migration),
        }
    }
    Ok(missing)
}

/// Call it where only one process at a time can run it.
pub(super) async fn apply_missing<C: Migrate>(connection: &mut C, scripts: &[Script]) -> Result<(), MigrateError> {
    for migration in missing(connection, scripts).await? {
        connection.apply(TABLE, &migration).await?;
    }
    Ok(())
}

/// What the failure of a migration means, once `failed` has judged the database's own errors.
pub(super) fn not_migrated(error: MigrateError, failed: fn(sqlx::Error) -> StoreError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        changed @ MigrateError::VersionMismatch(_) => StoreError::with_source(StoreErrorKind::Corrupt, changed),
        other => unavailable(other),
    }
}
