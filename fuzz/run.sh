#!/bin/sh
# Run one fuzzer on its corpus for so many seconds: sh fuzz/run.sh BUILD SECONDS TARGET.
# What it finds is kept in BUILD/found; new inputs go into BUILD/corpus, never into the tree.
# Seconds 0: the committed corpus once.
#
# Hints from compared operands are off (-use_cmp=0): with them a fuzzer forges checksums, and
# what then passes for a record was never written. Files are sealed anew where that is wanted.
set -u
build=$1 seconds=$2 target=$3
new=$build/corpus/$target log=$build/$target.log
mkdir -p "$new" "$build/found"
if [ "$seconds" -gt 0 ]; then
  set -- -max_total_time="$seconds"
else
  set -- -runs=0
fi
"$build/$target" "$@" -use_cmp=0 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 \
  -print_final_stats=1 -artifact_prefix="$build/found/$target-" \
  "$new" "fuzz/corpus/$target" > "$log" 2>&1
status=$?
if [ $status -ne 0 ]; then
  echo "fuzz $target: FAILED (status $status), see $log"
  grep -v "^#" "$log" | tail -n 40
  exit 1
fi
echo "count fuzz_$target $(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
