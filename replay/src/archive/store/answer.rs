//! What an object store has answered, as an error that may be told: without what a store repeats of the request, since
//! keys and tokens may be among it.

use std::io::{self, ErrorKind};

/// What an object store has answered, or that it has not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Answer(String);

/// Whether an error is an answer of an object store, or that there was none.
pub(super) fn is_answer(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Answer>())
}

/// Whether no answer came, so that nobody knows whether the store has done what was asked.
pub(super) fn is_lost(error: &io::Error) -> bool {
    is_answer(error) && error.kind() == ErrorKind::ConnectionAborted
}

/// The error of a request for an object.
pub(super) fn failed(path: &str, error: &object_store::Error) -> io::Error {
    use object_store::Error;
    let said = Said::of(&chain(error));
    let (kind, what) = if said.lacks_bucket() {
        (ErrorKind::Other, "the bucket is not there")
    } else if matches!(error, Error::NotFound { .. }) {
        (ErrorKind::NotFound, "it is not there")
    } else if matches!(error, Error::AlreadyExists { .. }) {
        (ErrorKind::AlreadyExists, "it is there already")
    } else if matches!(error, Error::PermissionDenied { .. }) {
        (ErrorKind::PermissionDenied, "the store denies it")
    } else if matches!(error, Error::Unauthenticated { .. }) {
        let what =
            "the store does not accept the keys (AWS_*, GOOGLE_* or AZURE_* in the environment)";
        (ErrorKind::PermissionDenied, what)
    } else if said.is_answered {
        (ErrorKind::Other, &*said.text)
    } else {
        (ErrorKind::ConnectionAborted, &*said.text)
    };
    let text = format!("{path}: {what}{}{}", said.reason, hint(&said.text));
    io::Error::new(kind, Answer(text))
}

/// The error of a client that cannot be made.
pub(super) fn unusable(what: &str, error: &object_store::Error) -> io::Error {
    let Said { text, reason, .. } = Said::of(&chain(error));
    io::Error::new(
        ErrorKind::InvalidInput,
        Answer(format!("{what}: {text}{reason}")),
    )
}

/// An error that is none of the store's.
pub(super) fn refused(path: &str, what: &str) -> io::Error {
    io::Error::other(Answer(format!("{path}: {what}")))
}

/// The same error once more.
pub(super) fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), Answer(error.to_string()))
}

/// What an error says, without the body of the store's answer.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    text: String,
    /// There was an answer.
    is_answered: bool,
    /// Code and message of the answer's body, in brackets behind a blank; empty: it has none.
    reason: String,
}

impl Said {
    fn of(text: &str) -> Said {
        // These are the words of the crate, and the body stands behind them to the end.
        const CODE: &str = "status code: ";
        const BODY: &str = "error response: ";
        let (head, body) = if let Some(at) = text.find(CODE) {
            let rest = at + CODE.len();
            let end = text[rest..].find(": ").map(|end| rest + end);
            let end = end.unwrap_or(text.len());
            (&text[..end], Some(&text[end..]))
        } else if let Some(at) = text.find(BODY) {
            (&text[..at + BODY.len() - 2], Some(&text[at..]))
        } else {
            (text, None)
        };
        Said {
            text: plain(head),
            is_answered: body.is_some(),
            reason: body.map(reason).unwrap_or_default(),
        }
    }

    /// Whether the bucket itself is missing, and not only an object.
    fn lacks_bucket(&self) -> bool {
        let codes = ["(NoSuchBucket", "(ContainerNotFound"];
        codes.iter().any(|code| self.reason.contains(code))
    }
}

/// Code and message of a body in XML, as all stores answer, or in JSON, as those do who give tokens.
fn reason(body: &str) -> String {
    let of_xml = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once('<')?;
        Some(plain(text))
    };
    let of_json = || {
        let body = body.get(body.find('{')?..)?;
        let body: serde_json::Value = serde_json::from_str(body).ok()?;
        let error = &body["error"];
        let code = error.as_str().or(error["status"].as_str())?;
        let message = body["error_description"].as_str();
        let message = message.or(error["message"].as_str());
        Some((plain(code), message.map(plain)))
    };
    match of_xml("Code").map(|code| (code, of_xml("Message"))) {
        Some(said) => Some(said),
        None => of_json(),
    }
    .map_or_else(String::new, |(code, message)| match message {
        Some(message) => format!(" ({code}: {message})"),
        None => format!(" ({code})"),
    })
}

