//! The variables of the environment as texts. Pure: the caller says where they are.

use std::cell::RefCell;
use std::ffi::OsString;

use super::conninfo::ConninfoError;
use super::keywords::Env;

/// What `read` makes of the variables that `get` gives.
///
/// A variable that `read` asks for and that is not UTF-8 is an error. If it counted as not set, what it asks for (the
/// check of a certificate, a password) would be left out in silence.
pub(crate) fn with<T>(
    get: impl Fn(&str) -> Option<OsString>,
    read: impl FnOnce(Env<'_>) -> Result<T, ConninfoError>,
) -> Result<T, ConninfoError> {
    let unreadable = RefCell::new(None);
    let env = |name: &str| match get(name)?.into_string() {
        Ok(text) => Some(text),
        Err(_) => {
            unreadable.borrow_mut().get_or_insert(name.to_owned());
            None
        }
    };
    let done = read(&env);
    match unreadable.take() {
        Some(variable) => Err(ConninfoError::NotUtf8 { variable }),
        None => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::super::conninfo;
    use super::*;

    #[test]
    fn a_variable_that_is_not_utf_8_is_named_if_it_is_asked_for() {
        for variable in ["PGPASSWORD", "PGSERVICE", "PGSSLMODE", "PGREQUIRESSL"] {
            let get = |name: &str| (name == variable).then(|| OsString::from_vec(vec![b'f', 0xfc]));
            let error = with(get, |env| conninfo::read("host=h", env)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("environment: {variable} is not UTF-8")
            );
        }
        let get = |name: &str| (name == "PGPASSWORD").then(|| OsString::from_vec(vec![0xfc]));
        let words = with(get, |env| conninfo::read("password=x", env)).unwrap();
        assert_eq!(words["password"], "x", "the string decides first");
    }
}
