//! Redis: connections to its three logical databases, and the keys in them. Nothing that must survive is kept here.

mod access;
mod databases;
mod families;
mod keys;
mod link;
mod source;
mod subscription;

pub use self::{
    databases::Redis,
    families::{FAMILIES, Family, REGISTER, family_of, table_rows},
    keys::Keys,
    link::Link,
    subscription::Notice,
};
