# Sourced by quickstart.sh, test.sh and .ci/run: what a fresh Debian 12 machine
# lacks is installed, or named with the command that installs it.

# need_debian COMMAND-OR-FILE=PACKAGE...: installs the packages whose command or
# file is missing, as root or with sudo.
need_debian() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local sudo=
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            sudo=sudo
        else
            echo "Missing on this machine, and we are neither root nor may use sudo. Please install:" >&2
            echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
            exit 2
        fi
    fi
    echo "Installing Debian packages: ${missing[*]}"
    $sudo apt-get -qq update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "${missing[@]}" >/dev/null
}

# need_rust: cargo of at least the workspace's rust-version.
need_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null 2>&1; then
        if [ -x "$HOME/.cargo/bin/cargo" ]; then
            PATH=$HOME/.cargo/bin:$PATH
        else
            echo "Missing: the Rust toolchain, version $wanted or later (cargo is not on the PATH)." >&2
            exit 2
        fi
    fi
    have=$(cargo --version | awk '{print $2}')
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        echo "Rust $wanted or later is needed, this is $have." >&2
        exit 2
    fi
    # What `cargo install` makes must be found.
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    export PATH
}

# as_postgres COMMAND...: servers refuse to run as root, so root runs them as postgres.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        # The caller's directory may be one that postgres may not look into.
        setpriv --reuid=postgres --regid=postgres --init-groups env -C / HOME=/ "$@"
    else
        "$@"
    fi
}
