# shellcheck shell=bash
# What the scripts of this folder share: messages, Debian packages, waiting, stopping. Sourced, never run.
# Standard output belongs to the endpoint alone; everything else goes to standard error.

set -euo pipefail

fail() {
  printf '%s: %s\n' "$SERVER" "$*" >&2
  exit 1
}

# The absolute path of the server's folder; made when it is not there. A folder of somebody else's is never touched.
server_folder() {
  local folder=$1 mark=$2
  mkdir -p "$folder" || fail "cannot make the folder $folder"
  folder=$(cd "$folder" && pwd -P)
  if [ -n "$(ls -A "$folder")" ] && [ ! -e "$folder/$mark" ]; then
    fail "$folder is not empty and was not made by this script"
  fi
  : >"$folder/$mark"
  printf '%s\n' "$folder"
}

# install_missing PACKAGE...: installs those that are not there. One at a time on a machine: apt has locks of its own,
# but its update fails on them instead of waiting.
install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || fail "needs the Debian packages ${missing[*]}, and there is no apt-get here"
  [ "$(id -u)" -eq 0 ] || fail "needs the Debian packages ${missing[*]}; only root can install them"
  quietly 'apt-get update' flock /tmp/bronze-test-servers.lock apt-get update -qq
  quietly "installing ${missing[*]}" flock /tmp/bronze-test-servers.lock \
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# quietly WHAT COMMAND...: says nothing while it works; when it does not, fails with the command's last words.
quietly() {
  local what=$1 words
  shift
  words=$("$@" 2>&1) || fail "$what: $(tail -n 5 <<<"$words")"
}

# want_free PORT: somebody else's server would answer in the place of the one that is about to be started.
want_free() {
  if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then fail "port $1 is taken"; fi
}

# wait_until SECONDS WHAT COMMAND...: tries until the command succeeds.
wait_until() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail "$what"
    sleep 0.2
  done
}

# True where PIDFILE names a living process of this folder: a process id is used again, a folder's name is not.
alive() {
  local pidfile=$1 folder=$2 pid
  [ -s "$pidfile" ] || return 1
  pid=$(tr -dc 0-9 <"$pidfile")
  [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$folder/"
}

# stop_process PIDFILE FOLDER: asks, waits ten seconds, then insists.
stop_process() {
  local pidfile=$1 folder=$2 pid tries
  if alive "$pidfile" "$folder"; then
    pid=$(tr -dc 0-9 <"$pidfile")
    kill "$pid" 2>/dev/null || true
    for ((tries = 0; tries < 50; tries++)); do
      alive "$pidfile" "$folder" || break
      sleep 0.2
    done
    if alive "$pidfile" "$folder"; then kill -9 "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$pidfile"
}
