//! Where a server is, apart from who connects to it and how.

use std::sync::Arc;

use super::{
    ConnectInfo, ConninfoError,
    settings::{Endpoint, Settings},
    to_text,
};

/// The words that say where a server is, beside the database.
const PLACE: [&str; 3] = ["host", "hostaddr", "port"];

impl ConnectInfo {
    /// Where the server is: hosts, ports and database, as a connection string without credentials.
    pub fn address(&self) -> String {
        let given = self.0.given.iter();
        let place = given.filter(|(keyword, _)| PLACE.contains(keyword));
        let place = place.map(|(keyword, value)| (*keyword, value.as_str()));
        to_text(place.chain([("dbname", self.0.dbname.as_str())]))
    }

    /// Each host of the string by itself, in the string's order, with the same user, database and settings.
    pub fn hosts(&self) -> Vec<ConnectInfo> {
        let endpoints = &self.0.endpoints;
        if endpoints.len() < 2 {
            return vec![self.clone()];
        }
        let alone = |endpoint: &Endpoint| {
            let mut settings = Settings::clone(&self.0);
            settings
                .given
                .retain(|(keyword, _)| !PLACE.contains(keyword));
            let host = endpoint.host.clone().map(|host| (PLACE[0], host));
            let address = endpoint.hostaddr.map(|at| (PLACE[1], at.to_string()));
            let port = Some((PLACE[2], endpoint.port.to_string()));
            settings
                .given
                .extend([host, address, port].into_iter().flatten());
            settings.endpoints = vec![endpoint.clone()];
            ConnectInfo(Arc::new(settings), Arc::default())
        };
        endpoints.iter().map(alone).collect()
    }

    /// The hosts and their ports, for messages.
    pub fn place(&self) -> String {
        let endpoints = self.0.endpoints.iter().map(Endpoint::to_string);
        endpoints.collect::<Vec<_>>().join("; ")
    }

    /// The same user and settings, at another [`ConnectInfo::address`].
    ///
    /// # Errors
    /// [`ConninfoError`] if that is no address.
    pub fn at(&self, address: &str) -> Result<ConnectInfo, ConninfoError> {
        let there = Settings::read(&format!("{address} user='-'"), &|_| None)?;
        let mut settings = Settings::clone(&self.0);
        settings
            .given
            .retain(|(keyword, _)| !PLACE.contains(keyword));
        let place = there.given.into_iter();
        settings
            .given
            .extend(place.filter(|(keyword, _)| PLACE.contains(keyword)));
        (settings.endpoints, settings.dbname) = (there.endpoints, there.dbname);
        Ok(ConnectInfo(Arc::new(settings), Arc::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_of_a_list_is_one_server_with_the_same_user_and_settings() {
        let list: ConnectInfo =
            "host=a,b hostaddr=127.0.0.1,::1 port=1,2 user=u password=p dbname=d"
                .parse()
                .unwrap();
        let hosts = list.hosts();
        let addresses: Vec<String> = hosts.iter().map(ConnectInfo::address).collect();
        assert_eq!(
            addresses,
            [
                "host='a' hostaddr='127.0.0.1' port='1' dbname='d'",
                "host='b' hostaddr='::1' port='2' dbname='d'"
            ]
        );
        assert_eq!(hosts[1].place(), "host b, port 2");
        assert_eq!(hosts[1].for_libpq().password.as_deref(), Some("p"));
        let again = list.at(&hosts[1].address()).unwrap();
        assert_eq!(again.0.endpoints, hosts[1].0.endpoints);
        assert_eq!(hosts[1].hosts(), [hosts[1].clone()]);
        let one_port: ConnectInfo = "host=a,b port=7 user=u".parse().unwrap();
        assert_eq!(one_port.hosts()[1].place(), "host b, port 7");
    }

    #[test]
    fn an_address_says_where_and_not_who_and_another_one_keeps_user_and_password() {
        let here: ConnectInfo = "host=a,b port=1,2 user=u password=secret dbname=d sslmode=disable"
            .parse()
            .unwrap();
        let there: ConnectInfo = "host='it''s' port=7 user=v dbname='x y'"
            .replace("''", r"\'")
            .parse()
            .unwrap();
        assert!(!here.address().contains("secret") && !here.address().contains("user"));
        let moved = here.at(&there.address()).unwrap();
        assert_eq!(moved.address(), there.address());
        assert_eq!((moved.user(), moved.dbname()), ("u", "x y"));
        assert_eq!(moved.0.endpoints, there.0.endpoints);
        assert_eq!(moved.for_libpq().password.as_deref(), Some("secret"));
        assert!(moved.for_libpq().conninfo.contains("sslmode='disable'"));
        assert_eq!(
            moved.at(&here.address()).unwrap().0.endpoints,
            here.0.endpoints
        );
        assert!(here.at("no address").is_err());
    }
}
