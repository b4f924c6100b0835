//! Where a server is, apart from who connects to it and how.

use std::sync::Arc;

use super::{ConnectInfo, ConninfoError, settings::Settings, to_text};

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
