//! Which database a URL names, for people: never with its password.

use std::str::FromStr;

use sea_orm::sqlx::sqlite::SqliteConnectOptions;

/// The file of SQLite, or the servers and the database of PostgreSQL.
#[must_use]
pub fn target(url: &str) -> String {
    if url.starts_with("sqlite:") {
        let file = SqliteConnectOptions::from_str(url).map(|options| options.get_filename().to_owned());
        return file.map_or("a SQLite file".into(), |file| format!("the SQLite file {}", file.display()));
    }
    let Some((_, rest)) = url.split_once("://") else { return "PostgreSQL".into() };
    let before_query = rest.split('?').next().unwrap_or_default();
    // A password may contain the sign that begins the query.
    if rest.contains('@') && !before_query.contains('@') {
        return "PostgreSQL".into();
    }
    let place = before_query.rsplit_once('@').map_or(before_query, |(_, place)| place);
    match place.split_once('/') {
        Some((hosts, name)) if !name.is_empty() => format!("the database {name} at {hosts}"),
        _ => format!("PostgreSQL at {}", place.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        for (url, expected) in [
            ("sqlite://data/parkade.db?mode=rwc", "the SQLite file data/parkade.db"),
            ("postgres://u:secret@h:5432/parkade?sslmode=require", "the database parkade at h:5432"),
            ("postgres://u:se@cret@one,two:5433/parkade", "the database parkade at one,two:5433"),
            ("postgres://u:se/cret@h/parkade", "the database parkade at h"),
            ("postgres://u:se?cret@h/parkade", "PostgreSQL"),
            ("postgres://h/parkade?password=se@cret", "PostgreSQL"),
            ("postgres://u@h", "PostgreSQL at h"),
            ("nonsense", "PostgreSQL"),
        ] {
            assert_eq!(target(url), expected);
        }
    }
}
