# Stands before Python's own .venv/bin/activate, with the project's folder in fashion_root: sets the defaults for every
# variable that is not set already. `deactivate` takes back those that it set, unless they were changed since.
fashion_script=${BASH_SOURCE-}
[ -z "${ZSH_VERSION-}" ] || eval 'fashion_script=${(%):-%x}'
# Other shells do not say which file they read; it is taken for the one that lies here, if there is one.
[ -n "$fashion_script" ] || [ ! -f .venv/bin/activate ] || fashion_script=.venv/bin/activate
fashion_here=$fashion_root
[ -z "$fashion_script" ] || fashion_here=$(CDPATH='' cd -- "$(dirname -- "$fashion_script")/../.." >/dev/null && pwd -P)
unset fashion_script
if [ "$fashion_here" != "$fashion_root" ]; then
    echo "error: this environment was made for $fashion_root, not for $fashion_here; make one of its own: make setup" >&2
    unset fashion_root fashion_here
    return 1
fi
unset fashion_here

fashion_set_default() {
    if eval "[ -z \"\${$1+set}\" ]"; then
        export "$1=$2"
        _FASHION_SET="$_FASHION_SET$1=$2
"
    fi
}

# Python knows how the defaults are read; it answers with a call of the function above for each variable.
fashion_set_defaults() {
    export _FASHION_SET=
    eval "$("$fashion_root/.venv/bin/python" -I -X utf8 "$fashion_root/src/fashion/defaults.py" "$fashion_root")"
}

# What Tab offers after `fashion`, as `fashion --show-completion` prints it; nothing is written into the home folder.
fashion_complete() {
    case $- in
        *i*) ;;
        *) return ;;
    esac
    if [ -n "${BASH_VERSION-}" ] && [ -f "$fashion_root/.venv/completion.bash" ]; then
        . "$fashion_root/.venv/completion.bash"
    elif [ -n "${ZSH_VERSION-}" ] && command -v compdef >/dev/null && [ -f "$fashion_root/.venv/completion.zsh" ]; then
        . "$fashion_root/.venv/completion.zsh"
    fi
}

# Called by `deactivate`, which every activation begins with: also for what another clone, or the shell around, has set.
fashion_take_back() {
    while IFS='=' read -r fashion_name fashion_value; do
        if [ -n "$fashion_name" ] && eval "[ \"\${$fashion_name-}\" = \"\$fashion_value\" ]"; then
            unset "$fashion_name"
        fi
    done <<EOF
${_FASHION_SET-}
EOF
    unset _FASHION_SET fashion_name fashion_value
    if command -v _fashion_completion >/dev/null; then
        if [ -n "${BASH_VERSION-}" ]; then complete -r fashion; else compdef -d fashion; fi
        unset -f _fashion_completion
    fi
}

