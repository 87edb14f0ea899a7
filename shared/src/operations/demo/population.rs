//! Lots, spots and users of a plan.

use chrono::TimeDelta;
use rand::Rng;

use super::{
    names,
    plan::{ADMIN, DRIVER, Plan},
    rows::{Lot, Site, Spot, User},
};

/// Spots of the lot for the heavy history.
pub(super) const HEAVY_SPOTS: i64 = 50;

impl Plan {
    /// The lots with ids from 1, without the one for the heavy history.
    pub(super) fn sites(&self) -> impl Iterator<Item = Site> {
        let (mut rng, begin) = (self.rng(0), self.begin());
        let seconds = (self.now - begin).num_seconds();
        (0..self.lots).map(move |index| {
            let (location_name, address, pincode) = names::place(index, &mut rng);
            let earlier_price_minor = 500 * rng.random_range(4..=16);
            let mut later = |from: f64, to: f64| (seconds as f64 * rng.random_range(from..to)) as i64;
            let (changed, closed) = (later(0.3, 0.7), begin.timestamp() + later(0.1, 0.9));
            let lot = Lot {
                id: index as i64 + 1,
                location_name,
                address,
                pincode,
                price_minor: earlier_price_minor + 500 * rng.random_range(1..=2),
                number_of_slots: self.spots_per_lot as i64,
                version: 2,
                created_at: begin - TimeDelta::days(500),
                updated_at: begin + TimeDelta::seconds(changed),
            };
            Site { lot, earlier_price_minor, closed: closed..closed + (seconds / 30).min(86_400) }
        })
    }

    /// All lots; the one for the heavy history is the last.
    pub(super) fn lots(&self) -> impl Iterator<Item = Lot> {
        let opened = self.heavy_begin() - TimeDelta::days(30);
        let heavy = (self.heavy > 0).then(|| Lot {
            id: self.lots as i64 + 1,
            location_name: "Courier Yard".to_owned(),
            address: "1, Depot Road, Mumbai".to_owned(),
            pincode: "400099".to_owned(),
            price_minor: 2_000,
            number_of_slots: HEAVY_SPOTS,
            version: 1,
            created_at: opened,
            updated_at: opened,
        });
        self.sites().map(|site| site.lot).chain(heavy)
    }

    /// All spots, with ids from 1 in the order of lots and numbers.
    pub(super) fn spots(&self) -> impl Iterator<Item = Spot> {
        self.lots()
            .flat_map(|lot| (1..=lot.number_of_slots).map(move |number| (lot.id, number)))
            .zip(1..)
            .map(|((lot_id, number), id)| Spot { id, lot_id, number })
    }

    /// The administrator with id 1, then the drivers of each lot in turn.
    pub(super) fn users(&self) -> impl Iterator<Item = User> {
        let (mut rng, begin) = (self.rng(1), self.begin());
        let admin = User {
            id: 1,
            username: "Demo Admin".to_owned(),
            email: ADMIN.to_owned(),
            role: "admin",
            vehicle_number: None,
            phone_number: None,
            created_at: begin - TimeDelta::days(500),
        };
        let drivers = (2..).take(self.lots * self.drivers_per_lot()).map(move |id| {
            let (username, email) = names::person(id, &mut rng);
            let plate = names::plate(id, &mut rng);
            let age = TimeDelta::seconds(rng.random_range(60 * 86_400..400 * 86_400));
            let driver = User {
                id,
                username,
                email,
                role: "user",
                vehicle_number: Some(plate),
                phone_number: Some(names::phone(id)),
                created_at: begin - age,
            };
            if id != self.driver_id() {
                return driver;
            }
            let (username, email) = ("Demo Driver".to_owned(), DRIVER.to_owned());
            User { username, email, created_at: self.heavy_begin() - TimeDelta::days(30), ..driver }
        });
        std::iter::once(admin).chain(drivers)
    }
}
