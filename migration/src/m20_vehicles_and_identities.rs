//! Vehicles; keys that are the same for all spellings of a name, a mail address, a phone number or a plate; and the plate with
//! which a reservation was made.
//!
//! Where accounts share a key, the oldest keeps it and the others have none. Values that have no key stay as they are.

use crate::{
    identities,
    migration::{
        Migration,
        Statement::{Both, Code, Postgres, Sqlite},
    },
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m20_vehicles_and_identities",
    up: &[
        Both("CREATE TABLE vehicles (
        id {id},
        user_id BIGINT NOT NULL REFERENCES users (id),
        plate TEXT NOT NULL,
        plate_key TEXT,
        position BIGINT NOT NULL,
        created_at {time} NOT NULL
    )"),
        Both("INSERT INTO vehicles (user_id, plate, position, created_at)
        SELECT id, vehicle_number, 1, created_at FROM users
        WHERE vehicle_number IS NOT NULL AND deleted_at IS NULL ORDER BY id"),
        Both("ALTER TABLE users ADD COLUMN name_key TEXT"),
        Both("ALTER TABLE users ADD COLUMN mail_key TEXT"),
        Both("ALTER TABLE users ADD COLUMN phone_key TEXT"),
        Both("ALTER TABLE reservations ADD COLUMN plate TEXT"),
        Both("UPDATE reservations SET plate = (SELECT vehicle_number FROM users u WHERE u.id = reservations.user_id)
        WHERE user_id IN (SELECT id FROM users WHERE vehicle_number IS NOT NULL)"),
        // A reservation keeps the plate of its driver's first vehicle, also if an older release makes it during an upgrade.
        Sqlite("CREATE TRIGGER reservations_keep_plate AFTER INSERT ON reservations WHEN NEW.plate IS NULL
        BEGIN UPDATE reservations SET plate = (SELECT vehicle_number FROM users WHERE id = NEW.user_id) WHERE id = NEW.id; END"),
        Postgres("CREATE FUNCTION reservations_keep_plate() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.plate := (SELECT vehicle_number FROM users WHERE id = NEW.user_id);
            RETURN NEW;
        END $$"),
        Postgres("CREATE TRIGGER reservations_keep_plate BEFORE INSERT ON reservations
        FOR EACH ROW WHEN (NEW.plate IS NULL) EXECUTE FUNCTION reservations_keep_plate()"),
        Code(identities::convert),
        Both("CREATE INDEX vehicles_by_user ON vehicles (user_id, position)"),
        Both("CREATE UNIQUE INDEX vehicles_plate_key_key ON vehicles (plate_key)"),
        Both("CREATE UNIQUE INDEX users_name_key_key ON users (name_key)"),
        Both("CREATE UNIQUE INDEX users_mail_key_key ON users (mail_key)"),
        Both("CREATE UNIQUE INDEX users_phone_key_key ON users (phone_key)"),
    ],
    down: &[
        "DROP INDEX users_phone_key_key",
        "DROP INDEX users_mail_key_key",
        "DROP INDEX users_name_key_key",
        "--sqlite
        DROP TRIGGER reservations_keep_plate",
        "--postgres
        DROP TRIGGER reservations_keep_plate ON reservations",
        "--postgres
        DROP FUNCTION reservations_keep_plate",
        "ALTER TABLE reservations DROP COLUMN plate",
        "ALTER TABLE users DROP COLUMN phone_key",
        "ALTER TABLE users DROP COLUMN mail_key",
        "ALTER TABLE users DROP COLUMN name_key",
        "DROP TABLE vehicles",
    ],
};
