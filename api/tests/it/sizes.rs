//! How large the model and the races are. The defaults are quick enough for every change; CONTRIBUTING.md says how to run
//! them at full size.

/// What can be made larger.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    /// Random schedules of the model for each seed.
    Schedules,
    /// Steps of each schedule.
    Steps,
    /// Drivers who race for twenty spots.
    Drivers,
    /// Drivers who race for a lot with displaced windows, which admits them one after the other.
    DriversInLine,
}

/// The size from the environment, or the usual one.
#[expect(clippy::disallowed_methods, reason = "an option of the tests, not a setting")]
pub(crate) fn size(what: Size) -> u32 {
    let (name, usual) = match what {
        Size::Schedules => ("PARKADE_MODEL_SCHEDULES", 12),
        Size::Steps => ("PARKADE_MODEL_STEPS", 60),
        Size::Drivers => ("PARKADE_RACE_DRIVERS", 120),
        // As many as are answered within the time limit of a request on a slow machine.
        Size::DriversInLine => ("PARKADE_RACE_DRIVERS", 72),
    };
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}
