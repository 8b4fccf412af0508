# sh setup.sh LOCK [PYTHON]: make .venv, or bring it in step with LOCK. What testing needs is added, and never removed.
# .venv/.installed, written last, says for which folder and Python the environment was made, and from which files:
# another folder or Python makes a new one, other files change what they ask for. While that goes on, it names no files.
set -eu
lock=$1
python=${2-}
# Settings made for other environments. Only where packages come from is the user's: one address for pip and uv.
unset PYTHONHOME PYTHONPATH UV_PYTHON UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_WORKING_DIR UV_WORKING_DIRECTORY \
    UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_EXCLUDE_NEWER UV_BUILD_CONSTRAINT UV_REQUIRE_HASHES
index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-}}}
certificates=${SSL_CERT_FILE:-${PIP_CERT:-}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

is_supported() {
    "$1" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

refuse() {
    echo "error: $1; expected Python 3.11 to 3.13 with its module venv (Debian: apt-get install python3-venv)." >&2
    echo "Name one that is installed: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
}

if [ -z "$python" ]; then
    for candidate in .venv/bin/python python3 python3.11 python3.12 python3.13; do
        if is_supported "$candidate"; then python=$candidate && break; fi
    done
    [ -n "$python" ] || refuse "no Python found that will do"
fi
if ! is_supported "$python"; then
    version=$("$python" --version 2>&1) || version="not Python"
    refuse "$python is $version"
fi

facts=$("$python" -c '
import hashlib, os, platform, sys
files = b"".join(open(name, "rb").read() for name in sys.argv[1:])
print("folder", os.getcwd())
print("python", platform.python_version())
print("files", hashlib.sha256(files).hexdigest())
' requirements.lock requirements-dev.lock pyproject.toml setup.sh slim.sh activate.sh)
installed=$(cat .venv/.installed 2>/dev/null || :)
case $installed in *requirements-dev.lock) lock=requirements-dev.lock ;; esac
[ "$installed" != "$facts
$lock" ] || exit 0

note() {
    echo "$1
$lock" >.venv/installed.new
    mv .venv/installed.new .venv/.installed
}

# The interpreter of which .venv is made, also when it was found by way of .venv itself.
base=$("$python" -c 'import sys; print(sys._base_executable)')
way=sync
if [ "${installed%files *}" != "${facts%files *}" ]; then
    echo "Setting up .venv for $(pwd -P) with $("$base" --version)"
    [ ! -f benchmarks/first_run.json ] || "$base" -c '
import json
with open("benchmarks/first_run.json", encoding="utf-8") as file:
    measured = json.load(file)
setup, processor, cores = measured["setup"], measured["machine"]["processor"], measured["machine"]["cores"]
minutes, megabytes, gigabytes = setup["seconds"] / 60, setup["download_bytes"] / 1e6, setup["disk_bytes"] / 1e9
print(
    f"It takes about {round(2 * minutes) / 2:g} minutes ({processor}, {cores} cores), downloads {megabytes:.0f} MB of "
    f"packages, and needs {gigabytes:.2g} GB of disk; what testing needs comes on top."
)'
    [ ! -d .venv ] || find .venv/ -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +
    "$base" -m venv .venv
    sed -n '/^uv==/,/[^\\]$/p' requirements.lock | .venv/bin/python -m pip --isolated install --quiet --no-cache-dir \
        --disable-pip-version-check --no-deps --require-hashes ${index:+-i "$index"} \
        ${certificates:+--cert "$certificates"} --requirement /dev/stdin
elif [ "${installed%
*}" = "$facts" ]; then
    way="install --requirements"
else
    # Interrupted, this leaves packages of two lists: in step with neither, whichever files are there next time.
    note "${facts%files *}files changing"
fi
uv() { .venv/bin/uv pip "$@" --python .venv/bin/python; }
# shellcheck disable=SC2086
uv $way "$lock" --compile-bytecode --require-hashes
sh slim.sh .venv/lib/python*/site-packages
uv install --no-deps --no-build-isolation --editable .

"$base" -m venv --without-pip .venv # Writes Python's own .venv/bin/activate again.
{
    echo "fashion_root='$(pwd -P | sed "s/'/'\\\\''/g")'"
    cat activate.sh
    sed 's/^deactivate () {/& fashion_take_back;/' .venv/bin/activate
    echo 'fashion_set_defaults; fashion_complete'
    echo 'unset -f fashion_set_default fashion_set_defaults fashion_complete; unset fashion_root'
} >.venv/activate.new
mv .venv/activate.new .venv/bin/activate
for shell in bash zsh; do
    [ ! -f .venv/bin/fashion ] || _FASHION_COMPLETE=source_$shell .venv/bin/fashion >.venv/completion.$shell
done
mkdir -p .state
note "$facts"
