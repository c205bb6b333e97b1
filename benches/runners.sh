#!/usr/bin/env bash
# Tests the claims of docs/compare-runners.md about procstate run, GNU parallel, xargs, pueue and
# task spooler, as far as they are installed: what kill -9 leaves behind, what resumes, how
# timeouts and failures end, and what starting a program costs.
#
#   cargo build --release --features cli && benches/runners.sh [COMMANDS]
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH=$root/target/release:$PATH
count=${1:-10000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export HOME=$work XDG_RUNTIME_DIR=$work TMPDIR=$work
has() { command -v "$1" >/dev/null || { echo "(no $1 here)"; return 1; }; }
# The programs of this trial, identified by how long they sleep.
left() { pgrep -fc "^sleep $1" || true; }
title() { printf '\n== %s\n' "$1"; }

cat >job.sh <<'E2'
#!/bin/sh
echo "start $1" >>log; sleep 1.2345; echo "end $1" >>log
E2
chmod +x job.sh
again() { sort log | uniq -c | awk '$1 > 1 && $2 == 1 { n++ } $2 == "start" && $1 > 1 { n++ } END { print n + 0, "commands started twice" }'; rm -f log; }

title "kill -9 after 2 s of 8 commands, two at once; what is left, and the same command again"
procstate --db state init 2>/dev/null
seq 8 | procstate --db state register p --from - 2>/dev/null
procstate --db state run p -j2 -- ./job.sh {} 2>/dev/null & sleep 2; kill -9 $!; sleep 1
echo "procstate: $(left 1.2345) commands run on after a second"
procstate --db state run p -j2 -- ./job.sh {} 2>&1 | tail -1; again
if has parallel; then
    seq 8 | parallel --will-cite -j2 --joblog joblog ./job.sh {} 2>/dev/null & sleep 2; pkill -9 -f "^perl.*joblog"; sleep 0.2
    echo "parallel: $(left 1.2345) commands run on"; sleep 2
    seq 8 | parallel --will-cite -j2 --joblog joblog --resume ./job.sh {}; again
fi
seq 8 | xargs -P2 -n1 ./job.sh 2>/dev/null & sleep 2; pkill -9 -x xargs; sleep 0.2
echo "xargs: $(left 1.2345) commands run on; there is nothing to go on with"; sleep 2; rm -f log
if has pueue; then
    pueued -d >/dev/null 2>&1; sleep 1; pueue parallel 2 >/dev/null
    for n in $(seq 8); do pueue add -- ./job.sh "$n" >/dev/null; done; sleep 2; pkill -9 -x pueued; sleep 0.2
    echo "pueue: $(left 1.2345) commands run on"; sleep 2; pueued -d >/dev/null 2>&1; sleep 1
    pueue status --json | grep -o '"\(Queued\|Killed\|Success\|Paused\)' | sort | uniq -c; pkill -x pueued; rm -f log
fi
if has tsp; then
    for n in $(seq 4); do tsp ./job.sh "$n" >/dev/null; done; sleep 0.5; pkill -9 -x tsp; sleep 0.2
    echo "tsp: $(left 1.2345) commands run on, $(($(tsp | wc -l) - 1)) tasks are known"; tsp -K; sleep 2; rm -f log
fi

title "a time-out of 1 s on a command that ignores SIGTERM"
stubborn='trap "" TERM; sleep 33.3; sleep 33.3'
procstate --db state unregister p $(seq 2 8) 2>/dev/null
time procstate --db state run p --timeout 1 --kill-after 1 -I @ -- sh -c "$stubborn" 2>&1 | tail -1
echo "procstate: $(left 33.3) commands run on"
has parallel && { time echo x | parallel --will-cite --timeout 1 "$stubborn" 2>/dev/null; echo "parallel: $(left 33.3) commands run on"; }
pkill -f "^sleep 33.3"

title "exit status where 1 of 3 fails"
procstate --db other init 2>/dev/null; seq 3 | procstate --db other register p --from - 2>/dev/null
procstate --db other run p --progress none -- sh -c 'test $1 != 2' job {} 2>/dev/null; echo "procstate: $?"
has parallel && { seq 3 | parallel --will-cite 'test {} != 2' 2>/dev/null; echo "parallel: $?"; }
seq 3 | xargs -n1 sh -c 'test $1 != 2' job; echo "xargs: $?"

title "$count times the program true, 8 at once, seconds"
seq "$count" >names; procstate --db many init 2>/dev/null; procstate --db many register p --from names 2>/dev/null
TIMEFORMAT=%R
for _ in 1 2 3; do
    printf 'procstate '; time procstate --db many run p -j8 --progress none -- true 2>/dev/null
    printf 'xargs     '; time xargs -P8 -n1 true <names
done
has parallel && { head -1000 names >few; printf 'parallel, 1000 of them '; time parallel --will-cite -j8 true :::: few; }
