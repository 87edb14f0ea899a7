//! What can become of the bill of a completed stay. Pure.

use std::str::FromStr;

/// What became of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// Nobody has said how it was paid.
    Unpaid,
    /// It is paid, or there was nothing to pay.
    Paid,
    /// An administrator has waived it.
    Waived,
    /// It was paid, and the money went back.
    Refunded,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unpaid, Self::Paid, Self::Waived, Self::Refunded];

    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paid => "paid",
            Self::Waived => "waived",
            Self::Refunded => "refunded",
        }
    }
}

impl FromStr for PaymentState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or("must be unpaid, paid, waived or refunded")
    }
}

/// How a driver says to have paid. Neither text is blank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payment {
    /// Assigned by the payment provider or the cashier.
    pub transaction_id: Option<String>,
    /// `UPI`, `Card`, `Cash`, or another name.
    pub method: Option<String>,
}

impl Payment {
    /// Whether nothing is said about a payment.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.transaction_id.is_none() && self.method.is_none()
    }

    /// The transaction without blanks around it, by which it is compared.
    #[must_use]
    pub fn transaction_key(&self) -> Option<&str> {
        self.transaction_id.as_deref().map(str::trim)
    }

    /// Whether this repeats a payment: it names the same transaction, or at least no other method.
    #[must_use]
    pub fn repeats(&self, stored: &Self) -> bool {
        match (self.transaction_key(), &self.method, &stored.method) {
            (Some(key), ..) => stored.transaction_key() == Some(key),
            (None, Some(method), Some(stored)) => method.eq_ignore_ascii_case(stored),
            (None, method, _) => method.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(transaction: &str, method: &str) -> Payment {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Payment { transaction_id: text(transaction), method: text(method) }
    }

    #[test]
    fn a_payment_is_repeated_if_nothing_differs() {
        for (sent, stored, repeats) in [
            (("", ""), ("T1", "UPI"), true),
            (("T1", "UPI"), ("T1", "UPI"), true),
            (("T1", ""), ("T1", "UPI"), true),
            (("", "upi"), ("T1", "UPI"), true),
            (("T2", "UPI"), ("T1", "UPI"), false),
            (("t1", "UPI"), ("T1", "UPI"), false),
            (("T1", "Card"), ("T1", "UPI"), true),
            ((" T1", ""), ("T1", "UPI"), true),
            (("", "Card"), ("T1", "UPI"), false),
            (("T1", "Cash"), ("", "Cash"), false),
            (("", "Cash"), ("T1", ""), false),
            (("", ""), ("", ""), true),
        ] {
            let (sent, stored) = (payment(sent.0, sent.1), payment(stored.0, stored.1));
            assert_eq!(sent.repeats(&stored), repeats, "{sent:?} after {stored:?}");
        }
    }

    #[test]
    fn names_round_trip() {
        for state in PaymentState::ALL {
            assert_eq!(state.as_str().parse::<PaymentState>(), Ok(state));
        }
        assert!("free".parse::<PaymentState>().is_err());
    }
}
