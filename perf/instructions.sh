#!/usr/bin/env bash
# Counts the instructions of one message in the engine, without sockets: relayed, as a short
# message, and relayed between two connections.
#
#     perf/instructions.sh             prints the counts and where they are spent
#     perf/instructions.sh --check     fails when one is more than 5 % above the accepted one
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
    valgrind --tool=callgrind --callgrind-out-file="$scratch/$1-$2" --error-exitcode=9 \
        "$bench" "$1" "$2" > "$scratch/out" 2> "$scratch/said" ||
        { cat "$scratch/said" "$scratch/out" >&2; exit 1; }
    sed -n 's/^totals: \([0-9]*\).*/\1/p' "$scratch/$1-$2"
}

declare -A each
for name in relay gateway trunk; do
    first=$(count "$name" "$fewer") second=$(count "$name" "$more")
    each[$name]=$(((second - first) / (more - fewer)))
    echo "$name in the engine: ${each[$name]} instructions a message"
done

# Where the instructions are, per message: in a function with all it calls, and in it alone. What
# was inlined from other files counts to the function it was inlined into.
spent() {
    local kind name=$1
    echo "$name:"
    for kind in "with what it calls" "alone"; do
        echo "instructions a message, $kind:"
        callgrind_annotate --auto=no --threshold=100 \
            --inclusive="$([[ $kind == alone ]] && echo no || echo yes)" "$scratch/$name-$more" |
            awk -v messages="$more" -v inclusive="$([[ $kind == alone ]] || echo 1)" '
                /^ *[0-9][0-9,]* \(/ && !/PROGRAM TOTALS/ {
                    count = $1; gsub(",", "", count)
                    sub(/^[^)]*\)  */, ""); sub(/ \[[^\]]*\]$/, "")
                    if (!match($0, /[^:]:[^:]/)) next
                    name = substr($0, RSTART + 2)
                    sum[name] = inclusive && sum[name] > count ? sum[name] : sum[name] + count
                }
                END { for (name in sum) printf "%9d  %s\n", sum[name] / messages, name }' |
            sort -rn | sed -n 1,30p
    done
}

case ${1-} in
--accept)
    for name in relay gateway trunk; do echo "$name ${each[$name]}"; done > "$accepted"
    ;;
--check)
    while read -r name count; do
        limit=$((count * 105 / 100))
        echo "$name: accepted $count, limit $limit"
        if ((each[$name] > limit)); then
            spent "$name"
            echo "more than accepted: make it cheaper, or say why not and run $0 --accept"
            exit 1
        fi
    done < "$accepted"
    ;;
*)
    for name in relay gateway trunk; do spent "$name"; done
    ;;
esac
