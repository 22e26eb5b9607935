# shellcheck shell=bash
# Shared by the scripts of this directory; sourced by bash. Sets `root`, the checkout, and offers
# `step` to do something quietly, with everything it prints in a log.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
jobs=$(nproc 2>/dev/null || echo 1)
export LC_ALL=C.UTF-8

# die MESSAGE: the end, with the name of the script before it.
die() {
	printf '%s: %s\n' "tools/$(basename "$0")" "$*" >&2
	exit 1
}

# step LOG WHAT COMMAND...: says what is going on, and more only when it went wrong.
step() {
	local log=$1 what=$2
	shift 2
	printf '%s\n' "$what"
	mkdir -p "$(dirname "$log")" || die "cannot make $(dirname "$log")"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		# ninja's line for each thing that went well is not what one wants to read now
		grep -v -E '^\[[0-9]+/[0-9]+\] (Building|Linking|Generating) ' "$log" | tail -n 40 >&2
		die "$what: failed; all of it is in $log"
	fi
}

# build DIRECTORY [CMAKE OPTIONS]: configures and builds. A tree of another checkout or another
# compiler is made afresh.
build() {
	local tree=$1 fresh=
	shift
	local home
	home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$tree/CMakeCache.txt" 2>/dev/null)
	[ "$home" = "$root" ] || fresh=--fresh
	cmake -S "$root" -B "$tree" ${fresh:+"$fresh"} -G Ninja "$@" &&
		cmake --build "$tree" -j "$jobs" -- -k 0
}
