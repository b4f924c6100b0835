//! Two servers in one connection string, for two databases that take each other's place. Pure.

use super::{ConnectInfo, to_text};

impl ConnectInfo {
    /// The one connection string, without passwords, that names the servers of both, and the two that name one each.
    ///
    /// # Errors
    /// What keeps them from being one: a string names no host or several, or they differ in something else.
    pub fn beside(&self, other: &ConnectInfo) -> Result<[String; 3], String> {
        let mut places = Vec::new();
        for one in [self, other] {
            let [endpoint] = one.0.endpoints.as_slice() else {
                return Err(format!("{one}: name one host"));
            };
            match (&endpoint.host, endpoint.hostaddr) {
                (Some(host), None) if !host.is_empty() && !host.contains(',') => {
                    places.push((host.clone(), endpoint.port.to_string()));
                }
                _ => return Err(format!("{one}: name its host by host=")),
            }
        }
        let words = |one: &ConnectInfo| -> Vec<(&'static str, String)> {
            let named = [("user", one.user()), ("dbname", one.dbname())];
            let named = named.map(|(keyword, value)| (keyword, value.to_owned()));
            let given = one
                .0
                .given
                .iter()
                .filter(|(keyword, _)| !["host", "hostaddr", "port"].contains(keyword));
            named.into_iter().chain(given.cloned()).collect()
        };
        let (same, others) = (words(self), words(other));
        let differs = |(keyword, value): &&(&str, String)| {
            !others
                .iter()
                .any(|(other, its)| other == keyword && its == value)
        };
        if let Some((keyword, _)) = same.iter().find(differs) {
            return Err(format!("{keyword} has to be the same on both"));
        }
        if same.len() != others.len() {
            return Err("they have to say the same but for host and port".to_owned());
        }
        let [(host, port), (other_host, other_port)] = &places[..] else {
            return Err("name two hosts".to_owned());
        };
        let text = |host: &str, port: &str| {
            let same = same
                .iter()
                .map(|(keyword, value)| (*keyword, value.as_str()));
            to_text([("host", host), ("port", port)].into_iter().chain(same))
        };
        let both = text(
            &format!("{host},{other_host}"),
            &format!("{port},{other_port}"),
        );
        Ok([both, text(host, port), text(other_host, other_port)])
    }
}
