#!/usr/bin/env bash
# Counts the instructions of one relayed message in the engine, without sockets.
#
#     perf/instructions.sh             prints the count and where it is spent
#     perf/instructions.sh --check     fails when it is more than 5 % above the accepted one
#     perf/instructions.sh --accept    accepts what is counted now
#
# valgrind counts the same on every run of the same binary, however busy the machine is. The bench
# runs twice, for fewer and for more messages, and what the start costs cancels out.
set -euo pipefail
cd "$(dirname "$0")/.."

accepted=perf/instructions.accepted
fewer=10000 more=30000
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

bench=$(cargo bench --bench engine --no-run --message-format=json 2> "$scratch/build" |
    sed -n 's/.*"executable":"\([^"]*\/engine-[^"]*\)".*/\1/p' | tail -n 1) ||
    { cat "$scratch/build" >&2; exit 1; }

count() {
    valgrind --tool=callgrind --callgrind-out-file="$scratch/$1" --error-exitcode=9 \
        "$bench" "$1" > "$scratch/out" 2> "$scratch/said" ||
        { cat "$scratch/said" "$scratch/out" >&2; exit 1; }
    sed -n 's/^totals: \([0-9]*\).*/\1/p' "$scratch/$1"
}

first=$(count "$fewer") second=$(count "$more")
each=$(((second - first) / (more - fewer)))
echo "relay in the engine: $each instructions a message"

# Where the instructions are, per message: in a function with all it calls, and in it alone. What
# was inlined from other files counts to the function it was inlined into.
spent() {
    local kind
    for kind in "with what it calls" "alone"; do
        echo "instructions a message, $kind:"
        callgrind_annotate --auto=no --threshold=100 \
            --inclusive="$([[ $kind == alone ]] && echo no || echo yes)" "$scratch/$more" |
            awk -v messages="$more" -v inclusive="$([[ $kind == alone ]] || echo 1)" '
                /^ *[0-9][0-9,]* \(/ && !/PROGRAM TOTALS/ {
                    count = $1; gsub(",", "", count)
                    sub(/^[^)]*\)  */, ""); sub(/ \[[^\]]*\]$/, "")
                    if (!match($0, /[^:]:[^:]/)) next
                    name = substr($0, RSTART + 2)
                    sum[name] = inclusive && sum[name] > count ? sum[name] : sum[name] + count
                }
                END { for (name in sum) printf "%9d  %s\n", sum[name] / messages, name }' |
            sort -rn | head -n 30
    done
}

case ${1-} in
--accept)
    echo "$each" > "$accepted"
    ;;
--check)
    limit=$(($(cat "$accepted") * 105 / 100))
    echo "accepted: $(cat "$accepted"), limit $limit"
    if ((each > limit)); then
        spent
        echo "more than accepted: make it cheaper, or say why not and run perf/instructions.sh --accept"
        exit 1
    fi
    ;;
*)
    spent
    ;;
esac
