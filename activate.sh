
# Appended to .venv/bin/activate: the defaults of .env, for every variable that is not set already.
fashion_root=$(dirname "$VIRTUAL_ENV")
while IFS='=' read -r fashion_name fashion_value; do
    case "$fashion_name" in '' | \#*) continue ;; esac
    case "$fashion_value" in
        .state/*) fashion_value="$fashion_root/$fashion_value" ;;
        sqlite:///.state/*) fashion_value="sqlite:///$fashion_root/${fashion_value#sqlite:///}" ;;
    esac
    eval "[ -n \"\${$fashion_name+set}\" ] || export $fashion_name=\"\$fashion_value\""
done < "$fashion_root/.env"
unset fashion_root fashion_name fashion_value
