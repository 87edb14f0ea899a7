//! The demo's output: numbered steps with their results, coloured on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use devstack::Mail;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Prints to standard output.
#[derive(Debug)]
pub(super) struct Show {
    colour: bool,
}

impl Show {
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A status message.
    pub(super) fn line(&self, text: &str) {
        println!("{} {text}", self.paint(CYAN, "==>"));
    }

    /// A heading.
    pub(super) fn title(&self, text: &str) {
        println!("\n{}\n", self.paint(BOLD, text));
    }

    /// A successful step and its duration.
    pub(super) fn step(&self, number: usize, what: &str, took: Duration) {
        let took = format!("{:>7.0} ms", took.as_secs_f64() * 1000.0);
        println!("{} {number:>2}  {what:<60}{}", self.paint(GREEN, "✔"), self.paint(DIM, &took));
    }

    /// A failed step.
    pub(super) fn failed(&self, number: usize, what: &str) {
        println!("{} {number:>2}  {what}", self.paint(RED, "✘"));
    }

    /// A result of a step.
    pub(super) fn result(&self, name: &str, value: impl std::fmt::Display) {
        println!("      {} {value}", self.paint(DIM, &format!("{name:<10}")));
    }

    /// A received mail.
    pub(super) fn mail(&self, mail: &Mail) {
        let subject = mail.header("Subject").unwrap_or_else(|| "(no subject)".to_owned());
        self.result("mail to", mail.to.join(", "));
        self.result("subject", self.paint(BOLD, &subject));
        for attachment in mail.attachments() {
            let name = attachment.name.unwrap_or_else(|| "(no name)".to_owned());
            self.result(
                "attached",
                format!("{name}, {}, {} bytes", attachment.content_type, attachment.bytes.len()),
            );
        }
    }

    /// Indented text.
    pub(super) fn quote(&self, text: &str) {
        text.lines().for_each(|line| println!("      {} {line}", self.paint(DIM, "│")));
    }
}

/// Numbers and times the steps.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) show: &'a Show,
    number: usize,
}

impl<'a> Steps<'a> {
    pub(super) fn new(show: &'a Show) -> Self {
        Self { show, number: 0 }
    }

    /// Runs a step and prints its result.
    pub(super) async fn run<T>(
        &mut self,
        what: &str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.number += 1;
        let started = Instant::now();
        match step.await {
            Ok(value) => {
                self.show.step(self.number, what, started.elapsed());
                Ok(value)
            }
            Err(error) => {
                self.show.failed(self.number, what);
                Err(error.context(format!("step {}, \"{what}\", failed", self.number)))
            }
        }
    }
}
