//! Checks the connection to the mail server, without sending a mail.

use super::verdict::{Verdict, ok, problem};
use crate::platform::{
    config::{Config, Environment},
    mailer::Mailer,
};

pub(super) async fn check(config: &Config) -> Vec<Verdict> {
    let mailer = match Mailer::from_config(&config.mail) {
        Ok(mailer) => mailer,
        Err(error) => return vec![problem(error.chain(), "fix the MAIL_ settings")],
    };
    let Mailer::Smtp(server) = mailer else {
        let what =
            format!("MAIL_SERVER is not set: mails are written to files in {}", config.mail.folder.display());
        let is_production = config.environment == Environment::Production;
        return vec![if is_production { problem(what, "set MAIL_SERVER") } else { ok(what) }];
    };
    let mut steps = Vec::new();
    let checked = server.check(&mut |step| steps.push(ok(step))).await;
    if let Err(error) = checked {
        steps.push(problem(error.to_string(), "to try again with a mail: parkade-worker test-email ADDRESS"));
    }
    steps
}
