#!/usr/bin/env bash
# Run a command as this node's hub does: `node.sh ray start ...`, `node.sh python -m scripts.deploy`.
#
# On a machine of Google Cloud. It adds to the environment: deploy/ray.env, ~/hub.env (deploy/hub.env of
# whoever ran `ray up`), where database and bucket are, and the secrets of Secret Manager. Secrets are in
# the environment and in a file that only this user can read; never in arguments, never in a log.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
name=hub

fail() {
  echo "node.sh: $1" >&2
  exit 1
}

metadata() {
  curl -fsS --retry 5 -H "Metadata-Flavor: Google" \
    "http://metadata.google.internal/computeMetadata/v1/$1" \
    || fail "No metadata server: this is no machine of Google Cloud, or it has no service account."
}

secret() {
  gcloud secrets versions access latest --project="$project" --secret="$name-$1" \
    || fail "The secret $name-$1 cannot be read; run scripts/provision_gcp.sh --project=$project."
}

# What is set already stays: a command may be run with one setting changed.
read_settings() {
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    [[ -z $line || $line == \#* ]] && continue
    [[ $line == *=* ]] || fail "$1 has a line that is no NAME=value: $line"
    [[ -v ${line%%=*} ]] || export "${line?}"
  done <"$1"
}

[[ $# -gt 0 ]] || fail "Which command? For example: node.sh python -m scripts.deploy"

project=$(metadata project/project-id)
zone=$(metadata instance/zone)
zone=${zone##*/}

read_settings "$here/ray.env"
[[ -f ~/hub.env ]] && read_settings ~/hub.env
export HUB_HOME=${HUB_HOME:-$HOME/.hub}
export HUB_ARTIFACTS=${HUB_ARTIFACTS:-gs://$project-$name}
# Checkpoints, where the head and a training node both see them.
export HUB_TRAIN_STORAGE=${HUB_TRAIN_STORAGE:-$HUB_ARTIFACTS/training}
export HUB_VERTEX_PROJECT=${HUB_VERTEX_PROJECT:-$project}
export HUB_VERTEX_LOCATION=${HUB_VERTEX_LOCATION:-${zone%-*}}
export HF_HUB_OFFLINE=1

HUB_SECRET=${HUB_SECRET:-$(secret secret)}
user=hub_app
[[ ${NODE_DATABASE_USER:-app} == owner ]] && user=hub_owner
password=$(secret "database-${user#hub_}")
HUB_DATABASE_URL=${HUB_DATABASE_URL:-postgresql://$user:$password@127.0.0.1:5432/$name}
export HUB_SECRET HUB_DATABASE_URL

export RAY_AUTH_TOKEN_PATH=$HUB_HOME/ray/auth_token
token=$(secret ray-token)
mkdir -p "$HUB_HOME/ray"
(umask 077 && printf '%s\n' "$token" >"$RAY_AUTH_TOKEN_PATH.$$" && mv "$RAY_AUTH_TOKEN_PATH.$$" "$RAY_AUTH_TOKEN_PATH")

# Started once; systemd brings it back when it dies.
if ! systemctl is-active --quiet "$name-database"; then
  sudo systemctl reset-failed "$name-database" 2>/dev/null || true
  sudo systemd-run --quiet --unit="$name-database" --uid="$(id -u)" \
    --property=Restart=always --property=RestartSec=1 \
    "$HOME/cloud-sql-proxy" --port=5432 --structured-logs "$project:${zone%-*}:$name"
fi

export PATH=$HOME/hub/bin:$PATH
exec "$@"