/// What to do where a machine was asked for a role because there are no keys.
fn hint(text: &str) -> &'static str {
    let machines = [
        "169.254.169.254",
        "169.254.170.2",
        "metadata.google.internal",
    ];
    match machines.iter().any(|machine| text.contains(machine)) {
        true => {
            "; no keys are in the environment (AWS_*, GOOGLE_* or AZURE_*), so the machine was asked for those of \
             its role, and gives none"
        }
        false => "",
    }
}

/// An error and its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// One line that is not too long, without what stands behind a `?` of an address: a signature may.
fn plain(text: &str) -> String {
    const LONGEST: usize = 400;
    let word = |word: &str| match word.split_once('?') {
        Some((before, _)) if before.contains("://") => before.to_owned(),
        Some(_) | None => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, body: &str) -> String {
        format!(
            "Error performing PUT https://host/b/a?sig=SECRET in 1s - Server returned non-2xx status code: \
             {status}: {body}"
        )
    }

    /// A store's error with this text.
    fn error(make: fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error) -> Maker {
        Maker(make)
    }

    struct Maker(fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error);

    impl Maker {
        fn with(&self, text: String) -> io::Error {
            failed("s3://b/a", &(self.0)(text.into()))
        }
    }

    const NOT_FOUND: fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error =
        |source| object_store::Error::NotFound {
            path: "a".into(),
            source,
        };
    const DENIED: fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error =
        |source| object_store::Error::PermissionDenied {
            path: "a".into(),
            source,
        };
    const GENERIC: fn(Box<dyn std::error::Error + Send + Sync>) -> object_store::Error =
        |source| object_store::Error::Generic {
            store: "S3",
            source,
        };

    #[test]
    fn a_reason_is_told_and_nothing_else_of_a_body() {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>InvalidAccessKeyId</Code><Message>There is\n none</Message>\
                    <AWSAccessKeyId>MARKER</AWSAccessKeyId><Token-0>MARKER</Token-0></Error>";
        let denied = error(DENIED).with(answered("403 Forbidden", body));
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        let text = "s3://b/a: the store denies it (InvalidAccessKeyId: There is none)";
        assert_eq!(denied.to_string(), text);
        let other = error(GENERIC).with(answered("400 Bad Request", body));
        assert_eq!(other.kind(), ErrorKind::Other);
        let text = "s3://b/a: Generic S3 error: Error performing PUT https://host/b/a in 1s - Server returned \
                    non-2xx status code: 400 Bad Request (InvalidAccessKeyId: There is none)";
        assert_eq!(other.to_string(), text);
        for body in ["MARKER", "", "{\"a\": \"MARKER\"}", "<Code>"] {
            let text = error(GENERIC)
                .with(answered("400 Bad Request", body))
                .to_string();
            assert!(text.ends_with(": 400 Bad Request"), "{text}");
        }
        let body = r#"{"error": "invalid_grant", "error_description": "Expired", "x": "MARKER"}"#;
        let text = error(GENERIC)
            .with(answered("400 Bad Request", body))
            .to_string();
        assert!(text.ends_with("(invalid_grant: Expired)"), "{text}");
        let slow =
            "Server returned error response: <Error><Code>SlowDown</Code><X>MARKER</X></Error>";
        let text = error(GENERIC).with(slow.into()).to_string();
        assert!(text.ends_with("error response (SlowDown)"), "{text}");
    }

    #[test]
    fn a_missing_bucket_is_no_missing_object() {
        for code in ["NoSuchBucket", "ContainerNotFound"] {
            let body = format!("<Error><Code>{code}</Code><Message>No</Message></Error>");
            let gone = error(NOT_FOUND).with(answered("404 Not Found", &body));
            assert_eq!(gone.kind(), ErrorKind::Other);
            let text = format!("s3://b/a: the bucket is not there ({code}: No)");
            assert_eq!(gone.to_string(), text);
        }
        let body = "<Error><Code>NoSuchKey</Code></Error>";
        let gone = error(NOT_FOUND).with(answered("404 Not Found", body));
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_answer_that_did_not_come_is_known_and_so_is_an_error_of_ours() {
        let lost = error(GENERIC).with("Error performing PUT https://h in 1s - HTTP error".into());
        assert!(is_lost(&lost) && is_answer(&lost));
        let slow = error(GENERIC).with(answered("503 Service Unavailable", ""));
        assert!(!is_lost(&slow) && is_answer(&slow));
        assert!(is_lost(&again(&lost)));
        assert!(is_answer(&refused("a", "no")));
        assert!(!is_answer(&io::Error::other("no")));
        let no_keys = error(GENERIC)
            .with("Error performing PUT http://169.254.169.254/latest in 1s - HTTP error".into());
        assert!(
            no_keys
                .to_string()
                .contains("no keys are in the environment")
        );
        assert!(!lost.to_string().contains("no keys"));
    }
}
