//! The token that readers of the port must know. The file is read at each request, so that a new token holds at once.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sql::small_file;
use subtle::ConstantTimeEq as _;
use tracing::error;

use super::answer;

/// The most bytes of the file.
const MOST_BYTES: u64 = 4096;

/// The least length of a token: shorter ones can be guessed.
const LEAST: usize = 16;

/// The bits of a file's mode that let others than owner and group do anything.
const OTHERS: u32 = 0o007;

/// How a browser learns to ask for the token: as the password, with any name.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"trunkline\", charset=\"UTF-8\"");

/// Reads a token's file.
///
/// # Errors
/// Those of the system; a file that everybody may read or write; a token that is too short, or not one word of ASCII.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let (text, metadata) = small_file::read_text(file, MOST_BYTES)?;
    if metadata.permissions().mode() & OTHERS != 0 {
        return Err(io::Error::other(
            "others may read or write it, chmod 640 or 600",
        ));
    }
    let token = text.trim();
    if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let wrong =
            format!("must hold one word of at least {LEAST} ASCII letters, digits or signs");
        return Err(io::Error::other(wrong));
    }
    Ok(token.to_owned())
}

/// Who may read.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    /// It is logged that the file cannot be read.
    told: AtomicBool,
}

impl Guard {
    pub(super) fn new(file: PathBuf) -> Guard {
        let told = AtomicBool::new(false);
        Guard(Arc::new(Inner { file, told }))
    }
}

/// Lets a request through that knows the token; else 401, and 503 while the file cannot be read.
pub(super) async fn ask(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let token = match read(&guard.0.file) {
        Ok(token) => token,
        Err(problem) => {
            if !guard.0.told.swap(true, Ordering::Relaxed) {
                let file = guard.0.file.display();
                error!(%file, error = %problem, "status page answers nobody, its token cannot be read");
            }
            let text = "the token cannot be read: see the log\n".to_owned();
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    };
    guard.0.told.store(false, Ordering::Relaxed);
    let header = request.headers().get(header::AUTHORIZATION);
    if header.is_some_and(|header| knows(header.as_bytes(), &token)) {
        return next.run(request).await;
    }
    let text =
        "the token is asked for: Authorization: Bearer TOKEN, or the password of a browser\n";
    let mut answer = answer::text(StatusCode::UNAUTHORIZED, text.to_owned());
    let headers = answer.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    answer
}

/// Whether a header has the token: as a bearer's, or as the password of a browser. It takes as long for a token that is
/// nearly right as for any other of its length.
fn knows(header: &[u8], token: &str) -> bool {
    let Some((scheme, rest)) =
        header.split_at_checked(header.iter().position(|byte| *byte == b' ').unwrap_or(0))
    else {
        return false;
    };
    let rest = rest.trim_ascii();
    let given = if scheme.eq_ignore_ascii_case(b"bearer") {
        rest.to_vec()
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        // What is no base64 is no password: a token is never empty.
        let decoded = STANDARD.decode(rest).unwrap_or_default();
        let after = decoded.iter().position(|byte| *byte == b':');
        after.map_or(Vec::new(), |colon| decoded[colon + 1..].to_vec())
    } else {
        return false;
    };
    given.ct_eq(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef:x";

    #[test]
    fn who_knows_the_token_is_let_in_and_nobody_else() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for right in [
            format!("Bearer {TOKEN}"),
            format!("bearer  {TOKEN}"),
            basic(&format!("any:{TOKEN}")),
        ] {
            assert!(knows(right.as_bytes(), TOKEN), "{right}");
        }
        for wrong in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            TOKEN.into(),
            format!("Bearer {TOKEN}x"),
            format!("Bearer {}", &TOKEN[..17]),
            format!("Token {TOKEN}"),
            basic(TOKEN),
            basic("any:"),
            "Basic %%%".into(),
        ] {
            assert!(!knows(wrong.as_bytes(), TOKEN), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_keeps_no_secret_is_refused() {
        let folder = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        let set = |text: &str, mode: u32| {
            std::fs::write(&folder, text).unwrap();
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&folder).map_err(|error| error.to_string())
        };
        assert_eq!(
            set("0123456789abcdef\n", 0o640),
            Ok("0123456789abcdef".into())
        );
        assert!(
            set("0123456789abcdef\n", 0o644)
                .unwrap_err()
                .contains("chmod")
        );
        for bad in ["", "short", "two words of some length", "0123456789abcdeé"] {
            assert!(
                set(bad, 0o600).unwrap_err().contains("at least 16"),
                "{bad}"
            );
        }
        std::fs::remove_file(&folder).unwrap();
        assert!(read(&folder).is_err());
    }
}
