#!/usr/bin/env bash
# Run a command as a user without a home and without rights, as in `docker run -u 12345`. Needs root on Linux.
#
#   scripts/without_home.sh make test
#
# Where Python or the checkout lies in a folder that is closed to others, such as /root, that folder is replaced, for
# the command alone, by one that holds nothing else.
set -euo pipefail

if [ "${1-}" != --inside ]; then
  exec unshare --mount "$0" --inside "$@"
fi
shift

python=$(readlink -f "${PYTHON:-.venv/bin/python}")
base=$("$python" -c 'import sys; print(sys.base_prefix)')

closed_above() { # the uppermost folder above a path that others may not enter
  local folder=$1 found=
  while [ "$folder" != / ]; do
    folder=$(dirname "$folder")
    [ $((0$(stat -c %a "$folder") & 1)) = 1 ] || found=$folder
  done
  echo "$found"
}

for path in "$base" "$(dirname "$PWD")"; do
  closed=$(closed_above "$path")
  [ -z "$closed" ] && continue
  kept=$(mktemp -d)
  mount --bind "$path" "$kept"
  mount -t tmpfs -o mode=755 none "$closed"
  mkdir -p "$path"
  mount --bind "$kept" "$path"
done

temporary=$(mktemp -d)
chmod 1777 "$temporary"
trap 'rm -rf "$temporary" || true' EXIT # a process that outlives the command may still write there
setpriv --reuid=12345 --regid=12345 --clear-groups --bounding-set=-all --no-new-privs \
  env -i PATH="$PATH" HOME=/ TMPDIR="$temporary" \
  GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
  COVERAGE_FILE="$temporary/coverage" PYTEST_ADDOPTS="-p no:cacheprovider" \
  NUMBA_CACHE_DIR="$temporary" HYPOTHESIS_STORAGE_DIRECTORY="$temporary" \
  ${OSTINATO_SHARED:+OSTINATO_SHARED="$OSTINATO_SHARED"} "$@"
