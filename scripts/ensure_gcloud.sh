# shellcheck shell=bash disable=SC2016,SC2154
# Commands of gcloud that are run only when what they make is not there: for scripts/provision_gcp.sh,
# whose $project, $name, $bucket, $lifecycle and $dry_run it reads. What it says goes to standard error; a dry run
# prints the commands, and nothing else, to standard output.

digest() { sha256sum "$1" | cut -c1-16; }
say() { printf '%s\n' "$*" >&2; }
show() { # one command as a shell reads it
  local words
  printf -v words '%q ' "$@"
  words=${words% }
  printf '%s\n' "${words//\\\$sql_account/\"\$sql_account\"}"
}
run() { if [[ -n $dry_run ]]; then show "$@"; else "$@"; fi; }

# ensure WHAT CHECK... -- COMMAND...: run the command unless the check, both of gcloud, succeeds.
ensure() {
  local what=$1 check=()
  shift
  while [[ $1 != -- ]]; do
    check+=("$1")
    shift
  done
  shift
  if [[ -z $dry_run ]] && gcloud "${check[@]}" --project="$project" >/dev/null 2>&1; then
    say "there    $what"
  else
    say "making   $what"
    run gcloud "$@" --project="$project" --quiet
  fi
}

# once MARK WHAT COMMAND...: for what Google Cloud cannot be asked about; an object in the bucket remembers it.
once() {
  local mark=$bucket/provisioned/$1 what=$2
  shift 2
  if [[ -z $dry_run ]] && gcloud storage objects describe "$mark" --project="$project" >/dev/null 2>&1; then
    say "there    $what"
  else
    say "making   $what"
    "$@"
    run gcloud storage cp "$lifecycle" "$mark" --project="$project" --quiet
  fi
}

# grant MEMBER ROLE GROUP...: on the one resource that GROUP names, `secrets get-iam-policy NAME` without its verb.
grant() {
  local member=$1 role=$2 group=("${@:3:$#-3}") resource=${*: -1} held=
  if [[ -z $dry_run ]]; then
    held=$(gcloud "${group[@]}" get-iam-policy "$resource" --project="$project" \
      --flatten='bindings[].members' --format='csv[no-heading](bindings.role,bindings.members)')
  fi
  if grep -qxF -- "$role,$member" <<<"$held"; then
    say "there    $role of $member on $resource"
  else
    say "making   $role of $member on $resource"
    run gcloud "${group[@]}" add-iam-policy-binding "$resource" --member="$member" --role="$role" \
      --project="$project" --condition=None --format=none --quiet
  fi
}

# A secret is made of random bytes and goes from pipe to pipe: in no argument, no file, no log.
ensure_secret() {
  local make=(gcloud secrets create "$1" --replication-policy=automatic --data-file=- --project="$project" --quiet)
  if [[ -z $dry_run ]] && gcloud secrets describe "$1" --project="$project" >/dev/null 2>&1; then
    say "there    secret $1"
    return
  fi
  say "making   secret $1"
  if [[ -n $dry_run ]]; then
    printf '%s' "openssl rand -hex 32 | tr -d '\n' | " && show "${make[@]}"
  else
    openssl rand -hex 32 | tr -d '\n' | "${make[@]}"
  fi
}

# set_password USER SECRET: of a user that roles.sql made.
set_password() {
  local set=(gcloud sql users set-password "$1" --instance="$name" --project="$project" --quiet)
  local read=(gcloud secrets versions access latest --secret="$2" --project="$project")
  if [[ -n $dry_run ]]; then
    printf '%s --flags-file=<(printf "--password: %%s" "$(%s)")\n' "$(show "${set[@]}")" "$(show "${read[@]}")"
  else
    "${set[@]}" --flags-file=<(printf -- '--password: %s' "$("${read[@]}")")
  fi
}

# ensure_password USER SECRET: again when the secret has a newer version.
ensure_password() {
  local version=1
  if [[ -z $dry_run ]]; then
    version=$(gcloud secrets versions describe latest --secret="$2" --project="$project" --format='value(name)')
  fi
  once "$sql_account-$1-${version##*/}" "password of $1" set_password "$1" "$2"
}
