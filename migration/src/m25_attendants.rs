//! Attendants with their lots, stays of cars without accounts, refunds, and verified phone numbers.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m25_attendants",
    up: &[
        // Beside `role`, whose values the release before knows: during an upgrade it takes an attendant for a driver.
        Both("ALTER TABLE users ADD COLUMN is_attendant BOOLEAN NOT NULL DEFAULT FALSE"),
        Both(
            "CREATE TABLE attendant_lots (
        user_id BIGINT NOT NULL REFERENCES users (id),
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        assigned_at {time} NOT NULL,
        PRIMARY KEY (user_id, lot_id)
    )",
        ),
        // Of the account that owns the stays of cars without accounts in this lot.
        Both("ALTER TABLE users ADD COLUMN house_lot_id BIGINT"),
        Both("CREATE UNIQUE INDEX users_house_lot_id_key ON users (house_lot_id)"),
        // Whether the stay belongs to such an account, which has any number of them at the same time.
        Both("ALTER TABLE reservations ADD COLUMN house BOOLEAN NOT NULL DEFAULT FALSE"),
        // For the clean-up, which erases old plates of these cars.
        Both("CREATE INDEX reservations_house ON reservations (left_at) WHERE house AND plate IS NOT NULL"),
        Both("DROP INDEX reservations_one_active_a_user"),
        Both(
            "CREATE UNIQUE INDEX reservations_one_active_a_user
        ON reservations (user_id) WHERE state = 'active' AND NOT house",
        ),
        // The same for all spellings of the plate, while the car is parked.
        Both("ALTER TABLE reservations ADD COLUMN plate_key TEXT"),
        Both(
            "UPDATE reservations SET plate_key = (SELECT v.plate_key FROM vehicles v
            WHERE v.user_id = reservations.user_id AND v.plate = reservations.plate)
        WHERE state = 'active'",
        ),
        Both(
            "CREATE UNIQUE INDEX reservations_one_place_a_plate
        ON reservations (plate_key) WHERE state = 'active' AND plate_key IS NOT NULL",
        ),
        Both("ALTER TABLE reservations ADD COLUMN refunded_at {time}"),
        Both("ALTER TABLE reservations ADD COLUMN refund_reason TEXT"),
        Both(
            "CREATE INDEX reservations_refunded
        ON reservations (refunded_at, lot_id, cost_minor) WHERE payment_state = 'refunded'",
        ),
        // When operators were told that the window cannot leave a spot that is being retired.
        Both("ALTER TABLE reservations ADD COLUMN stuck_announced_at {time}"),
        // Numbers from before stay unverified: nobody has ever proved one.
        Both("ALTER TABLE users ADD COLUMN phone_verified_at {time}"),
        // The id is that of the job that sends the code.
        Both(
            "CREATE TABLE phone_codes (
        id {uuid} NOT NULL PRIMARY KEY,
        user_id BIGINT NOT NULL REFERENCES users (id),
        phone_number TEXT NOT NULL,
        hash TEXT NOT NULL,
        tries BIGINT NOT NULL DEFAULT 0,
        created_at {time} NOT NULL,
        expires_at {time} NOT NULL
    )",
        ),
        Both("CREATE INDEX phone_codes_by_user ON phone_codes (user_id, created_at)"),
    ],
    down: &[
        "DROP TABLE phone_codes",
        "ALTER TABLE users DROP COLUMN phone_verified_at",
        "ALTER TABLE reservations DROP COLUMN stuck_announced_at",
        "DROP INDEX reservations_refunded",
        "ALTER TABLE reservations DROP COLUMN refund_reason",
        "ALTER TABLE reservations DROP COLUMN refunded_at",
        "DROP INDEX reservations_one_place_a_plate",
        "ALTER TABLE reservations DROP COLUMN plate_key",
        "DROP INDEX reservations_one_active_a_user",
        "DROP INDEX reservations_house",
        "ALTER TABLE reservations DROP COLUMN house",
        "CREATE UNIQUE INDEX reservations_one_active_a_user ON reservations (user_id) WHERE state = 'active'",
        "DROP INDEX users_house_lot_id_key",
        "ALTER TABLE users DROP COLUMN house_lot_id",
        "DROP TABLE attendant_lots",
        "ALTER TABLE users DROP COLUMN is_attendant",
    ],
};
