//! The templates of the pages, compiled in.

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        /// Names and texts of all templates.
        pub const SOURCES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../templates/pages/", $name)))),+];
    };
}

templates![
    "layout.html",
    "parts.html",
    "error.html",
    "linked.html",
    "privacy.html",
    "landing.html",
    "login.html",
    "confirm.html",
    "register.html",
    "forgot_password.html",
    "lots.html",
    "lot.html",
    "parking.html",
    "reservation.html",
    "history.html",
    "figures.html",
    "exports.html",
    "export.html",
    "profile.html",
    "second_factor.html",
    "recovery_codes.html",
    "work/lots.html",
    "work/lot.html",
    "work/stay.html",
    "admin/layout.html",
    "admin/today.html",
    "admin/lots.html",
    "admin/lot.html",
    "admin/users.html",
    "admin/reports.html",
    "admin/unpaid.html",
    "admin/jobs.html",
    "admin/deliveries.html",
    "admin/audit.html",
    "admin/health.html",
];
