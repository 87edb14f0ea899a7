//! The states of a reservation and the moves between them. Pure.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

/// The state of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A spot is reserved for a window.
    Reserved,
    /// The session is running.
    Active,
    /// The session has ended and is billed.
    Completed,
    /// Cancelled before the arrival.
    Cancelled,
    /// The driver did not come in time.
    Expired,
}

/// The events that change the state of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The driver arrives (`occupy-spot`).
    Occupy,
    /// The driver leaves and pays (`release-spot`).
    Release,
    /// The driver or an administrator cancels it.
    Cancel,
    /// The time for the arrival has passed.
    Expire,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Reserved, Self::Active, Self::Completed, Self::Cancelled, Self::Expired];

    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// Why `event` is impossible in this state, as a message to the user.
    pub const fn after(self, event: Event) -> Result<Self, &'static str> {
        use Event::{Cancel, Expire, Occupy, Release};
        match (self, event) {
            (Self::Reserved, Occupy) => Ok(Self::Active),
            (Self::Reserved, Cancel) => Ok(Self::Cancelled),
            (Self::Reserved, Expire) => Ok(Self::Expired),
            (Self::Active, Release) => Ok(Self::Completed),
            (Self::Reserved, Release) => {
                Err("the spot has not been occupied yet; cancel the reservation instead")
            }
            (Self::Active, Occupy) => Err("the spot is occupied already"),
            (Self::Active, Cancel) => Err("the session is running; release the spot instead"),
            (Self::Active, Expire) => Err("the session is running"),
            (Self::Completed, _) => Err("the session has ended and is billed"),
            (Self::Cancelled, _) => Err("the reservation was cancelled"),
            (Self::Expired, _) => Err("the reservation has expired because nobody arrived"),
        }
    }
}

/// Whether the driver has missed a reserved window: it began longer than `grace` ago, or has ended.
#[must_use]
pub fn is_missed(
    begin: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> bool {
    now - begin > grace || end.is_some_and(|end| end <= now)
}

impl FromStr for State {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| anyhow::anyhow!("unknown reservation state {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [Event; 4] = [Event::Occupy, Event::Release, Event::Cancel, Event::Expire];

    #[test]
    fn only_four_moves_exist() {
        let moves: Vec<_> = State::ALL
            .into_iter()
            .flat_map(|from| EVENTS.map(|event| (from, event, from.after(event))))
            .filter_map(|(from, event, to)| to.ok().map(|to| (from, event, to)))
            .collect();
        assert_eq!(
            moves,
            [
                (State::Reserved, Event::Occupy, State::Active),
                (State::Reserved, Event::Cancel, State::Cancelled),
                (State::Reserved, Event::Expire, State::Expired),
                (State::Active, Event::Release, State::Completed),
            ]
        );
    }

    #[test]
    fn arrival_is_missed_after_the_grace_or_the_window() {
        let begin: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
        let (hour, grace) = (TimeDelta::hours(1), TimeDelta::minutes(30));
        let (micro, short) = (TimeDelta::microseconds(1), TimeDelta::minutes(10));
        for (length, passed, missed) in [
            (hour, -hour, false),
            (hour, TimeDelta::zero(), false),
            (hour, grace, false),
            (hour, grace + micro, true),
            (hour, hour, true),
            (short, short - micro, false),
            (short, short, true),
            (grace, grace, true),
            (grace + micro, grace, false),
        ] {
            let answer = is_missed(begin, Some(begin + length), begin + passed, grace);
            assert_eq!(answer, missed, "{length} long, after {passed}");
        }
        assert!(!is_missed(begin, None, begin + grace, grace));
        assert!(is_missed(begin, None, begin + grace + micro, grace));
    }

    #[test]
    fn names_round_trip() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
        assert!("parked".parse::<State>().is_err());
    }

    /// The model: a reservation is what its history of accepted events says.
    fn model(history: &[Event]) -> State {
        match history {
            [] => State::Reserved,
            [Event::Occupy] => State::Active,
            [Event::Occupy, Event::Release] => State::Completed,
            [Event::Cancel] => State::Cancelled,
            [Event::Expire] => State::Expired,
            other => panic!("impossible history {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_events_ends_where_the_model_says(events in prop::collection::vec(0..4usize, 0..30)) {
            let mut state = State::Reserved;
            let mut accepted = Vec::new();
            for event in events.into_iter().map(|i| EVENTS[i]) {
                if let Ok(next) = state.after(event) {
                    prop_assert!(matches!(state, State::Reserved | State::Active), "a settled reservation moved");
                    state = next;
                    accepted.push(event);
                }
                prop_assert_eq!(state, model(&accepted));
            }
        }
    }
}
