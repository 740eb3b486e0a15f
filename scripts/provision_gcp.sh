#!/usr/bin/env bash
# Make what the hub needs on Google Cloud, as far as it is not there yet; a second run changes nothing.
#
#   scripts/provision_gcp.sh --project=ID --ssh-from=CIDR [--region=R] [--zone=Z] [--tier=T] [--redis] [--dry-run]
#
# --project   an existing project with billing; your account needs roles/owner, or the admin roles of
#             Compute, Cloud SQL, Storage, Secret Manager, Artifact Registry, service accounts and IAM
# --ssh-from  from which addresses `ray up` reaches the nodes, as 198.51.100.7/32
# --region    default europe-west1; --zone default its zone b
# --tier      of Cloud SQL, default db-custom-2-7680
# --redis     also a Memorystore instance: the shared embedding cache, and the head's memory on Kubernetes
# --dry-run   print every command as on an empty project, run none; needs no gcloud. What it prints is
#             itself a script.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=hub
region=europe-west1
zone=
tier=db-custom-2-7680
project=
ssh_from=
redis=
dry_run=

fail() {
  echo "provision_gcp.sh: $1" >&2
  exit 2
}

for given in "$@"; do
  case $given in
    --project=*) project=${given#*=} ;;
    --region=*) region=${given#*=} ;;
    --zone=*) zone=${given#*=} ;;
    --tier=*) tier=${given#*=} ;;
    --ssh-from=*) ssh_from=${given#*=} ;;
    --redis) redis=yes ;;
    --dry-run) dry_run=yes ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) fail "It does not know $given; --help says what it knows." ;;
  esac
