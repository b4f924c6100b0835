//! To whom an archive is sealed: public keys as `age-keygen` makes them. Pure.

use bech32::{Bech32, primitives::decode::CheckedHrpstring};

use super::document::Section;

/// What a public key is.
pub(super) const FORM: &str = "list of public keys of age, age1...";

/// As many recipients as fit well into a segment's first line, which names them.
const MOST: usize = 16;

/// The bytes of a key.
const KEY_BYTES: usize = 32;

/// Reads the public keys; what is wrong with one is told, and a secret key is repeated nowhere.
pub(super) fn read(section: &Section<'_>, key: &str) -> Vec<String> {
    let mut recipients: Vec<String> = Vec::new();
    let texts = section.texts(key);
    if texts.as_ref().is_some_and(Vec::is_empty) {
        section.problem(key, "is empty: whoever wants no encryption leaves it out");
    }
    // A key that is not given encrypts nothing. A wrong list is reported, and nothing is done.
    for text in texts.unwrap_or_default() {
        let one = text.value.trim().to_owned();
        if let Err(why) = check(&one) {
            section.problem(key, &why);
        } else if recipients.contains(&one) {
            section.problem(key, &format!("has {one} twice"));
        } else {
            recipients.push(one);
        }
    }
    if recipients.len() > MOST {
        section.problem(key, &format!("has more than {MOST} keys"));
    }
    recipients
}

fn check(key: &str) -> Result<(), String> {
    if key.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err(
            "has a secret key: it takes the public one (age-keygen -y FILE), and this one is known now to who reads \
             the file"
                .into(),
        );
    }
    let is_key = || {
        let read = CheckedHrpstring::new::<Bech32>(key).ok()?;
        let is_age = read.hrp().as_str() == "age" && key.starts_with("age1");
        (is_age && read.byte_iter().len() == KEY_BYTES).then_some(())
    };
    is_key().ok_or_else(|| format!("has {key:?}, which is no public key of age (age1...)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_whole_and_public_or_refused() {
        let key = "age102t8hqsdlfxtpj666ajguezs5zwn5pxd5ddlql40xp04h4ptsecqajz5ml";
        assert_eq!(check(key), Ok(()));
        for (bad, why) in [
            (key.replace("02t8", "02t9"), "no public key"),
            (key[..60].to_owned(), "no public key"),
            (key.to_uppercase(), "no public key"),
            (format!("{key}q"), "no public key"),
            ("ssh-ed25519 AAAA".into(), "no public key"),
            ("AGE-SECRET-KEY-1QQQ".into(), "has a secret key"),
        ] {
            let said = check(&bad).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(!said.contains("1QQQ"), "{said}");
        }
    }
}
