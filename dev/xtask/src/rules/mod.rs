//! `cargo xtask rules`: proves the rules of the architecture that a program can prove.

mod check;
mod cycles;
mod dependencies;
mod floors;
mod imports;
mod modules;
mod sizes;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use check::run;
