#!/bin/sh
# Makes .venv hold what uv.lock names. Needs Python 3.11 or 3.12 and a package registry; installs nothing outside this folder.
#
# uv itself: the one on the PATH, or one put into .tools/. Python: one that is here, because uv would have to download
# its own from GitHub, which not every network lets through.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

right_version() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null
}

find_python() {
    for name in python3.11 python3.12 python3 python; do
        path=$(command -v "$name" 2>/dev/null) || continue
        if right_version "$path"; then
            printf '%s' "$path"
            return
        fi
    done
}

find_uv() {
    for path in "$(command -v uv 2>/dev/null || true)" .tools/bin/uv; do
        # A version manager's stand-in may be on the PATH without a uv behind it.
        if [ -n "$path" ] && "$path" --version >/dev/null 2>&1; then
            printf '%s' "$path"
            return
        fi
    done
}

install_uv() {
    any_python=${python:-$(command -v python3 || command -v python || true)}
    if [ -z "$any_python" ]; then
        say "There is no Python here. Install Python 3.11 or 3.12 (Debian, Ubuntu: apt-get install python3 python3-venv)."
        exit 1
    fi
    say "Installing uv into .tools/ ..."
    if "$any_python" -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv; then
        return
    fi
    # Debian without python3-venv may still have pip; a folder of our own is no business of the system's packages.
    if "$any_python" -m pip install --quiet --disable-pip-version-check --target .tools --upgrade uv; then
        return
    fi
    say "uv cannot be installed: this Python has neither venv nor pip, or the package registry is out of reach."
    say "Install it (Debian, Ubuntu: apt-get install python3-venv), or uv itself: https://docs.astral.sh/uv/"
    exit 1
}

python=$(find_python)
uv=$(find_uv)
if [ -z "$uv" ]; then
    install_uv
    uv=.tools/bin/uv
fi
if [ -n "$python" ]; then
    UV_PYTHON=$python
    export UV_PYTHON
else
    say "No Python 3.11 or 3.12 is here: uv will try to download one."
fi
if ! "$uv" sync --locked --extra demo "$@"; then
    # Behind a proxy that inspects TLS, the registry's certificate is one that only the system knows.
    say "Trying once more with the system's certificates ..."
    UV_SYSTEM_CERTS=true "$uv" sync --locked --extra demo "$@"
fi
