//! How a driver pays, by the names under which payments are stored. Pure.

use crate::base::error::{Error, Result};

/// How a driver pays.
#[derive(Debug, Clone, Default)]
pub struct Payment {
    /// Given by whoever took the money.
    pub transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash`, or another name.
    pub method: Option<String>,
}

impl Payment {
    /// The same with the method by its stored name; an unknown one is kept as given.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text that is too long or holds a NUL.
    pub fn checked(self) -> Result<Self> {
        let field = |pointer: &str, text: Option<String>, most: usize| match text
            .filter(|text| !text.is_empty())
        {
            Some(text) if text.chars().count() > most || text.contains('\0') => {
                Err(Error::invalid(pointer, format!("must have at most {most} characters, none of them NUL")))
            }
            text => Ok(text),
        };
        let method = field("/payment_method", self.method, 20)?.map(|method| match method.as_str() {
            "qr" | "upi" => "UPI".to_owned(),
            "card" => "Card".to_owned(),
            "cash" => "Cash".to_owned(),
            _ => method,
        });
        Ok(Self { transaction_id: field("/transaction_id", self.transaction_id, 50)?, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(method: &str) -> Option<String> {
        let payment = Payment { transaction_id: Some(String::new()), method: Some(method.into()) };
        payment.checked().unwrap().method
    }

    #[test]
    fn methods_get_their_stored_names() {
        for (sent, expected) in [
            ("qr", "UPI"),
            ("upi", "UPI"),
            ("card", "Card"),
            ("cash", "Cash"),
            ("UPI", "UPI"),
            ("bitcoin", "bitcoin"),
        ] {
            assert_eq!(stored(sent).as_deref(), Some(expected));
        }
        assert_eq!(stored(""), None);
    }

    #[test]
    fn texts_that_do_not_fit_are_refused() {
        let payment =
            |id: &str, method: &str| Payment { transaction_id: Some(id.into()), method: Some(method.into()) };
        assert!(payment(&"x".repeat(51), "card").checked().is_err());
        assert!(payment("TXN1", &"x".repeat(21)).checked().is_err());
        assert!(payment("a\0", "card").checked().is_err());
    }
}
