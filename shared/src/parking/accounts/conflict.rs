//! Which unique column of an account rejected a row.

use sea_orm::DbErr;

use crate::{base::error::Error, platform::db::violates};

const EMAIL: &str = "this mail address already has an account";

/// Another account has the address, or can get it back.
pub(super) fn email_taken() -> Error {
    Error::conflict("email_taken", EMAIL)
}

/// Names the unique column that rejected a row.
pub(super) fn conflict(error: DbErr) -> Error {
    const COLUMNS: [(&str, &str, &str); 8] = [
        ("users.mail_key", "email_taken", EMAIL),
        ("users.email_key", "email_taken", EMAIL),
        ("users.name_key", "username_taken", NAME),
        ("users.username_key", "username_taken", NAME),
        ("vehicles.plate_key", "vehicle_taken", VEHICLE),
        ("users.vehicle_number", "vehicle_taken", VEHICLE),
        ("users.phone_key", "phone_taken", PHONE),
        ("users.phone_number", "phone_taken", PHONE),
    ];
    const NAME: &str = "this user name is taken";
    const VEHICLE: &str = "this vehicle belongs to another account";
    const PHONE: &str = "this phone number belongs to another account";
    COLUMNS
        .into_iter()
        .find(|(column, ..)| violates(&error, &format!("{}_key", column.replace('.', "_")), column))
        .map_or_else(|| error.into(), |(_, code, message)| Error::conflict(code, message))
}
