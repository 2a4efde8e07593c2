#!/usr/bin/env bash
# A second S3 server for tests: moto, which enforces If-None-Match on PutObject and on CompleteMultipartUpload (412).
#
#   test/servers/moto.sh start DIR    prints the endpoint once it answers; packages, log and pid under DIR
#   test/servers/moto.sh stop DIR     ends it; the unpacked packages in DIR stay, for the next start
#
# It accepts any credentials and keeps everything in memory: it proves conditions, not security, and forgets all when it
# ends. Port: BRONZE_MOTO_PORT (15002). Debian's moto is in trixie and later (BRONZE_MOTO_SUITE); its packages are of
# no architecture, so they are unpacked into DIR and run with this machine's Python and its Debian libraries; nothing of
# trixie is installed. Three things of trixie's moto (5.1.1) are mended to what AWS does, see mend(). moto 5.1.18 must not be used: it gives multipart objects wrong checksums.
# What it must never do: listen beyond loopback.
SERVER=moto
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PORT=${BRONZE_MOTO_PORT:-15002}
SUITE=${BRONZE_MOTO_SUITE:-trixie}
ENDPOINT=http://127.0.0.1:$PORT

# The machine's own Debian mirror, in either notation of apt's sources.
mirror() {
  local sources
  sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z]+:\/\//) { print $i; exit } }' \
    <<<"$sources"
}

# mend S3-FOLDER. What tests of conditions and of aborted uploads cannot do without:
# - If-None-Match on CompleteMultipartUpload counted only over objects that one request had put, not over those that
#   an upload had made (moto has mended that itself since, seen in 5.2.4);
# - completing an upload that was aborted, or adding to it, was a KeyError, so 500, where AWS says 404 NoSuchUpload;
# - between looking whether an object is there and putting it another thread could do the same, so that two requests with
#   If-None-Match won (seen once in dozens of runs): requests on objects are answered one at a time, once they are read.
mend() {
  local s3=$1
  sed -i 's/if existing is not None and existing.multipart is None:/if existing is not None and (existing.multipart is None or existing.multipart.id != query["uploadId"][0]):/' \
    "$s3/responses.py"
  sed -i 's/^\( *\)multipart = bucket.multiparts\[multipart_id\]$/\1if multipart_id not in bucket.multiparts:\n\1    raise NoSuchUpload(upload_id=multipart_id)\n&/' \
    "$s3/models.py"
  sed -i 's/^\( *\)response = self\._key_response(request, full_url)$/\1with ONE_AT_A_TIME:\n\1    response = self._key_response(request, full_url)/' \
    "$s3/responses.py"
  sed -i '0,/^import /s//from threading import RLock\n\nONE_AT_A_TIME = RLock()\nimport /' "$s3/responses.py"
  grep -q 'with ONE_AT_A_TIME:' "$s3/responses.py" || fail "moto of $SUITE is not as it is known: key_response"
  grep -q 'existing.multipart.id != query\|If-None-Match") == "\*" and existing is not None' "$s3/responses.py" ||
    fail "moto of $SUITE is not as it is known: If-None-Match on CompleteMultipartUpload"
}

unpack() {
  local dir=$1 base deb
  base=$(mirror)
  [ -n "$base" ] || fail 'no Debian mirror in /etc/apt'
  rm -rf "${dir:?}"/{apt,debs,root,unpacking}
  mkdir -p "$dir"/apt/{lists,archives}/partial "$dir/debs"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$base" "$SUITE" \
    >"$dir/apt/sources.list"
  # An apt of its own: the machine's lists, cache and status are neither read nor written.
  local own=(
    -qq -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt" -o Dir::State::status=/dev/null
    -o APT::Sandbox::User=root
  )
  quietly "reading $SUITE's package lists from $base" apt-get "${own[@]}" update
  (cd "$dir/debs" && quietly "downloading moto of $SUITE" apt-get "${own[@]}" download \
    python3-moto python3-boto3 python3-botocore python3-s3transfer python3-responses)
  for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/unpacking"; done
  mend "$dir/unpacking/usr/lib/python3/dist-packages/moto/s3"
  # Under its name only when whole: a start that was interrupted is not taken for a finished one.
  mv "$dir/unpacking" "$dir/root"
  rm -rf "${dir:?}"/{apt,debs}
}

start() {
  local dir
  dir=$(server_folder "$1" .moto)
  if alive "$dir/pid" "$dir"; then
    cat "$dir/endpoint"
    return
  fi
  want_free "$PORT"
  install_missing curl debian-archive-keyring python3 python3-flask python3-flask-cors python3-cryptography \
    python3-requests python3-xmltodict python3-jmespath python3-dateutil python3-yaml
  [ -d "$dir/root" ] || unpack "$dir"
  # The machine's own Python by its path: another one first in PATH does not see Debian's libraries.
  PYTHONPATH=$dir/root/usr/lib/python3/dist-packages setsid nohup /usr/bin/python3 -W ignore \
    "$dir/root/usr/bin/moto_server" -H 127.0.0.1 -p "$PORT" </dev/null >"$dir/log" 2>&1 &
  printf '%s\n' "$!" >"$dir/pid"
  trap 'stop_process "$dir/pid" "$dir"' EXIT
  answers() { alive "$dir/pid" "$dir" && curl -s -f -o /dev/null "$ENDPOINT/moto-api/"; }
  wait_until 30 "does not answer at $ENDPOINT; see $dir/log" answers
  trap - EXIT
  printf '%s\n' "$ENDPOINT" | tee "$dir/endpoint"
}

case "${1:-} ${2:+DIR}" in
  'start DIR') start "$2" ;;
  'stop DIR') if [ -d "$2" ]; then dir=$(cd "$2" && pwd -P) && stop_process "$dir/pid" "$dir"; fi ;;
  *) fail 'usage: moto.sh start|stop DIR' ;;
esac
