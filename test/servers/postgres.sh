#!/usr/bin/env bash
# A real PostgreSQL for tests, on loopback.
#
#   test/servers/postgres.sh start DIR    prints the DSN of a superuser once it answers (about 2 s)
#   test/servers/postgres.sh stop DIR     ends it, sessions included; the next start of DIR finds its data
#   test/servers/postgres.sh down DIR     ends it and removes DIR
#
# Port: BRONZE_POSTGRES_PORT (15432). It has to be the one in the DSN, so a DIR keeps the port of its first start.
# TLS is offered and not asked for: certificate for localhost and 127.0.0.1, by the authority DIR/ca.crt.
#
# PostgreSQL refuses to run as root: for root it runs as `postgres`, or as `nobody` where there is no such user, who has
# to be able to reach DIR. Debian's package `postgresql` puts its programs into /usr/lib/postgresql/VERSION/bin, which is
# not in PATH.
# What it must never do: listen beyond loopback, or keep anything that matters; nothing is fsynced.
SERVER=postgres
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Of the newest release that is installed.
program() {
  local found
  found=$(command -v "$1" || find /usr/lib/postgresql/*/bin -name "$1" 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] && printf '%s\n' "$found"
}

# as_server COMMAND...: as the user that the server runs as, from a folder that everybody can read.
as_server() {
  local user=postgres
  cd /
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
    return
  fi
  id "$user" >/dev/null 2>&1 || user=nobody
  setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME=/ "$@"
}

# certificates DIR: an authority, and a certificate by it.
certificates() {
  local dir=$1
  local new=(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650)
  as_server "${new[@]}" -keyout "$dir/ca.key" -out "$dir/ca.crt" -subj '/CN=Bronze Copier tests' \
    -addext keyUsage=critical,keyCertSign
  as_server "${new[@]}" -keyout "$dir/server.key" -out "$dir/server.crt" -subj /CN=localhost \
    -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1
}

make() {
  local dir=$1 port=$2
  rm -rf "${dir:?}"/{data,ca.key,ca.crt,server.key,server.crt,password,log}
  printf 'testpassword\n' >"$dir/password"
  [ "$(id -u)" -ne 0 ] || chown -R "$(as_server id -u)" "$dir"
  as_server test -w "$dir" || fail "$(as_server id -un) cannot reach $dir: give its parents mode 711"
  quietly 'making the certificates' certificates "$dir"
  quietly 'making the cluster' as_server "$(program initdb)" -D "$dir/data" -U postgres -A scram-sha-256 \
    --pwfile="$dir/password" -E UTF8 --locale=C.UTF-8 --no-sync
  as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 50
shared_buffers = 32MB
fsync = off
full_page_writes = off
ssl = on
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
timezone = 'Etc/UTC'
CONF
  printf 'postgres://postgres:testpassword@127.0.0.1:%s/postgres\n' "$port" >"$dir/dsn"
}

# control DIR ACTION...
control() {
  local dir=$1
  shift
  as_server "$(program pg_ctl)" -D "$dir/data" -w -t 60 -s "$@"
}

runs() { [ -s "$1/dsn" ] && control "$1" status >/dev/null 2>&1; }

start() {
  local dir port
  dir=$(server_folder "$1" .postgres)
  if runs "$dir"; then
    cat "$dir/dsn"
    return
  fi
  program initdb >/dev/null || install_missing postgresql
  command -v openssl >/dev/null || install_missing openssl
  # What a start that was interrupted has left is no cluster.
  [ -s "$dir/dsn" ] || make "$dir" "${BRONZE_POSTGRES_PORT:-15432}"
  port=$(sed 's/.*:\([0-9]*\)\/.*/\1/' "$dir/dsn")
  want_free "$port"
  # Whatever it has open is its own: who reads this script's output would wait for the server's end.
  quietly "starting; see $dir/log" control "$dir" start -l "$dir/log"
  cat "$dir/dsn"
}

stop() {
  local dir=$1
  if runs "$dir"; then control "$dir" stop -m fast || control "$dir" stop -m immediate; fi
}

case "${1:-} ${2:+DIR}" in
  'start DIR') start "$2" ;;
  'stop DIR') [ ! -d "$2" ] || stop "$(cd "$2" && pwd -P)" ;;
  'down DIR')
    if [ -e "$2/.postgres" ]; then
      dir=$(cd "$2" && pwd -P)
      stop "$dir"
      rm -rf "$dir"
    fi
    ;;
  *) fail 'usage: postgres.sh start|stop|down DIR' ;;
esac