done
zone=${zone:-$region-b}
[[ -n $project ]] || fail "Which project? Give --project=ID."
[[ $project =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] \
  || fail "'$project' is no project id: 6 to 30 lowercase letters, digits and hyphens."
[[ $region =~ ^[a-z]+-[a-z]+[0-9]+$ ]] || fail "'$region' is no region; one is europe-west1."
[[ $zone == "$region"-[a-z] ]] || fail "'$zone' is no zone of $region; one is $region-b."
[[ $tier =~ ^db-[a-z0-9-]+$ ]] || fail "'$tier' is no tier of Cloud SQL; one is db-custom-2-7680."
[[ $ssh_from =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/([89]|[12][0-9]|3[0-2])$ ]] \
  || fail "From where may SSH come? Give --ssh-from=CIDR, not wider than /8; your own address is ADDRESS/32."

bucket=gs://$project-$name
lifecycle=$root/deploy/storage-lifecycle.json
roles=$root/deploy/sql/roles.sql
for file in "$lifecycle" "$roles" "$root/cluster.yaml"; do
  [[ -f $file ]] || fail "$file is missing; run this from a whole checkout."
done
account() { echo "$name-$1@$project.iam.gserviceaccount.com"; }

if [[ -z $dry_run ]]; then
  command -v gcloud >/dev/null \
    || fail "gcloud is not installed: https://cloud.google.com/sdk/docs/install, or look with --dry-run."
  gcloud projects describe "$project" >/dev/null 2>&1 \
    || fail "Project $project cannot be seen: 'gcloud auth login', or correct --project."
fi

# shellcheck source=scripts/ensure_gcloud.sh
source "$root/scripts/ensure_gcloud.sh"

ensure_apis() {
  local wanted=(aiplatform artifactregistry cloudbuild compute firestore iam logging monitoring secretmanager
    sqladmin storage) enabled='' missing=() api
  [[ -z $redis ]] || wanted+=(redis)
  if [[ -z $dry_run ]]; then
    enabled=$(gcloud services list --enabled --project="$project" --format='value(config.name)')
  fi
  for api in "${wanted[@]}"; do
    grep -qxF "$api.googleapis.com" <<<"$enabled" || missing+=("$api.googleapis.com")
  done
  if [[ ${#missing[@]} == 0 ]]; then
    say "there    APIs"
  else
    say "making   APIs: ${missing[*]}"
    run gcloud services enable "${missing[@]}" --project="$project" --quiet
  fi
}

# Files for this project, from those written for my-project in europe-west1.
render() {
  local from=$root/$1 into=$root/.hub/gcp/${1##*/}
  local change=(sed -e "s/europe-west1-b/$zone/g" -e "s/europe-west1/$region/g" -e "s/my-project/$project/g" "$from")
  if [[ -n $dry_run ]]; then
    say "making   $into"
    show mkdir -p "${into%/*}"
    printf '%s > %q\n' "$(show "${change[@]}")" "$into"
  elif [[ -f $into ]] && "${change[@]}" | cmp -s - "$into"; then
    say "there    $into"
  else
    say "making   $into"
    mkdir -p "${into%/*}"
    "${change[@]}" >"$into"
  fi
}

set_lifecycle() {
  run gcloud storage buckets update "$bucket" --versioning --lifecycle-file="$lifecycle" \
    --project="$project" --quiet
}

import_roles() {
  local sql=$bucket/provisioned/roles.sql
  run gcloud storage cp "$roles" "$sql" --project="$project" --quiet
  run gcloud sql import sql "$name" "$sql" --database="$name" --user=postgres --project="$project" --quiet
}

ensure_apis
[[ -n $dry_run ]] || gcloud compute regions describe "$region" --project="$project" >/dev/null 2>&1 \
  || fail "Google Cloud has no region $region; 'gcloud compute regions list' names them."

ensure "network $name" compute networks describe "$name" -- \
  compute networks create "$name" --subnet-mode=custom
ensure "subnet $name" compute networks subnets describe "$name" --region="$region" -- \
  compute networks subnets create "$name" --network="$name" --region="$region" --range=10.10.0.0/20 \
  --enable-private-ip-google-access
ensure "firewall: nodes among themselves" compute firewall-rules describe "$name-nodes" -- \
  compute firewall-rules create "$name-nodes" --network="$name" --source-tags="$name" --target-tags="$name" \
  --allow=tcp,udp,icmp
ensure "firewall: SSH from $ssh_from" compute firewall-rules describe "$name-ssh" -- \
  compute firewall-rules create "$name-ssh" --network="$name" --source-ranges="$ssh_from" \
  --target-tags="$name" --allow=tcp:22
# The ranges of Google's load balancers and their health checks; HAProxy is all that they reach.
ensure "firewall: load balancer to HAProxy" compute firewall-rules describe "$name-http" -- \
  compute firewall-rules create "$name-http" --network="$name" \
  --source-ranges=130.211.0.0/22,35.191.0.0/16 --target-tags="$name" --allow=tcp:8000

for who in head worker build; do
  ensure "service account $name-$who" iam service-accounts describe "$(account "$who")" -- \
    iam service-accounts create "$name-$who" --display-name="Student Resource Hub: $who"
done

ensure "bucket $bucket" storage buckets describe "$bucket" -- \
  storage buckets create "$bucket" --location="$region" --uniform-bucket-level-access \
  --public-access-prevention
once "lifecycle-$(digest "$lifecycle")" "versioning and lifecycle of $bucket" set_lifecycle
ensure "Artifact Registry repository $name" artifacts repositories describe "$name" --location="$region" -- \
  artifacts repositories create "$name" --location="$region" --repository-format=docker \
  --description="The hub's images"

for secret in secret ray-token database-owner database-app database-report; do
  ensure_secret "$name-$secret"
done

# The proxy is the only way in: an address for it, no network that is let in, connectors enforced.
# pgvector needs no flag of its own, memory for building its index helps it. cluster.yaml's largest
# cluster holds fewer connections than max_connections.
ensure "Cloud SQL instance $name" sql instances describe "$name" -- \
  sql instances create "$name" --database-version=POSTGRES_16 --edition=enterprise --tier="$tier" \
  --region="$region" --availability-type=regional --storage-auto-increase --backup-start-time=02:00 \
  --enable-point-in-time-recovery --retained-backups-count=14 --deletion-protection \
  --connector-enforcement=REQUIRED --ssl-mode=ENCRYPTED_ONLY \
  --database-flags=cloudsql.iam_authentication=on,max_connections=200,maintenance_work_mem=262144
ensure "database $name" sql databases describe "$name" --instance="$name" -- \
  sql databases create "$name" --instance="$name"
# The extension, the users and what each may: as SQL, read by the instance from the bucket.
ask_account=(gcloud sql instances describe "$name" --project="$project" --format='value(serviceAccountEmailAddress)')
if [[ -n $dry_run ]]; then
  # shellcheck disable=SC2016
  printf 'sql_account=$(%s)\n' "$(show "${ask_account[@]}")"
  sql_account=\$sql_account
else
  sql_account=$("${ask_account[@]}")
fi
grant "serviceAccount:$sql_account" roles/storage.objectViewer storage buckets "$bucket"
once "$sql_account-roles-$(digest "$roles")" "extension vector, the database's users and their rights" import_roles
for user in owner app report; do
  ensure_password "${name}_$user" "$name-database-$user"
done

if [[ -n $redis ]]; then
  ensure "Redis $name" redis instances describe "$name" --region="$region" -- \
    redis instances create "$name" --region="$region" --network="$name" --size=1 --tier=standard
fi

# As little as each needs, on the resource itself where it can be.
member() { echo "serviceAccount:$(account "$1")"; }
for who in head worker; do
  for role in cloudsql.client logging.logWriter monitoring.metricWriter aiplatform.user; do
    grant "$(member "$who")" "roles/$role" projects "$project"
  done
  grant "$(member "$who")" roles/storage.objectUser storage buckets "$bucket"
  for secret in secret ray-token database-app; do
    grant "$(member "$who")" roles/secretmanager.secretAccessor secrets "$name-$secret"
  done
done
# The head makes and removes workers, migrates the schema, and reads the legacy Firestore.
grant "$(member head)" roles/compute.instanceAdmin.v1 projects "$project"
grant "$(member head)" roles/iam.serviceAccountUser iam service-accounts "$(account worker)"
grant "$(member head)" roles/datastore.viewer projects "$project"
grant "$(member head)" roles/secretmanager.secretAccessor secrets "$name-database-owner"
repository=projects/$project/locations/$region/repositories/$name
grant "$(member worker)" roles/artifactregistry.reader artifacts repositories "$repository"
grant "$(member build)" roles/artifactregistry.writer artifacts repositories "$repository"
grant "$(member build)" roles/storage.objectUser storage buckets "$bucket"
grant "$(member build)" roles/logging.logWriter projects "$project"

render cluster.yaml
render deploy/kuberay/rayservice.yaml
render deploy/kuberay/nightly.yaml
say "Next: README, \"Run it on Google Cloud\"."
