#!/usr/bin/env bash
# A real S3 server for tests: Ceph's RADOS gateway over one monitor and one OSD, on loopback, as root, without systemd.
#
#   test/servers/ceph.sh start DIR    prints the endpoint once it answers (about 20 s); data and logs under DIR
#   test/servers/ceph.sh stop DIR     ends its three processes; DIR stays, for its logs
#
# Access key `testkey`, secret `testsecret`, path style, any region. `start` begins with an empty store, unless the one
# of DIR still runs: then it is left alone and its endpoint printed. Ports: BRONZE_CEPH_PORT (15010),
# BRONZE_CEPH_MON_PORT (16789); the OSD takes free ones of 26800-26900.
#
# What it is for: it checks signatures, and Debian bookworm's Ceph (16.2) is a store whose conditions are half there:
# If-None-Match counts on PutObject, and is ignored on CompleteMultipartUpload and CopyObject. It knows no trailing
# checksums: the SDK's clients need requestChecksumCalculation and responseChecksumValidation WHEN_REQUIRED.
# What it must never do: listen beyond loopback, or keep anything that matters; one copy of the data, no authentication
# inside the cluster.
SERVER=ceph
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PORT=${BRONZE_CEPH_PORT:-15010}
MON_PORT=${BRONZE_CEPH_MON_PORT:-16789}
ENDPOINT=http://127.0.0.1:$PORT

write_config() {
  local dir=$1 fsid=$2 classes
  # The object classes are in a folder of the architecture's; Ceph's own default names another one.
  classes=$(echo /usr/lib/*/rados-classes)
  [ -d "$classes" ] || fail "Ceph's object classes are not in $classes"
  cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = [v1:127.0.0.1:$MON_PORT]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv4 = true
ms bind msgr2 = false
ms bind port min = 26800
ms bind port max = 26900
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
keyring = $dir/keyring
# A socket's path has 107 bytes at most, which folders of tests go beyond.
admin socket =

# One copy on one disk of one machine.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
# A machine for tests may be nearly full.
mon data avail warn = 1
mon data avail crit = 1

# The disk is a sparse file.
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 8589934592
osd memory target = 1073741824
osd class dir = $classes
# The OSD's own commands at its start lose a race now and then: sent before it has the monitor map, they carry no fsid
# and end it ('wrong fsid'). This script places it instead.
osd class update on start = false
osd crush update on start = false

[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
host = localhost
[client.rgw.a]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$PORT
rgw thread pool size = 64
# What tests delete is gone within minutes, not hours, or the disk fills.
rgw gc obj min wait = 60
rgw gc processor period = 60
CONF
}

start() {
  local dir conf fsid osd_uuid
  dir=$(server_folder "$1" .ceph)
  if alive "$dir/run/client.rgw.a.pid" "$dir"; then
    cat "$dir/endpoint"
    return
  fi
  stop "$dir"
  want_free "$PORT"
  want_free "$MON_PORT"
  install_missing ceph-mon ceph-osd radosgw ceph-common curl
  rm -rf "${dir:?}"/{mon,osd,rgw,run,log,keyring,monmap,ceph.conf,endpoint}
  mkdir -p "$dir"/{mon,osd,rgw,run,log}
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd_uuid=$(cat /proc/sys/kernel/random/uuid)
  conf=$dir/ceph.conf
  write_config "$dir" "$fsid"
  # Half a cluster is of no use to anybody, and would hold the ports.
  trap 'stop "$dir"' EXIT

  quietly 'making the keyring' ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
  quietly 'making the keyring' ceph-authtool "$dir/keyring" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  quietly 'making the monitor map' monmaptool --create --clobber \
    --addv a "[v1:127.0.0.1:$MON_PORT]" --fsid "$fsid" "$dir/monmap"
  quietly 'making the monitor' ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
  quietly 'starting the monitor' setsid ceph-mon -c "$conf" -i a
  wait_until 30 "the monitor does not answer on port $MON_PORT; see $dir/log" timeout 5 ceph -c "$conf" -s
  quietly 'announcing the OSD' ceph -c "$conf" osd new "$osd_uuid"
  quietly 'placing the OSD' ceph -c "$conf" osd crush add osd.0 1.0 root=default host=localhost
  quietly 'making the OSD' ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_uuid"
  quietly 'starting the OSD' setsid ceph-osd -c "$conf" -i 0
  osd_is_up() { timeout 5 ceph -c "$conf" osd stat | grep -q '1 up'; }
  wait_until 60 "the OSD does not come up; see $dir/log" osd_is_up
  # No limit to the number of buckets: each test file makes one, and a server outlives many runs.
  quietly 'making the user' radosgw-admin -c "$conf" user create --uid=test --display-name=test \
    --access-key=testkey --secret-key=testsecret --max-buckets=0
  quietly 'starting the gateway' setsid radosgw -c "$conf" -n client.rgw.a
  wait_until 60 "the gateway does not answer at $ENDPOINT; see $dir/log" curl -s -f -o /dev/null "$ENDPOINT/"
  trap - EXIT
  printf '%s\n' "$ENDPOINT" | tee "$dir/endpoint"
}

# The reverse of the order they were started in: each wants the one before it while it goes.
stop() {
  local name
  for name in client.rgw.a osd.0 mon.a; do stop_process "$1/run/$name.pid" "$1"; done
}

case "${1:-} ${2:+DIR}" in
  'start DIR') start "$2" ;;
  'stop DIR') [ ! -d "$2" ] || stop "$(cd "$2" && pwd -P)" ;;
  *) fail 'usage: ceph.sh start|stop DIR' ;;
esac
