# For the scripts beside it: starts `app up` without a worker in a folder of its own ($data, ended with $up), says where the API is ($api), and
# sets what `app work` needs. Whoever sources it has a trap that removes $data and ends $up.
app=$(realpath "${CARGO_TARGET_DIR:-target}/release/app")
data=$(mktemp -d)
DATA_DIR=$data PORT=0 S3_PORT=0 "$app" up --workers 0 >"$data/log" 2>&1 &
up=$!
until api=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$data/log"); [ -n "$api" ]; do kill -0 $up; sleep 0.1; done
export DATABASE_URL="postgres://app@localhost/app?host=$data/pg/run"
AWS_S3_ENDPOINT_URL=$(sed -n 's/.*objects: \(http:..[^/]*\).*/\1/p' "$data/log")
AWS_ACCESS_KEY_ID=$(sed -n 1p "$data/s3-credentials") AWS_SECRET_ACCESS_KEY=$(sed -n 2p "$data/s3-credentials")
export AWS_S3_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_STORAGE_BUCKET_NAME=docreader
sql() { psql -qAt -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "$1"; }
