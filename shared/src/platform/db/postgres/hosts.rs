//! The hosts in a URL, as libpq writes them: `postgres://user@one,two:5433/parkade?target_session_attrs=read-write`.

use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;

/// The options for each host of a URL, in the order in which they are tried. The driver itself knows only one host.
pub(crate) fn parse(url: &str) -> Result<Vec<PgConnectOptions>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("must begin with postgres://")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = Query::parse(query)?;
    let parse = |(host, more): (String, String)| {
        let url = format!("{scheme}://{user}{host}{path}?{}{more}", query.rest);
        PgConnectOptions::from_str(&url).map_err(|error| format!("is malformed: {error}"))
    };
    query.targets(hosts)?.into_iter().map(parse).collect()
}

/// The parameters of a URL.
#[derive(Default)]
struct Query {
    hosts: Vec<String>,
    ports: Vec<String>,
    /// What is passed on to the driver.
    rest: String,
}

impl Query {
    fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        let list = |value: &str| value.split(',').map(str::to_owned).collect();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("target_session_attrs", "any" | "read-write" | "primary") => {}
                ("target_session_attrs", _) => {
                    return Err(
                        "needs a server that can be written to: target_session_attrs=read-write".into()
                    );
                }
                ("host", hosts) => query.hosts = list(hosts),
                ("port", ports) => query.ports = list(ports),
                _ => query.rest += &format!("{pair}&"),
            }
        }
        Ok(query)
    }

    /// The authority and the parameters for each host. Hosts among the parameters win; one port is for all of them.
    fn targets(&self, authority: &str) -> Result<Vec<(String, String)>, String> {
        let hosts: Vec<(&str, String)> = if self.hosts.is_empty() {
            authority.split(',').map(|host| (host, String::new())).collect()
        } else {
            // A URL with a user needs a host.
            self.hosts.iter().map(|host| ("localhost", format!("host={host}&"))).collect()
        };
        let port = |nth: usize| match self.ports.as_slice() {
            [] => Ok(String::new()),
            [port] => Ok(format!("port={port}")),
            ports if ports.len() == hosts.len() => Ok(format!("port={}", ports[nth])),
            _ => Err("must have one port, or as many as hosts".to_owned()),
        };
        let target = |(nth, (host, more)): (usize, &(&str, String))| {
            Ok(((*host).to_owned(), format!("{more}{}", port(nth)?)))
        };
        hosts.iter().enumerate().map(target).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<(String, u16)> {
        let parsed = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        parsed.iter().map(|options| (options.get_host().to_owned(), options.get_port())).collect()
    }

    #[test]
    fn database_urls_may_name_several_hosts() {
        let two = [("one".to_owned(), 5432), ("two".to_owned(), 5433)];
        for url in [
            "postgres://one,two:5433/parkade?target_session_attrs=read-write",
            "postgresql://asha:p%40ss,word@one:5432,two:5433/parkade",
            "postgres:///parkade?host=one,two&port=5432,5433",
            "postgres://asha@/parkade?port=5432,5433&sslmode=disable&host=one,two",
            "postgres://one,two:5433?target_session_attrs=primary",
        ] {
            assert_eq!(hosts(url), two, "{url}");
        }
        assert_eq!(hosts("postgres://[::1]:5433,[fd00::2]/x")[1], ("[fd00::2]".to_owned(), 5432));
        assert_eq!(hosts("postgres://x,y@one/x"), [("one".to_owned(), 5432)]);
        assert_eq!(hosts("postgres:///x?host=one,two&port=5433")[0].1, 5433);
        assert_eq!(hosts("postgres://one/x?port=5433"), [("one".to_owned(), 5433)]);
    }

    #[test]
    fn options_of_a_url_apply_to_every_host() {
        let parsed =
            parse("postgres://asha@one,two/parkade?sslmode=require&target_session_attrs=any").unwrap();
        for options in parsed {
            assert_eq!((options.get_username(), options.get_database()), ("asha", Some("parkade")));
            assert_eq!(format!("{:?}", options.get_ssl_mode()), "Require");
        }
    }

    #[test]
    fn urls_that_lead_to_no_writable_host_are_refused() {
        for url in [
            "postgres://one,two/x?target_session_attrs=standby",
            "postgres://one/x?target_session_attrs=read-only",
            "postgres://one,two:port/x",
            "postgres:///x?host=a,b,c&port=1,2",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
